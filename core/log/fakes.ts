/** For tests: an engine whose partitions are arrays of batches. Core imports no plugin, not in tests either. */
import { Effect } from "effect"
import { assert } from "../assert.ts"
import { checkRecords, defaultRecordLimits } from "./check-records.ts"
import type { Engine, Partition, PartitionEvents, PartitionKey, PartitionLimits, PartitionOptions } from "./Engines.ts"
import { RecordCursor } from "./RecordCursor.ts"
import { checkBatch, recordCount, writeBaseOffset } from "./record-batch.ts"

/** Batches in an array; refuses when it is told to. */
export class ArrayPartition implements Partition {
  readonly batches: Array<Uint8Array> = []
  logStartOffset = 0
  logEndOffset = 0
  leaderEpoch = 3
  sizeBytes = 0
  refusal = 0
  get highWatermark(): number {
    return this.logEndOffset
  }
  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number {
    if (this.refusal !== 0) return this.refusal
    const batch = new Uint8Array(bytes.subarray(start, end))
    assert(checkBatch(batch, 0, batch.length) === 0, "an engine is given whole batches")
    assert(checkRecords(batch, 0, batch.length, defaultRecordLimits) === 0, "an engine is given whole records")
    assert(recordCount(batch, 0) === records, "an engine is told how many records there are")
    const baseOffset = this.logEndOffset
    writeBaseOffset(batch, 0, baseOffset)
    this.batches.push(batch)
    this.logEndOffset += records
    this.sizeBytes += batch.length
    return baseOffset
  }
  readUnsafe(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.batches))
  }
  read(): Promise<Uint8Array> {
    return Promise.resolve(this.readUnsafe())
  }
  offsetForTimestamp(timestamp: number): Promise<{ offset: number; timestamp: number } | undefined> {
    return Promise.resolve(this.logEndOffset === 0 ? undefined : { offset: 0, timestamp })
  }
  deleteBefore(): Promise<number> {
    return Promise.resolve(0)
  }
  truncateTo(): Promise<number> {
    return Promise.resolve(0)
  }
  relimit(_limits: PartitionLimits): void {}
}

/** One whose appends are committed when the test says so. */
export class LatePartition extends ArrayPartition {
  events: PartitionEvents | undefined
  #highWatermark = 0
  override get highWatermark(): number {
    return this.#highWatermark
  }
  commit(offset = this.logEndOffset): void {
    this.#highWatermark = offset
    this.events?.committed()
  }
  fail(): void {
    while (this.logEndOffset > this.#highWatermark) {
      const batch = this.batches.pop()
      assert(batch !== undefined, "what was not committed is still there")
      this.logEndOffset -= recordCount(batch, 0)
    }
    this.leaderEpoch += 1
    this.events?.failed("the disk said no")
  }
}

/** An engine of such partitions, by `tenant/topicId/partition`. */
export class ArrayEngine implements Engine {
  readonly modes = ["memory", "persistent"] as const
  readonly partitions = new Map<string, ArrayPartition>()

  /** In mode persistent a partition is a {@link LatePartition}. */
  open(key: PartitionKey, { mode, events }: PartitionOptions): Effect.Effect<Partition> {
    return Effect.sync(() => {
      const name = nameOf(key)
      const known = this.partitions.get(name) ?? (mode === "memory" ? new ArrayPartition() : new LatePartition())
      if (known instanceof LatePartition) known.events = events
      this.partitions.set(name, known)
      return known
    })
  }

  remove(key: PartitionKey): Effect.Effect<void> {
    return Effect.sync(() => void this.partitions.delete(nameOf(key)))
  }
}

function nameOf({ tenant, topicId, partition }: PartitionKey): string {
  return `${tenant}/${topicId}/${partition}`
}

/** Every record stored, as "offset key=value". */
export function storedIn(partition: ArrayPartition): ReadonlyArray<string> {
  const text = new TextDecoder()
  const cursor = new RecordCursor()
  const found: Array<string> = []
  for (const batch of partition.batches) {
    cursor.reset(batch, 0, batch.length)
    while (cursor.next()) {
      const key = text.decode(cursor.bytes.subarray(cursor.keyStart, cursor.keyEnd))
      const value =
        cursor.valueStart < 0 ? "null" : text.decode(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd))
      found.push(`${cursor.offset} ${key}=${value}`)
    }
  }
  return found
}
