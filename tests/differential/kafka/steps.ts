/** What is tried on both brokers: random requests of consumers, and the batches they find, all drawn from one seed. */
import { batch, type CodecName } from "../../support/record-batch.ts"

/** A leader epoch in terms of both: none, the partition's first, the one it has, one that never was. */
export type EpochName = "none" | "first" | "current" | "future"
export type SessionName = "none" | "new" | "anew" | "end" | "next" | "wrong epoch" | "wrong id"

export interface ProduceStep {
  readonly kind: "produce"
  readonly topic: string
  readonly partition: number
  readonly codec: CodecName
  readonly bytes: Uint8Array
}
export interface FetchStep {
  readonly kind: "fetch"
  readonly version: number
  readonly session: SessionName
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly isolationLevel: number
  readonly topics: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<{
      readonly partition: number
      readonly offset: number
      readonly sizeMax: number
      readonly current: EpochName
      readonly last: EpochName
    }>
  }>
  readonly forgotten: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<number> }>
}
export interface ListStep {
  readonly kind: "list"
  readonly version: number
  readonly topic: string
  readonly partition: number
  readonly timestamp: number
  readonly current: EpochName
  readonly isolationLevel: number
}
export interface EpochStep {
  readonly kind: "epoch"
  readonly version: number
  readonly topic: string
  readonly partition: number
  readonly current: EpochName
  readonly asked: EpochName
}
export type Step = ProduceStep | FetchStep | ListStep | EpochStep

/** Numbers from a seed (mulberry32). */
export class Chance {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  one<T>(...values: ReadonlyArray<T>): T {
    return values[this.below(values.length)] as T
  }
  is(percent: number): boolean {
    return this.below(100) < percent
  }
}

/** Not lz4: the frames that the tests make of it are none that Apache's reader takes. */
const CODECS: ReadonlyArray<CodecName> = ["none", "gzip", "snappy", "zstd"]
/** Of every topic. */
export const PARTITIONS = 2

/** The requests of one sequence. Knows about how far the logs go, so that most of what it asks is there. */
export class Steps {
  readonly #chance: Chance
  readonly #topics: ReadonlyArray<string>
  readonly #startMs: number
  readonly #ends = new Map<string, number>()
  #version = 12

  constructor(chance: Chance, topics: ReadonlyArray<string>, startMs: number) {
    this.#chance = chance
    this.#topics = topics
    this.#startMs = startMs
  }

  next(): Step {
    const kind = this.#chance.below(10)
    if (kind < 3) return this.#produce()
    if (kind < 8) return this.#fetch()
    return kind === 8 ? this.#list() : this.#epoch()
  }

  #produce(): ProduceStep {
    const chance = this.#chance
    const [topic, partition] = [chance.one(...this.#topics), chance.below(PARTITIONS)]
    const count = 1 + chance.below(5)
    const records = Array.from({ length: count }, () => ({
      value: "x".repeat(chance.one(0, 10, 300)),
      timestampDelta: chance.below(50)
    }))
    const key = `${topic}/${partition}`
    this.#ends.set(key, (this.#ends.get(key) ?? 0) + count)
    const timestamp = this.#startMs + chance.below(1_000)
    const codec = chance.one(...CODECS)
    return { kind: "produce", topic, partition, codec, bytes: batch(records, { codec, timestamp }) }
  }

  #fetch(): FetchStep {
    const chance = this.#chance
    const session = chance.one<SessionName>(
      "none",
      "new",
      "next",
      "next",
      "next",
      "next",
      "next",
      "anew",
      "end",
      "wrong epoch",
      "wrong id"
    )
    // Sessions go on in their version mostly: from id to name and back is an error.
    if (session === "new" || session === "none" || chance.is(5))
      this.#version = chance.one(4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
    const version = session === "none" ? this.#version : Math.max(7, this.#version)
    const names = [...this.#topics, ...(chance.is(10) ? ["unknown"] : [])].filter(() => chance.is(60))
    const isShort = session === "next" && chance.is(40)
    const topics = isShort ? [] : names.map((topic) => ({ topic, partitions: this.#wanted(topic) }))
    const forgotten = names.filter(() => session === "next" && chance.is(15))
    return {
      kind: "fetch",
      version,
      session,
      maxWaitMs: chance.one(0, 250),
      minBytes: chance.one(0, 1, 1, 1, 200, 100_000),
      maxBytes: chance.one(0, 1, 1_000_000, 1_000_000),
      isolationLevel: chance.below(2),
      topics,
      forgotten: forgotten.map((topic) => ({ topic, partitions: [chance.below(PARTITIONS)] }))
    }
  }

  #wanted(topic: string): FetchStep["topics"][number]["partitions"] {
    const chance = this.#chance
    const count = 1 + chance.below(PARTITIONS + 1)
    return Array.from({ length: count }, () => {
      const partition = chance.is(5) ? 99 : chance.below(PARTITIONS)
      return {
        partition,
        offset: this.#offset(topic, partition),
        sizeMax: chance.one(0, 1, 150, 400, 1_000_000, 1_000_000),
        current: this.#current(),
        last: chance.is(70) ? "none" : chance.one<EpochName>("first", "current", "future")
      }
    })
  }

  #offset(topic: string, partition: number): number {
    const end = this.#ends.get(`${topic}/${partition}`) ?? 0
    const { below, is } = { below: this.#chance.below.bind(this.#chance), is: this.#chance.is.bind(this.#chance) }
    if (is(10)) return below(2) === 0 ? -1 : end + 1 + below(3)
    return is(50) ? end : below(end + 1)
  }

  #current(): EpochName {
    return this.#chance.is(80) ? "none" : this.#chance.one<EpochName>("first", "current", "future")
  }

  #list(): ListStep {
    const chance = this.#chance
    const special = chance.one(-1, -2, -3, -4, -5, -6, -7)
    return {
      kind: "list",
      version: 1 + chance.below(11),
      topic: chance.one(...this.#topics),
      partition: chance.is(5) ? 99 : chance.below(PARTITIONS),
      timestamp: chance.is(60) ? special : this.#startMs - 10 + chance.below(1_100),
      current: this.#current(),
      isolationLevel: chance.below(2)
    }
  }

  #epoch(): EpochStep {
    const chance = this.#chance
    return {
      kind: "epoch",
      version: 2 + chance.below(3),
      topic: chance.is(5) ? "unknown" : chance.one(...this.#topics),
      partition: chance.is(5) ? 99 : chance.below(PARTITIONS),
      current: this.#current(),
      asked: chance.one<EpochName>("none", "first", "current", "future")
    }
  }
}
