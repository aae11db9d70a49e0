/**
 * What Kafka clients may see of the partitions: whole batches with right checksums that never change, offsets without gaps, only
 * records that were sent, in the order of their publishers, and everything that was acknowledged before they asked.
 */
import { partitionOf, readBatches, type StoredBatch, type StoredRecord } from "../support/record-batch.ts"
import type { FetchAnswer, TopicPartition } from "./kafka-packets.ts"
import { type SimMessage, show, type World } from "./World.ts"

interface SeenRecord {
  readonly name: string
  /** Undefined where the value was null: a retained message was cleared. */
  readonly message: SimMessage | undefined
}

class SeenPartition {
  readonly batches = new Map<number, Buffer>()
  readonly records = new Map<number, SeenRecord>()
  highWatermark = 0
  logStartOffset = 0
}

export class LogModel {
  readonly #world: World
  readonly #partitions = new Map<string, SeenPartition>()
  /** Partitions of each topic that a client was told of. */
  readonly #topics = new Map<string, number>()
  readonly #offsets = new Map<SimMessage, Array<number>>()
  /** Acknowledged messages, and the lowest high watermark that was told to somebody who asked after that. */
  readonly #bounds = new Map<SimMessage, number>()
  /** When messages were acknowledged, ms. */
  readonly #acknowledgedMs = new Map<SimMessage, number>()
  /** Batches that producers sent: message, partition, key, and the offset that an acknowledgement named. */
  readonly #produced = new Map<SimMessage, { readonly where: string; readonly key: string | null; offset: number }>()

  constructor(world: World) {
    this.#world = world
  }

  get topics(): ReadonlyMap<string, number> {
    return this.#topics
  }

  learned(topic: string, partitions: number): void {
    const known = this.#topics.get(topic)
    this.#world.check(
      known === undefined || known === partitions,
      () => `${topic} had ${known} partitions, now ${partitions}`
    )
    this.#topics.set(topic, partitions)
  }

  /** The partition that keeps messages of a topic name; undefined where none does, or nobody knows yet. */
  homeOf(name: string): string | undefined {
    const { topic, filter } = this.#world.scenario.binding
    const levels = name.split("/")
    const isBound = levels.length === 3 && levels[0] === "devices" && levels[2] === filter.split("/")[2]
    if (!isBound && !levels.every((level) => /^[A-Za-z0-9_-]+$/.test(level))) return undefined
    const home = isBound ? topic : levels.join(".")
    const partitions = this.#topics.get(home)
    return partitions === undefined ? undefined : `${home}/${partitionOf(name, partitions)}`
  }

  /** A producer is about to send a record. */
  producing(message: SimMessage, topic: string, partition: number, key: string | null): void {
    this.#produced.set(message, { where: `${topic}/${partition}`, key, offset: -1 })
  }

  /** A message was acknowledged; of a produced one, at this offset. */
  acknowledged(message: SimMessage, offset = -1): void {
    const produced = this.#produced.get(message)
    if (produced !== undefined) produced.offset = offset
    this.#bounds.set(message, Number.POSITIVE_INFINITY)
    if (message.source !== "will") this.#acknowledgedMs.set(message, this.#world.nowMs)
  }

  /**
   * A message that a Fetch from `offset`, asked at the moment `askedAt`, should have brought: acknowledged while it waited, at least
   * `sinceMs` ago.
   */
  missedBy(where: TopicPartition, offset: number, askedAt: number, sinceMs: number): SimMessage | undefined {
    const name = `${where.topic}/${where.partition}`
    const untilMs = this.#world.nowMs - sinceMs
    for (const [message, atMs] of this.#acknowledgedMs) {
      if (message.acknowledgedAt < askedAt || atMs > untilMs || this.#whereOf(message) !== name) continue
      const [first] = this.#offsets.get(message) ?? []
      if (first === undefined || first >= offset) return message
    }
    return undefined
  }

  /** The answer to a Fetch from `offset` that was sent at the moment `askedAt`. */
  fetched(answer: FetchAnswer, offset: number, askedAt: number, floor: number): void {
    const world = this.#world
    const where = `${answer.topic}/${answer.partition}`
    const seen = this.#seen(where)
    world.check(answer.error === 0, () => `fetch of ${where} from ${offset}: error ${answer.error}`)
    world.check(
      answer.highWatermark >= floor && answer.logStartOffset <= answer.highWatermark,
      () => `${where}: high watermark ${answer.highWatermark} after ${floor}, log start ${answer.logStartOffset}`
    )
    seen.highWatermark = Math.max(seen.highWatermark, answer.highWatermark)
    seen.logStartOffset = Math.max(seen.logStartOffset, answer.logStartOffset)
    for (const [message, bound] of this.#bounds) {
      // Nobody is told when a will is stored.
      if (message.source === "will") continue
      if (message.acknowledgedAt < askedAt && answer.highWatermark < bound && this.#whereOf(message) === where) {
        this.#bounds.set(message, answer.highWatermark)
      }
    }
    let next = offset
    for (const batch of readBatches(answer.records)) {
      world.check(
        batch.baseOffset === next || (next === offset && batch.baseOffset < next && batch.lastOffset >= next),
        () => `${where}: batch ${batch.baseOffset} to ${batch.lastOffset} where ${next} was due`
      )
      world.check(
        batch.lastOffset < answer.highWatermark,
        () => `${where}: ${batch.lastOffset} is past the high watermark`
      )
      next = batch.lastOffset + 1
      this.#batch(where, seen, batch)
    }
  }

  highWatermarkOf({ topic, partition }: { readonly topic: string; readonly partition: number }): number {
    return this.#partitions.get(`${topic}/${partition}`)?.highWatermark ?? 0
  }

  /** At the end, with everything fetched. */
  checkSettled(
    orders: Iterable<{ readonly name: string; readonly order: ReadonlyMap<string, ReadonlyArray<SimMessage>> }>
  ): void {
    const world = this.#world
    for (const [message, bound] of this.#bounds) {
      const where = this.#whereOf(message)
      if (where === undefined) continue
      const [first] = this.#offsets.get(message) ?? []
      const isForgotten = this.#seen(where).logStartOffset > 0
      world.check(first !== undefined || isForgotten, () => `${show(message)} was acknowledged and is not in ${where}`)
      world.check(
        first === undefined || first < bound,
        () => `${show(message)}: acknowledged, then the high watermark ${bound} was told, and it got offset ${first}`
      )
      const offset = this.#produced.get(message)?.offset ?? -1
      world.check(
        offset < 0 || first === undefined || first === offset,
        () => `${show(message)}: acknowledged at ${offset}, lies at ${first}`
      )
    }
    for (const [where, { records }] of this.#partitions) this.#checkOrder(where, records)
    for (const { name, order } of orders) for (const [key, messages] of order) this.#checkSequence(name, key, messages)
  }

  #seen(where: string): SeenPartition {
    const seen = this.#partitions.get(where) ?? new SeenPartition()
    this.#partitions.set(where, seen)
    return seen
  }

  #whereOf(message: SimMessage): string | undefined {
    return this.#produced.get(message)?.where ?? this.homeOf(message.topic)
  }

  #batch(where: string, seen: SeenPartition, batch: StoredBatch): void {
    const world = this.#world
    const what = (): string => `${where}: batch ${batch.baseOffset}`
    const known = seen.batches.get(batch.baseOffset)
    world.check(known === undefined || known.equals(batch.bytes), () => `${what()} changed`)
    if (known !== undefined) return
    seen.batches.set(batch.baseOffset, batch.bytes)
    world.check(batch.isCrcRight, () => `${what()} has a wrong CRC`)
    world.check(
      batch.recordCount === batch.lastOffset - batch.baseOffset + 1 && batch.records.length === batch.recordCount,
      () => `${what()} holds ${batch.recordCount} records up to offset ${batch.lastOffset}`
    )
    for (const [index, record] of batch.records.entries()) {
      world.check(
        record.offset === batch.baseOffset + index,
        () => `${what()}: record ${index} has offset ${record.offset}`
      )
      this.#record(where, seen, record)
    }
  }

  #record(where: string, seen: SeenPartition, record: StoredRecord): void {
    const world = this.#world
    const { offset } = record
    const what = `${where} offset ${offset}`
    world.counts.records += 1
    world.check(!seen.records.has(offset), () => `${what} stands in two batches`)
    const key = record.key === null ? null : Buffer.from(record.key).toString("utf8")
    if (record.value === null) {
      world.check(key !== null && this.homeOf(key) === where, () => `${what}: a null value under the key ${key}`)
      seen.records.set(offset, { name: key ?? "", message: undefined })
      return
    }
    const message = world.messageOf(record.value, what)
    const produced = this.#produced.get(message)
    const wanted = produced === undefined ? message.topic : produced.key
    world.check(key === wanted, () => `${what}: ${show(message)} has the key ${key}`)
    world.check(
      where === this.#whereOf(message),
      () => `${what}: ${show(message)} belongs to ${this.#whereOf(message)}`
    )
    world.check(message.forbidden === "", () => `${what}: ${show(message)} ${message.forbidden}`)
    const offsets = this.#offsets.get(message) ?? []
    offsets.push(offset)
    this.#offsets.set(message, offsets)
    const timesMax = message.qos === 1 ? message.transmissions : 1
    world.check(
      offsets.length <= timesMax,
      () => `${what}: ${show(message)} is stored ${offsets.length} times, sent ${timesMax}`
    )
    seen.records.set(offset, { name: message.topic, message })
  }

  /** The first copies of a publisher's messages on one name lie in the order in which they were sent. */
  #checkOrder(where: string, records: ReadonlyMap<number, SeenRecord>): void {
    const newest = new Map<string, number>()
    const known = new Set<SimMessage>()
    for (const [offset, { name, message }] of [...records].sort(([left], [right]) => left - right)) {
      if (message === undefined || known.has(message)) continue
      known.add(message)
      const key = `${message.publisher} ${name}`
      const before = newest.get(key) ?? 0
      this.#world.check(
        message.id > before,
        () => `${where} offset ${offset}: ${show(message)} lies behind the later ${before}`
      )
      newest.set(key, message.id)
    }
  }

  /** A session got the messages of a name in the order of their offsets, whoever published them. */
  #checkSequence(session: string, key: string, messages: ReadonlyArray<SimMessage>): void {
    let newest = -1
    let where = ""
    for (const message of messages) {
      const offsets = this.#offsets.get(message) ?? []
      const offset = offsets[0] ?? -1
      const home = this.#whereOf(message) ?? ""
      if (offsets.length !== 1 || message.transmissions > 1) continue
      if (home !== where) newest = -1
      where = home
      this.#world.check(
        offset > newest,
        () => `${session} got ${show(message)} of offset ${offset} on ${key} after offset ${newest}`
      )
      newest = offset
    }
  }
}
