/**
 * For tests: topics whose partitions outlive the runs of a node. What is appended is readable when it is committed, at once or when the test says
 * so; a crash takes what is not. What was committed is remembered, also what retention has taken since.
 */
import { Effect } from "effect"
import type { Partition, PartitionEvents, PartitionKey, PartitionOptions } from "../../../core/log/Engines.ts"
import { ArrayPartition } from "../../../core/log/fakes.ts"
import { RecordCursor } from "../../../core/log/RecordCursor.ts"
import { baseOffset, recordCount } from "../../../core/log/record-batch.ts"
import type { MetaEntry } from "../../../core/meta/MetaStore.ts"
import { NotingEngine } from "../../../core/topics/fakes.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { encodeTopic, topicKey } from "../../../core/topics/topic-codec.ts"
import { rangeOf } from "../session-rows.ts"
import type { TestShard } from "../testing.ts"

const decoder = new TextDecoder()

/** A record as it was stored. */
export interface Stored {
  readonly offset: number
  readonly name: string
  readonly payload: string
}

export class StoredPartition extends ArrayPartition {
  events: PartitionEvents | undefined
  /** Everything that was ever committed, by rising offsets. */
  readonly truth: Array<Stored> = []
  /** Where the log began after each trimming. */
  readonly trims: Array<number> = []
  readonly #engine: StoredEngine
  #highWatermark = 0

  constructor(engine: StoredEngine) {
    super()
    this.#engine = engine
  }

  override get highWatermark(): number {
    return this.#highWatermark
  }

  override tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number {
    const offset = super.tryAppendUnsafe(bytes, start, end, records)
    if (this.#engine.isAutomatic) this.#commit()
    return offset
  }

  /** Batches from the one that holds `offset` on, one at a time where the test wants many readings. */
  override readUnsafe(offset = 0): Uint8Array {
    const found = this.batches.filter((batch) => {
      const base = baseOffset(batch, 0)
      return base + recordCount(batch, 0) > offset && base < this.#highWatermark
    })
    return new Uint8Array(Buffer.concat(found.slice(0, this.#engine.batchesAtOnce)))
  }

  override read(offset = 0): Promise<Uint8Array> {
    return Promise.resolve(this.readUnsafe(offset))
  }

  override deleteBefore(offset = 0): Promise<number> {
    this.logStartOffset = Math.max(this.logStartOffset, Math.min(offset, this.#highWatermark))
    const isGone = (batch: Uint8Array): boolean => baseOffset(batch, 0) + recordCount(batch, 0) <= this.logStartOffset
    while (this.batches[0] !== undefined && isGone(this.batches[0])) this.batches.shift()
    this.trims.push(this.logStartOffset)
    return Promise.resolve(this.logStartOffset)
  }

  commit(): void {
    if (this.#highWatermark === this.logEndOffset) return
    this.#commit()
    this.events?.committed()
  }

  /** The process is gone: what was not committed is lost. */
  crash(): void {
    this.events = undefined
    while (this.logEndOffset > this.#highWatermark) {
      const batch = this.batches.pop()
      this.logEndOffset -= batch === undefined ? 0 : recordCount(batch, 0)
    }
    this.leaderEpoch += 1
  }

  /** Everything is gone, as of a topic in memory: it begins anew at its first offset. */
  forget(): void {
    this.batches.length = 0
    this.truth.length = 0
    this.logStartOffset = 0
    this.logEndOffset = 0
    this.#highWatermark = 0
    this.leaderEpoch += 1
  }

  #commit(): void {
    const cursor = new RecordCursor()
    for (const batch of this.batches) {
      if (baseOffset(batch, 0) < this.#highWatermark) continue
      cursor.reset(batch, 0, batch.length)
      while (cursor.next()) {
        const { bytes, keyStart, keyEnd, valueStart, valueEnd, offset } = cursor
        const name = decoder.decode(bytes.subarray(keyStart, keyEnd))
        this.truth.push({ offset, name, payload: decoder.decode(bytes.subarray(valueStart, valueEnd)) })
      }
      cursor.release()
    }
    this.#highWatermark = this.logEndOffset
  }
}

/** An engine of such partitions, for all shards of a node. */
export class StoredEngine extends NotingEngine {
  readonly stored = new Map<string, StoredPartition>()
  /** Whether appends are committed as they come. */
  isAutomatic = true
  batchesAtOnce = 1

  override open({ topicId, partition }: PartitionKey, { events }: PartitionOptions): Effect.Effect<Partition> {
    return Effect.sync(() => {
      const known = this.stored.get(`${topicId}/${partition}`) ?? new StoredPartition(this)
      known.events = events
      this.stored.set(`${topicId}/${partition}`, known)
      return known
    })
  }

  /** The partitions of a topic that are or were open. */
  of(topic: TopicInfo): ReadonlyArray<StoredPartition> {
    const found: Array<StoredPartition> = []
    for (let partition = 0; partition < topic.partitions; partition++) {
      const known = this.stored.get(`${topic.id}/${partition}`)
      if (known !== undefined) found.push(known)
    }
    return found
  }

  commit(): void {
    for (const partition of this.stored.values()) partition.commit()
  }

  crash(): void {
    for (const partition of this.stored.values()) partition.crash()
  }
}

/** What a node stores besides its sessions. */
export interface StoredTopics {
  readonly engine: StoredEngine
  readonly meta: ReadonlyArray<MetaEntry>
}

/** Topics that the meta store has from the beginning. */
export function storedTopics(topics: ReadonlyArray<TopicInfo>): StoredTopics {
  const meta = topics.map((topic) => ({ key: topicKey(topic), value: encodeTopic(topic), version: 1 }))
  return { engine: new StoredEngine(), meta }
}

export function topicOf(name: string, filter: string, partitions: number, number = 1): TopicInfo {
  const made = { tenant: 0, engine: "memory", mode: "persistent", origin: "manifest" } as const
  return { ...made, name, id: `00000000-0000-4000-8000-00000000000${number}`, partitions, filter }
}

/** Acts when a shard that looks what is needed of the queue logs has read the rows of groups and replays. */
export function amidLook({ store }: TestShard, act: () => void): void {
  const { rangeLater } = store
  const { end } = rangeOf("sc")
  store.rangeLater = (start, to, ...limits) => {
    const found = rangeLater.call(store, start, to, ...limits)
    if (Buffer.compare(to, end) === 0) {
      store.rangeLater = rangeLater
      act()
    }
    return found
  }
}
