/**
 * What retention deleted: counted by its reason, and told to an operator. The same for every engine that is fed from the journal.
 *
 * Bytes are those of batches; offsets count records. Lines are bounded: {@link LINES_PER_CHECKPOINT} for each checkpoint, the largest
 * first and one line for the rest, and of all of them as many as the log lets through in its window.
 */
import { Effect, type Scope } from "effect"
import type { PartitionKey } from "../log/Engines.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"

/**
 * Why records were deleted: they were older than their topic keeps any ("time"), their partition had more than it keeps ("bytes",
 * "records"), the data directory was nearly as full as it may be ("budget"), their tenant had more than it may have ("tenant").
 */
export const RETENTION_REASONS = ["time", "bytes", "records", "budget", "tenant"] as const
export type RetentionReason = (typeof RETENTION_REASONS)[number]

/** Records of one partition that went for one reason: offsets from `from` on and below `to`. */
export interface DeletedRange {
  readonly key: PartitionKey
  readonly reason: RetentionReason
  readonly from: number
  readonly to: number
  readonly bytes: number
}

/** Partitions of which one checkpoint tells one by one. */
export const LINES_PER_CHECKPOINT = 10

export interface RetentionTallyParts {
  /** For messages and the label of metrics: "sqlite". */
  readonly engine: string
  readonly log: LogShape
  /** The name of a topic by its id; undefined where nobody knows it any more. */
  readonly topicName: (id: string) => string | undefined
}

export class RetentionTally {
  /** Since the start. */
  readonly bytes = zeros()
  readonly records = zeros()
  readonly #parts: RetentionTallyParts

  constructor(parts: RetentionTallyParts) {
    this.#parts = parts
  }

  /** A checkpoint has let go of these. */
  add(ranges: ReadonlyArray<DeletedRange>): void {
    if (ranges.length === 0) return
    for (const { reason, from, to, bytes } of ranges) {
      this.bytes[reason] += bytes
      this.records[reason] += to - from
    }
    const { log } = this.#parts
    if (!log.isEnabled("info")) return
    const told =
      ranges.length > LINES_PER_CHECKPOINT ? ranges.toSorted((one, other) => other.bytes - one.bytes) : ranges
    for (const range of told.slice(0, LINES_PER_CHECKPOINT)) this.#tell(range)
    const rest = told.slice(LINES_PER_CHECKPOINT)
    if (rest.length === 0) return
    const bytes = rest.reduce((sum, range) => sum + range.bytes, 0)
    log.info("retention", "records of more partitions were deleted", {
      engine: this.#parts.engine,
      ranges: rest.length,
      bytes
    })
  }

  #tell({ key, reason, from, to, bytes }: DeletedRange): void {
    const { engine, log, topicName } = this.#parts
    const topic = topicName(key.topicId) ?? key.topicId
    log.info("retention", "records were deleted", { topic, partition: key.partition, from, to, bytes, reason, engine })
  }
}

/** What a scrape is told of a tally, with the engine and the reason as labels. */
export function registerRetention(
  telemetry: TelemetryShape,
  { bytes, records }: RetentionTally,
  labels: Readonly<Record<string, string>>
): Effect.Effect<void, never, Scope.Scope> {
  const prefix = "manifold_storage_retention"
  return Effect.forEach(
    RETENTION_REASONS,
    (reason) => {
      const own = { ...labels, reason }
      return Effect.andThen(
        telemetry.counterOf(
          `${prefix}_bytes_total`,
          "Bytes of batches that retention deleted",
          () => bytes[reason],
          own
        ),
        telemetry.counterOf(`${prefix}_records_total`, "Records that retention deleted", () => records[reason], own)
      )
    },
    { discard: true }
  )
}

/** Adds a range to those of a partition, behind the last: what went on for the same reason is one. */
export function addRange(ranges: Array<DeletedRange>, range: DeletedRange): void {
  const last = ranges.at(-1)
  if (last === undefined || last.reason !== range.reason || last.to !== range.from) ranges.push(range)
  else ranges[ranges.length - 1] = { ...last, to: range.to, bytes: last.bytes + range.bytes }
}

function zeros(): Record<RetentionReason, number> {
  return { time: 0, bytes: 0, records: 0, budget: 0, tenant: 0 }
}
