/** Appending in memory: batches to the ring of a partition, and messages to a log over it, with offsets that are reserved and without. */
import { messageOf } from "../../core/ingress/fakes.ts"
import { MemoryJournal } from "../../core/journal/MemoryJournal.ts"
import { RecordBatchBuilder } from "../../core/log/mod.ts"
import { PartitionLog } from "../../core/log/PartitionLog.ts"
import { OffsetReservation, ReservedOffsets } from "../../core/log/ReservedOffsets.ts"
import type { PartitionLimits, TopicInfo } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { TurnLoop } from "../../core/platform/Turn.ts"
import { makeMemoryEngine } from "../../plugins/storage-memory/engine.ts"
import { MemoryPartition } from "../../plugins/storage-memory/MemoryPartition.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const BATCHES = 1_000
const MESSAGES = 10_000
const SETTINGS = { partition_bytes_max: 67_108_864, total_bytes_max: 1_073_741_824 }
const UNLIMITED = Number.POSITIVE_INFINITY
const WIDE = { sizeBytesMax: SETTINGS.partition_bytes_max, recordsMax: UNLIMITED }
const START = { offset: 0, leaderEpoch: 0 }
/** What is appended ages for real, and nothing waits for the end of it when the process is done. */
const CLOCK = { monotonicMs: systemClock.monotonicMs, after: () => ({ cancel: () => {} }) }

function batchOf(records: number, valueBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(valueBytes).fill(0x2e)
  for (let index = 0; index < records; index++) builder.append(1, undefined, 0, 0, value, 0, valueBytes)
  return builder.bytes.slice(0, builder.finish())
}

function partitionOf(limits: PartitionLimits): MemoryPartition {
  const { budget, ages } = makeMemoryEngine(SETTINGS, CLOCK)
  return new MemoryPartition(limits, { budget, ages, monotonicMs: CLOCK.monotonicMs }, START)
}

/** Each run goes on where the last one ended, on a ring that is full by then. */
function append(name: string, records: number, valueBytes: number, limits: PartitionLimits): MicroCase {
  const batch = batchOf(records, valueBytes)
  const partition = partitionOf(limits)
  for (let held = 0; held < Math.min(limits.sizeBytesMax, SETTINGS.partition_bytes_max); held += batch.length) {
    partition.tryAppendUnsafe(batch, 0, batch.length, records)
  }
  return {
    name,
    bytes: batch.length,
    operations: BATCHES,
    run: () => {
      const before = partition.logEndOffset
      for (let count = 0; count < BATCHES; count++) partition.tryAppendUnsafe(batch, 0, batch.length, records)
      return partition.logEndOffset - before + partition.sizeBytes
    }
  }
}

/** A reservation whose first block is there. */
async function reserved(): Promise<OffsetReservation> {
  const journal = new MemoryJournal(new TurnLoop(systemClock))
  journal.bind({ get: () => undefined, range: () => [], rangeLater: async () => [], apply: () => {}, size: 0 })
  const offsets = new ReservedOffsets({ journal, store: { get: () => undefined }, clock: systemClock })
  const reservation = new OffsetReservation(offsets, new Uint8Array(1), START)
  await reservation.ready
  return reservation
}

/** Each run is a log of its own, which ends long before its offsets do. */
function take(name: string, reservation: OffsetReservation | undefined): MicroCase {
  const parts = { clock: systemClock, turn: new TurnLoop(systemClock), reservation }
  const topic: TopicInfo = {
    tenant: 0,
    name: "t",
    id: "t",
    partitions: 1,
    engine: "memory",
    mode: "memory",
    origin: "admin"
  }
  const message = messageOf("devices/room1/sensor", new Uint8Array(64))
  return {
    name,
    bytes: 64,
    operations: MESSAGES,
    run: () => {
      const partition = partitionOf({ sizeBytesMax: 1_048_576, recordsMax: UNLIMITED, ageMsMax: 0 })
      const log = new PartitionLog(topic, 0, partition, parts)
      for (let count = 0; count < MESSAGES; count++) log.takeUnsafe(message)
      return log.highWatermark() + partition.sizeBytes
    }
  }
}

export const suite: MicroSuite = {
  name: "memory-append (a batch to a full ring; a message to a log over one, per message)",
  cases: [
    append("64 B, 1 a batch, 1,000 records", 1, 64, { sizeBytesMax: 1_048_576, recordsMax: 1_000, ageMsMax: 0 }),
    append("64 B, 1 a batch, 64 MiB, 7 days", 1, 64, { ...WIDE, ageMsMax: 604_800_000 }),
    append("100 B, 250 a batch, 64 MiB, 7 days", 250, 100, { ...WIDE, ageMsMax: 604_800_000 }),
    take("64 B message, offsets not reserved", undefined),
    take("64 B message, offsets reserved", await reserved())
  ]
}
