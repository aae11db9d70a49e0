/**
 * Messages that wait in memory for room in the window or at the socket of one connected client, in order, bounded and counted.
 *
 * Memory is taken only while something waits.
 */
import type { Message } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"

export interface Waiting {
  readonly message: Message
  readonly qos: number
  readonly retain: boolean
  readonly identifiers: ReadonlyArray<number>
}

/** Stands in while there is nothing. Never written to. */
const NOTHING: Array<Waiting> = []

export class MessageQueue {
  readonly #broker: Broker
  #entries = NOTHING
  #head = 0
  #bytes = 0

  constructor(broker: Broker) {
    this.#broker = broker
  }

  get length(): number {
    return this.#entries.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The one that has waited longest. */
  get oldest(): Message | undefined {
    return this.#entries[this.#head]?.message
  }

  /** Adds an owned message, or drops and counts it where a bound is reached: false. */
  push(entry: Waiting): boolean {
    const { settings, counts, held } = this.#broker
    const size = entry.message.sizeBytes
    const isOver =
      this.length >= settings.queue_messages_max || this.#bytes + size > settings.queue_bytes_max || held.isFull
    if (isOver) {
      counts.droppedQueue += 1
      return false
    }
    held.hold(entry.message)
    if (this.#entries === NOTHING) this.#entries = []
    this.#entries.push(entry)
    this.#bytes += size
    counts.queuedMessages += 1
    return true
  }

  /** Takes the oldest; undefined where nothing waits. */
  shift(): Waiting | undefined {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return undefined
    this.#head += 1
    this.#bytes -= entry.message.sizeBytes
    this.#broker.held.release(entry.message)
    this.#broker.counts.queuedMessages -= 1
    if (this.#head === this.#entries.length) {
      this.#entries = NOTHING
      this.#head = 0
    } else if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry
  }

  clear(): void {
    while (this.shift() !== undefined);
  }
}
