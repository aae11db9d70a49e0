/**
 * A publisher whose every PUBACK is timed: it writes what it is told to, and says which message each PUBACK was for.
 *
 * Invariants
 *  - Message k goes to target k mod n of its block and carries the sequence number floor(k / n) of that target.
 *  - No Packet Identifier is used while it is open; at most `window` are.
 *  - A PUBACK with an error, or for what is not open, counts as such and is not timed.
 */
import { type FrameBlock, type ProtocolLevel, PUBACK, readU16, writeU32 } from "./frames.ts"
import { Peer } from "./Peer.ts"

const IDENTIFIER_MAX = 65_535
/** More than this open at a time would make the search for a free identifier long. */
export const WINDOW_MAX = 60_000
const NOT_OPEN = -1

export class TimedPublisher extends Peer {
  /** Messages handed to the socket; the next one has this number. */
  sent = 0
  acknowledged = 0
  refused = 0
  unexpected = 0
  /** Called when a chunk is used up: time to write more. */
  onRoom: () => void = () => {}
  readonly #block: FrameBlock
  readonly #window: number
  readonly #messageOf = new Float64Array(IDENTIFIER_MAX + 1).fill(NOT_OPEN)
  readonly #onAcknowledge: (message: number, atMs: number) => void
  #lastIdentifier = 0
  #chunkAtMs = 0

  constructor(
    level: ProtocolLevel,
    block: FrameBlock,
    window: number,
    onAcknowledge: (message: number, atMs: number) => void
  ) {
    super(level)
    this.#block = block
    this.#window = Math.min(window, WINDOW_MAX)
    this.#onAcknowledge = onAcknowledge
  }

  /** Messages that may be written now. */
  get room(): number {
    return Math.min(this.#window, this.receiveMaximum) - (this.sent - this.acknowledged)
  }

  /** Writes at most `wanted` messages, as far as window and socket let it; a burst ends with the block. */
  send(wanted: number): void {
    let rest = Math.min(wanted, this.room)
    while (rest > 0 && !this.blocked && !this.isBroken) rest -= this.#sendBurst(rest)
  }

  /** Numbers of the messages that are sent and not acknowledged. */
  openMessages(): number[] {
    return [...this.#messageOf].filter((message) => message !== NOT_OPEN)
  }

  override onData(chunk: Uint8Array): void {
    this.#chunkAtMs = performance.now()
    super.onData(chunk)
  }

  protected override receive(bytes: Uint8Array, start: number, body: number, end: number): void {
    if ((bytes[start] as number) >> 4 !== PUBACK || end - body < 2) {
      this.malformed++
      return
    }
    const identifier = readU16(bytes, body)
    const message = this.#messageOf[identifier] as number
    if (message === NOT_OPEN) {
      this.unexpected++
      return
    }
    this.#messageOf[identifier] = NOT_OPEN
    this.acknowledged++
    if (end - body > 2 && (bytes[body + 2] as number) >= 0x80) this.refused++
    else this.#onAcknowledge(message, this.#chunkAtMs)
  }

  protected override afterChunk(): void {
    this.onRoom()
  }

  #sendBurst(wanted: number): number {
    const { bytes, count, frameBytes, sequenceAt, identifierAt } = this.#block
    const first = this.sent % count
    const burst = Math.min(wanted, count - first)
    for (let index = 0; index < burst; index++) {
      const message = this.sent + index
      const frame = (first + index) * frameBytes
      const identifier = this.#takeIdentifier(message)
      writeU32(bytes, frame + sequenceAt, Math.floor(message / count))
      bytes[frame + identifierAt] = identifier >> 8
      bytes[frame + identifierAt + 1] = identifier
    }
    this.sent += burst
    this.write(bytes, first * frameBytes, (first + burst) * frameBytes)
    return burst
  }

  #takeIdentifier(message: number): number {
    let identifier = this.#lastIdentifier
    do identifier = identifier === IDENTIFIER_MAX ? 1 : identifier + 1
    while (this.#messageOf[identifier] !== NOT_OPEN)
    this.#messageOf[identifier] = message
    this.#lastIdentifier = identifier
    return identifier
  }
}
