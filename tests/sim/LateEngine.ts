/**
 * An engine that commits some time after its appends, as one does that waits for a disk: over the memory engine's partitions, with a
 * high watermark of its own. Commits of a partition come in order, several appends at once now and then.
 */
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  Clock,
  type ClockShape,
  CONTRACT_VERSION,
  type Engine,
  Engines,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionEvents,
  recordBatch,
  type StoragePlugin
} from "../../core/mod.ts"
import type { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { makeMemoryEngine } from "../../plugins/storage-memory/engine.ts"

export const LATE_ENGINE = "late"
const EMPTY = new Uint8Array(0)
/** Makes its timers known from those of the broker, which have whole milliseconds. */
const ODD_MS = 0.125
const BYTES_MAX = 1_073_741_824

class LatePartition implements Partition {
  highWatermark: number
  readonly #memory: Partition
  readonly #commitIn: (commit: () => void) => void
  readonly #events: PartitionEvents
  #isSyncing = false

  constructor(memory: Partition, events: PartitionEvents, commitIn: (commit: () => void) => void) {
    this.#memory = memory
    this.#events = events
    this.#commitIn = commitIn
    this.highWatermark = memory.highWatermark
  }

  get logStartOffset(): number {
    return this.#memory.logStartOffset
  }
  get logEndOffset(): number {
    return this.#memory.logEndOffset
  }
  get leaderEpoch(): number {
    return this.#memory.leaderEpoch
  }
  get sizeBytes(): number {
    return this.#memory.sizeBytes
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    const offset = this.#memory.tryAppendUnsafe(bytes, start, end, recordCount)
    if (offset >= 0) this.#sync()
    return offset
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    if (offset === this.highWatermark) return EMPTY
    const bytes = this.#memory.readUnsafe(offset, maxBytes)
    return bytes === undefined ? undefined : this.#committedPart(bytes)
  }
  async read(offset: number, maxBytes: number): Promise<Uint8Array> {
    return offset === this.highWatermark ? EMPTY : this.#committedPart(await this.#memory.read(offset, maxBytes))
  }
  offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined> {
    return this.#memory.offsetForTimestamp(timestamp)
  }
  deleteBefore(offset: number): Promise<number> {
    return this.#memory.deleteBefore(offset)
  }
  truncateTo(offset: number): Promise<number> {
    return this.#memory.truncateTo(offset)
  }

  /** One sync serves all that was appended before it began. */
  #sync(): void {
    if (this.#isSyncing) return
    this.#isSyncing = true
    const end = this.logEndOffset
    this.#commitIn(() => {
      this.#isSyncing = false
      this.highWatermark = end
      this.#events.committed()
      if (this.logEndOffset > end) this.#sync()
    })
  }

  #committedPart(bytes: Uint8Array): Uint8Array {
    let end = 0
    while (end < bytes.length && recordBatch.baseOffset(bytes, end) < this.highWatermark) {
      end += recordBatch.batchSize(bytes, end, bytes.length)
    }
    return bytes.subarray(0, end)
  }
}

/** Brings the engine; a commit comes `delayMsMax` after its append at the latest. */
export function lateEngine(chance: Xoshiro128, delayMsMax: number): StoragePlugin {
  const makeEngine = (clock: ClockShape, memory: Engine): Engine => {
    const commitIn = (commit: () => void): void => void clock.after(chance.below(delayMsMax + 1) + ODD_MS, commit)
    return {
      modes: ["persistent"],
      open: (key, options) =>
        memory.open(key, options).pipe(Effect.map((log) => new LatePartition(log, options.events, commitIn))),
      remove: (key) => memory.remove(key)
    }
  }
  const layer = Layer.effectDiscard(
    Effect.gen(function* () {
      const engines = yield* Engines
      const clock = yield* Clock
      const memory = yield* Effect.acquireRelease(
        Effect.sync(() => makeMemoryEngine({ partition_bytes_max: BYTES_MAX, total_bytes_max: BYTES_MAX }, clock)),
        (made) => Effect.sync(() => made.close())
      )
      yield* engines.register(LATE_ENGINE, makeEngine(clock, memory))
    })
  )
  return {
    name: "late-engine",
    version: "0.0.0",
    contractVersion: CONTRACT_VERSION,
    kind: "storage",
    runs: "shard",
    engines: [{ name: LATE_ENGINE, modes: ["persistent"] }],
    options: v.strictObject({}),
    layer: () => layer
  }
}
