/**
 * What all partitions of a shard remember of idempotent producers: their rows, how long and how many, and figures.
 *
 * Invariants
 *  - At most {@link PRODUCERS_MAX} producers of one partition and {@link SHARD_PRODUCERS_MAX} of all are known; beyond that those that
 *    have not written lately are forgotten, and counted. Of a producer that was forgotten any sequence is taken.
 *  - Without a journal on disk no row is written and none is read: what is known ends with the process.
 */
import { Effect } from "effect"
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { type Partition, type PartitionKey, StorageError, Unusable } from "../log/Engines.ts"
import { writeSynced } from "../log/write-synced.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { logIdOf, type TopicInfo } from "../topics/TopicInfo.ts"
import { LogProducers, SNAPSHOT_BYTES } from "./LogProducers.ts"
import { producersKey } from "./producer-rows.ts"

/** How long a producer is known after its last batch (producer.id.expiration.ms of Apache Kafka). */
export const EXPIRATION_MS = 86_400_000
export const PRODUCERS_MAX = 10_000
export const SHARD_PRODUCERS_MAX = 100_000
/** Partitions that are looked through for expired producers in one go. */
const LOOKS_MAX = 64

/** Which log it is, and whether it outlives the process. */
export interface LogName {
  readonly topic: Pick<TopicInfo, "tenant" | "id" | "logId" | "mode">
  readonly partition: number
}

export interface ShardProducersParts {
  readonly clock: Pick<ClockShape, "nowMs" | "after">
  /** Where rows are kept, on a disk; undefined = nowhere. */
  readonly rows?: { readonly journal: JournalShape; readonly store: Pick<KeyValueStoreShape, "get"> } | undefined
  /** One line for the operator. */
  readonly log: (message: string) => void
  /** Instead of {@link PRODUCERS_MAX} and {@link SHARD_PRODUCERS_MAX}. */
  readonly producersMax?: number
  readonly shardProducersMax?: number
  /** Instead of {@link SNAPSHOT_BYTES}. */
  readonly snapshotBytes?: number
}

export class ShardProducers {
  /** Producers that are known, each once for each partition. */
  size = 0
  /** Batches that were answered as repeats, and that were refused, since the start. */
  repeats = 0
  refusals = 0
  /** Producers that were forgotten because they were too many, and because they had not written for long. */
  evicted = 0
  expired = 0
  /** Rows that were written, and that could not be; bytes of logs that were read again. */
  rows = 0
  rowFailures = 0
  replayedBytes = 0
  readonly clock: ShardProducersParts["clock"]
  readonly #parts: ShardProducersParts
  readonly snapshotBytes: number
  readonly #producersMax: number
  readonly #shardProducersMax: number
  /** Those that know of producers. */
  readonly #logs = new Set<LogProducers>()
  #hand: Iterator<LogProducers> | undefined
  /** Rows on their way, by key. */
  readonly #writing = new Map<string, Promise<unknown>>()

  constructor(parts: ShardProducersParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.snapshotBytes = parts.snapshotBytes ?? SNAPSHOT_BYTES
    this.#producersMax = parts.producersMax ?? PRODUCERS_MAX
    this.#shardProducersMax = parts.shardProducersMax ?? SHARD_PRODUCERS_MAX
  }

  get expiredMs(): number {
    return this.clock.nowMs() - EXPIRATION_MS
  }

  /** What is known of the producers of a log that was just opened; undefined where that is nothing. */
  find(log: LogName, engine: Partition): LogProducers | undefined {
    const { rows } = this.#parts
    if (log.topic.mode === "memory" || rows === undefined) return undefined
    const key = keyOf(log)
    let hasRow = this.#writing.has(nameOf(key))
    try {
      hasRow ||= rows.store.get(producersKey(key)) !== undefined
    } catch {
      // It is read again, and told of, before anything is appended.
      hasRow = true
    }
    return hasRow ? new LogProducers({ all: this, key, engine, isKept: true, hasRow }) : undefined
  }

  /** The same for a log of which nothing is known: one of them is about to write to it. */
  begin(log: LogName, engine: Partition): LogProducers {
    const isKept = log.topic.mode !== "memory" && this.#parts.rows !== undefined
    return new LogProducers({ all: this, key: keyOf(log), engine, isKept, hasRow: false })
  }

  /** The row of a partition, when none of it is on its way. */
  async rowOf(key: PartitionKey): Promise<Uint8Array | undefined> {
    await this.#writing.get(nameOf(key))
    return this.#parts.rows?.store.get(producersKey(key))
  }

  /** A log knows of one producer more. */
  added(log: LogProducers): void {
    this.size += 1
    this.#logs.add(log)
    if (log.state.size > this.#producersMax && log.forgetOne()) this.evicted += 1
    // Somebody else's are forgotten where this log has no other.
    for (let steps = 0; this.size > this.#shardProducersMax && steps < LOOKS_MAX; steps++) {
      const victim = log.state.size > 1 ? log : this.#next()
      if (victim?.forgetOne() === true) this.evicted += 1
      else if (victim !== undefined && victim !== log) this.evicted += victim.expire(Number.POSITIVE_INFINITY)
    }
  }

  /** A log knows of as many as its state says, of whom none was counted. */
  adopted(log: LogProducers): void {
    this.size += log.state.size
    if (log.state.size > 0) this.#logs.add(log)
  }

  /** A log knows what another one did. */
  joined(log: LogProducers): void {
    if (log.state.size > 0) this.#logs.add(log)
  }

  gone(count: number): void {
    this.size -= count
  }

  closed(log: LogProducers): void {
    this.#logs.delete(log)
  }

  /** Forgets producers that have not written for long, a few partitions at a time; called about once a second. */
  housekeep(): void {
    const before = this.expiredMs
    for (let looks = Math.min(LOOKS_MAX, this.#logs.size); looks > 0; looks--) {
      const log = this.#next()
      if (log === undefined) continue
      this.expired += log.expire(before)
      if (log.isEmpty) this.#logs.delete(log)
    }
  }

  /** Writes or removes a row, which is there when the journal has committed it; `failed` where it will not be. */
  write(key: PartitionKey, value: Uint8Array | undefined, failed: () => void): void {
    const { rows } = this.#parts
    if (rows === undefined) return
    const { journal } = rows
    if (journal.refusal !== 0) {
      this.rowFailures += 1
      failed()
      return
    }
    const ticket = journal.submit({ writes: [{ key: producersKey(key), value }] })
    const { tickets } = journal
    const written = new Promise<void>((resolve) => {
      tickets.whenCommitted(ticket, () => {
        if (tickets.takeOutcome(ticket) === 0) this.rows += 1
        else {
          this.rowFailures += 1
          failed()
        }
        resolve()
      })
    })
    this.#noteWriting(key, written)
  }

  /** Writes a row; whether it is on the disk, when that is known. */
  async writeSynced(key: PartitionKey, value: Uint8Array): Promise<boolean> {
    const { rows } = this.#parts
    if (rows === undefined) return true
    const writing = writeSynced(rows.journal, { key: producersKey(key), value })
    this.#noteWriting(key, writing)
    const isWritten = await writing
    if (isWritten) this.rows += 1
    else this.rowFailures += 1
    return isWritten
  }

  /** Removes the row of a partition that is gone; settled when that is synced. Does nothing where there is none. */
  forget(key: PartitionKey): Effect.Effect<void, StorageError> {
    const { rows } = this.#parts
    if (rows === undefined) return Effect.void
    const forget = async (): Promise<boolean> => {
      await this.#writing.get(nameOf(key))
      const rowKey = producersKey(key)
      return rows.store.get(rowKey) === undefined || writeSynced(rows.journal, { key: rowKey, value: undefined })
    }
    const message = "the journal takes nothing now"
    return Effect.promise(forget).pipe(
      Effect.flatMap((isDone) =>
        isDone ? Effect.void : Effect.fail(new StorageError({ engine: "journal", reason: new Unusable({ message }) }))
      )
    )
  }

  fault(key: PartitionKey, line: string): void {
    this.#parts.log(`partition ${key.partition} of ${key.topicId}: ${line}`)
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve))
  }

  #noteWriting(key: PartitionKey, writing: Promise<unknown>): void {
    const name = nameOf(key)
    this.#writing.set(name, writing)
    void writing.finally(() => {
      if (this.#writing.get(name) === writing) this.#writing.delete(name)
    })
  }

  #next(): LogProducers | undefined {
    this.#hand ??= this.#logs.values()
    const { value, done } = this.#hand.next()
    if (done !== true) return value
    this.#hand = undefined
    return undefined
  }
}

function keyOf({ topic, partition }: LogName): PartitionKey {
  return { tenant: topic.tenant, topicId: logIdOf(topic), partition }
}

function nameOf({ tenant, topicId, partition }: PartitionKey): string {
  return `${tenant}/${topicId}/${partition}`
}
