/** Where a durable session stands in one queue log while its client is connected. */
export class Flow {
  /** The number of the queue log. */
  readonly queue: number
  /** The next offset to look at: what lies below was sent, or was not wanted. */
  position: number
  /** The lowest offset that was needed when that was last looked at: it may be higher by now, never lower. */
  low: number
  /** What is published now is not sent at once: something before it has not been read yet. */
  isBehind = true
  isReading = false
  /** Whether the bounds of what may wait have been applied since reading began, and what they leave out. */
  isBounded = false
  boundedAtMs = 0
  skipFrom = 0
  skipTo = 0
  /** The next message may wait, and does, for room: all before it that may not was passed over since reading began. */
  isHeld = false
  /** Takes the wait for a commit back. */
  stopWaiting: (() => void) | undefined

  constructor(queue: number, position: number, low: number) {
    this.queue = queue
    this.position = position
    this.low = low
  }
}
