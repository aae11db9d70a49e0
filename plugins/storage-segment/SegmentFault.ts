/** Something in a segment's files that is not as it was written; named by path and byte. */
export class SegmentFault extends Error {
  readonly pathname: string
  readonly position: number
  /** What was found, half a sentence for a person. */
  readonly reason: string

  constructor(pathname: string, position: number, reason: string) {
    super(`${pathname}: byte ${position}: ${reason}`)
    this.pathname = pathname
    this.position = position
    this.reason = reason
  }
}
