/**
 * What stands in the partitions, as Kafka clients read it after each restart: what was read once never changes and never goes, what was
 * acknowledged is there, at the offset that was told, once; offsets without gaps; each publisher's messages in their order.
 */
import { partitionOf, readBatches, type StoredBatch, type StoredRecord } from "../support/record-batch.ts"
import { type Cast, MADE_NAME, MADE_PARTITIONS, MADE_TOPIC } from "./cast.ts"
import { type Ledger, type Message, show } from "./Ledger.ts"
import { covers } from "./SessionModel.ts"

class SeenPartition {
  /** Of each offset, what was read there: key, value, time. */
  readonly records: Array<string> = []
  readonly newest = new Map<string, number>()
  leaderEpoch = -1
}

export interface ProducedRecord {
  readonly message: Message
  readonly where: string
  readonly key: string | null
}

export class LogModel {
  readonly #ledger: Ledger
  readonly #cast: Cast
  readonly #partitions = new Map<string, SeenPartition>()
  /** Topics that are certainly there, with their partitions. */
  readonly #topics = new Map<string, number>()
  readonly #ids = new Map<string, string>()
  readonly #offsets = new Map<Message, Array<number>>()
  readonly #produced = new Map<Message, ProducedRecord>()
  /** What a producer was told: the message at an offset of a partition, "telemetry/0 17". */
  readonly #told = new Map<string, Message>()
  /** Acknowledged since the partitions were last read. */
  #unread: Array<Message> = []

  constructor(ledger: Ledger, cast: Cast) {
    this.#ledger = ledger
    this.#cast = cast
    for (const { name, partitions } of cast.topics) this.#topics.set(name, partitions)
  }

  /** Topics whose partitions are to be read. */
  get topics(): ReadonlyMap<string, number> {
    return this.#topics
  }

  /** A topic was seen, or its creation acknowledged: it is there for good. */
  learned(topic: string, partitions: number): void {
    const known = this.#topics.get(topic)
    this.#ledger.check(
      known === undefined || known === partitions,
      () => `topic ${topic} had ${known} partitions, now ${partitions}`
    )
    this.#topics.set(topic, partitions)
  }

  /** Topic ids, as they were read after a restart. */
  identified(topic: string, id: string): void {
    const known = this.#ids.get(topic) ?? id
    this.#ledger.check(known === id, () => `topic ${topic} had the id ${known}, now ${id}`)
    this.#ids.set(topic, id)
  }

  /** The topics that a broker lists: all that are there for good must be among them. */
  listed(topics: ReadonlyMap<string, number>): void {
    for (const [name, partitions] of this.#topics) {
      const found = topics.get(name)
      this.#ledger.check(
        found === partitions,
        () => `topic ${name} had ${partitions} partitions, now ${found ?? "is gone"}`
      )
    }
  }

  /** The partition that keeps the messages of a topic name for good; undefined where none does. */
  homeOf(name: string): string | undefined {
    const bound = this.#cast.topics.find(({ filter }) => covers(filter, name))
    if (bound !== undefined) return `${bound.name}/${partitionOf(name, bound.partitions)}`
    if (name === MADE_NAME)
      return this.#topics.has(MADE_TOPIC) ? `${MADE_TOPIC}/${partitionOf(name, MADE_PARTITIONS)}` : undefined
    const isPlain = /^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/.test(name)
    if (!isPlain || this.#cast.autoCreateMqtt !== "default") return undefined
    return `${name.replaceAll("/", ".")}/${partitionOf(name, MADE_PARTITIONS)}`
  }

  /** A producer is about to send a record. */
  producing(record: ProducedRecord): void {
    this.#produced.set(record.message, record)
  }

  /** A message was acknowledged; of a produced one, at this offset. */
  acknowledged(message: Message, offset = -1): void {
    const where = this.#whereOf(message)
    if (where === undefined) return
    // The first durable message to a name makes its topic.
    const topic = where.slice(0, where.lastIndexOf("/"))
    if (!this.#topics.has(topic)) this.#topics.set(topic, MADE_PARTITIONS)
    this.#unread.push(message)
    if (offset < 0) return
    const place = `${where} ${offset}`
    const other = this.#told.get(place)
    this.#ledger.check(
      other === undefined,
      () => `${place} was told for ${show(message)} and for ${other === undefined ? "" : show(other)}`
    )
    this.#told.set(place, message)
  }

  /** Everything that a partition holds, read from offset 0. */
  read(topic: string, partition: number, bytes: Buffer): void {
    const ledger = this.#ledger
    const where = `${topic}/${partition}`
    const seen = this.#partitions.get(where) ?? new SeenPartition()
    this.#partitions.set(where, seen)
    const before = seen.records.length
    let next = 0
    for (const batch of readBatches(bytes)) {
      ledger.check(batch.baseOffset === next, () => `${where}: offset ${batch.baseOffset} where ${next} was due`)
      this.#checkBatch(where, seen, batch)
      for (const record of batch.records) this.#record(where, seen, record)
      next = batch.lastOffset + 1
    }
    ledger.check(
      next >= before,
      () =>
        `${where} ends at offset ${next}; it was read up to ${before}, the last ${seen.records[before - 1]?.slice(0, 80)}`
    )
  }

  /** All partitions were read: what was acknowledged before must have been among it. `isFinal`: wills too. */
  checkRead(isFinal: boolean): void {
    const left: Array<Message> = []
    for (const message of this.#unread) {
      if (this.#offsets.has(message)) continue
      // A will is due, and published a moment later.
      if (message.source === "will" && !isFinal) left.push(message)
      else this.#ledger.fail(`lost: ${show(message)} was acknowledged and is not in ${this.#whereOf(message)}`)
    }
    this.#unread = left
  }

  #whereOf(message: Message): string | undefined {
    return this.#produced.get(message)?.where ?? this.homeOf(message.topic)
  }

  #checkBatch(where: string, seen: SeenPartition, batch: StoredBatch): void {
    const ledger = this.#ledger
    const what = (): string => `${where}: batch ${batch.baseOffset} to ${batch.lastOffset}`
    ledger.check(batch.isCrcRight, () => `${what()} has a wrong CRC`)
    ledger.check(batch.records.length === batch.lastOffset - batch.baseOffset + 1, () => `${what()} has other records`)
    if (batch.baseOffset < seen.records.length) return
    ledger.check(
      batch.leaderEpoch >= seen.leaderEpoch,
      () => `${what()} has the leader epoch ${batch.leaderEpoch} after ${seen.leaderEpoch}`
    )
    seen.leaderEpoch = batch.leaderEpoch
  }

  #record(where: string, seen: SeenPartition, record: StoredRecord): void {
    const ledger = this.#ledger
    const { offset } = record
    const key = record.key === null ? null : Buffer.from(record.key).toString("utf8")
    const value = record.value === null ? null : Buffer.from(record.value).toString("latin1")
    const content = `${key} ${value} ${record.timestamp}`
    const known = seen.records[offset]
    if (known !== undefined) {
      ledger.check(
        known === content,
        () => `${where} offset ${offset} was "${known.slice(0, 60)}", now "${content.slice(0, 60)}"`
      )
      return
    }
    seen.records[offset] = content
    ledger.counts.records += 1
    const told = this.#told.get(`${where} ${offset}`)
    if (record.value === null || (record.value.length === 0 && told === undefined)) {
      ledger.check(
        key !== null && this.homeOf(key) === where,
        () => `${where} offset ${offset}: nothing under the key ${key}`
      )
      return
    }
    const message = ledger.messageOf(record.value, `${where} offset ${offset}`)
    if (message === undefined) return
    ledger.check(
      told === undefined || told === message,
      () => `${where} offset ${offset}: ${show(message)} where ${told === undefined ? "" : show(told)} was acknowledged`
    )
    this.#message(where, seen, message, offset, key)
  }

  #message(where: string, seen: SeenPartition, message: Message, offset: number, key: string | null): void {
    const ledger = this.#ledger
    const what = (): string => `${where} offset ${offset}: ${show(message)}`
    const produced = this.#produced.get(message)
    const wanted = produced === undefined ? message.topic : produced.key
    ledger.check(key === wanted, () => `${what()} has the key ${key}`)
    ledger.check(where === this.#whereOf(message), () => `${what()} belongs to ${this.#whereOf(message)}`)
    ledger.check(message.forbidden === "", () => `${what()} ${message.forbidden}`)
    const offsets = this.#offsets.get(message)
    if (offsets === undefined) this.#offsets.set(message, [offset])
    else offsets.push(offset)
    const times = (offsets?.length ?? 0) + (offsets === undefined ? 1 : 0)
    const timesMax = ledger.timesMax(message)
    ledger.check(times <= timesMax, () => `${what()} is stored ${times} times, sent ${timesMax}`)
    if (offsets !== undefined) return
    const line = `${message.publisher} ${message.topic}`
    const newest = seen.newest.get(line) ?? 0
    ledger.check(message.id > newest, () => `${what()} lies behind the later message #${newest} of its publisher`)
    seen.newest.set(line, Math.max(newest, message.id))
  }
}
