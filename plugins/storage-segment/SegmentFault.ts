/** Something in the files of segments, or in their manifest, that is not as it was written; named by path and byte. */
import { FileError } from "../../core/mod.ts"

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

/** What an error of reading the file at `pathname` says of it; undefined where it says nothing of this file alone. */
export function faultOf(error: unknown, pathname: string): SegmentFault | undefined {
  if (error instanceof SegmentFault) return error
  if (!(error instanceof FileError) || error.code === "too-many-open") return undefined
  return new SegmentFault(pathname, 0, error.reason)
}
