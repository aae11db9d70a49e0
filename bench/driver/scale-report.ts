/** The figures that only one kind of scenario has, as parts of its report. Latencies in microseconds, memory in MiB. */
import type { Percentiles } from "./report.ts"

/** A client that asked for all retained messages. */
export interface RetainedFigures {
  readonly messages: number
  /** Payloads and topic names of all of them. */
  readonly dataMiB: number
  /** Growth of the broker's memory over publishing them. */
  readonly growthMiB: number
  /** PUBACKs a second while they were published. */
  readonly publishedPerSecond: number
  /** From SUBSCRIBE to the first retained message: the median over the clients, and the slowest. */
  readonly firstMs: number
  readonly firstMsMax: number
  /** From SUBSCRIBE to the last retained message, median. */
  readonly allMs: number
  /** Latency of the pair beside while nothing else happened; the report's own latency is that during the deliveries. */
  readonly quiet: Percentiles
}
