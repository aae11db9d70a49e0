/**
 * Batches that storage has no room for just now: their producers wait for the answer in place of getting an error.
 *
 * Invariants
 *  - While batches of a partition wait, every further one of it waits behind them.
 *  - What waits is bounded, and so is for how long: beyond {@link HELD_BYTES_MAX}, and after {@link HELD_MS_MAX}, a batch is refused
 *    ({@link BACKLOG}) and had no effect. A producer gives a request up after 30 s by default and sends it again; one that was answered
 *    before is not stored twice.
 *  - The refusal is noted for the batch's idempotent producer: none that it sent behind it takes its place.
 */
import type { ClockShape } from "../platform/Clock.ts"
import { hasProducer } from "../producers/PartitionProducers.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { BACKLOG } from "./Engines.ts"
import type { AppendResult } from "./Logs.ts"
import { refusedAppend } from "./local-answers.ts"
import type { PartitionLog } from "./PartitionLog.ts"

/** Bytes of all that wait on a shard. */
export const HELD_BYTES_MAX = 67_108_864
/** How long one of them waits. */
export const HELD_MS_MAX = 20_000
/** Between two looks whether there is room. */
export const LOOK_INTERVAL_MS = 10
/** What one takes beside its bytes, about. */
const APPEND_BYTES = 300

type Answer = AppendResult | Promise<AppendResult>

export interface HeldAppendsParts {
  readonly clock: Pick<ClockShape, "after" | "monotonicMs">
  /** The log of a partition now; "opening" where it is to be asked for again, undefined where there is none. */
  readonly logOf: (topicId: string, partition: number) => PartitionLog | "opening" | undefined
  /** Appends a batch that has waited; of no log where it is gone. */
  readonly append: (log: PartitionLog | undefined, bytes: Uint8Array, recordCount: number) => Answer
  /** Whether batches of all partitions have to wait, for what is kept of them beside their logs. */
  readonly isHeldUp: () => boolean
}

interface HeldAppend {
  readonly key: string
  readonly topicId: string
  readonly partition: number
  readonly bytes: Uint8Array
  readonly recordCount: number
  readonly untilMs: number
  readonly answer: (result: Answer) => void
}

const REFUSED = refusedAppend(BACKLOG)

const keyOf = (topic: TopicInfo, partition: number): string => `${topic.id}/${partition}`

export class HeldAppends {
  readonly #parts: HeldAppendsParts
  #waiting: Array<HeldAppend> = []
  /** How many wait, by partition. */
  readonly #counts = new Map<string, number>()
  #bytes = 0
  #isLooking = false

  constructor(parts: HeldAppendsParts) {
    this.#parts = parts
  }

  /** Batches that wait. */
  get count(): number {
    return this.#waiting.length
  }

  /** Whether a batch of so many bytes has to wait, as far as is known now. */
  mustWait(log: PartitionLog, sizeBytes: number): boolean {
    if (this.#counts.size > 0 && this.#counts.has(keyOf(log.topic, log.partition))) return true
    return this.#parts.isHeldUp() || !log.admits(sizeBytes)
  }

  /** Has a batch (copied) wait; settled when it was appended as any other, or refused. */
  hold(log: PartitionLog, bytes: Uint8Array, start: number, end: number, recordCount: number): Answer {
    const sizeBytes = end - start + APPEND_BYTES
    if (this.#bytes + sizeBytes > HELD_BYTES_MAX) {
      noteRefused(log, bytes, start, end)
      return REFUSED
    }
    const { topic, partition } = log
    const key = keyOf(topic, partition)
    this.#bytes += sizeBytes
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    const untilMs = this.#parts.clock.monotonicMs() + HELD_MS_MAX
    this.#lookLater()
    return new Promise((answer) => {
      const place = { key, topicId: topic.id, partition, recordCount, untilMs }
      this.#waiting.push({ ...place, bytes: bytes.slice(start, end), answer })
    })
  }

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#parts.clock.after(LOOK_INTERVAL_MS, () => {
      this.#isLooking = false
      this.#look()
      if (this.#waiting.length > 0) this.#lookLater()
    })
  }

  /** Lets those go on that there is room for, in their order. */
  #look(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const nowMs = this.#parts.clock.monotonicMs()
    const blocked = new Set<string>()
    const isHeldUp = this.#parts.isHeldUp()
    for (const each of waiting) {
      const log = blocked.has(each.key) ? "opening" : this.#parts.logOf(each.topicId, each.partition)
      const mustWait = log === "opening" || (log !== undefined && (isHeldUp || !log.admits(each.bytes.length)))
      if (mustWait && nowMs < each.untilMs) {
        blocked.add(each.key)
        this.#waiting.push(each)
        continue
      }
      this.#forget(each)
      if (!mustWait) {
        each.answer(this.#parts.append(log, each.bytes, each.recordCount))
        continue
      }
      if (log !== "opening") noteRefused(log, each.bytes, 0, each.bytes.length)
      each.answer(REFUSED)
    }
  }

  #forget({ key, bytes }: HeldAppend): void {
    this.#bytes -= bytes.length + APPEND_BYTES
    const left = (this.#counts.get(key) ?? 1) - 1
    if (left === 0) this.#counts.delete(key)
    else this.#counts.set(key, left)
  }
}

function noteRefused(log: PartitionLog, bytes: Uint8Array, start: number, end: number): void {
  if (!hasProducer(bytes, start)) return
  const known = log.whenAppendable(bytes, start)
  if (known === undefined) {
    log.producers?.refused(bytes, start)
    return
  }
  // Before any that waits for the same, since it asked before.
  const copy = bytes.slice(start, end)
  void known.then((refusal) => {
    if (refusal >= 0) log.producers?.refused(copy, 0)
  })
}
