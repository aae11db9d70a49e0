/** Metrics and logs. */
export { DURATION_SECONDS_BOUNDS, Histogram, SIZE_BYTES_BOUNDS } from "./Histogram.ts"
export { LineLog, Log, type LogOptions, type LogShape } from "./Log.ts"
export type { LogFields, LogLevel, LogValue } from "./log-line.ts"
export type { Labels } from "./prometheus-text.ts"
export type { MetricsSnapshot } from "./snapshot.ts"
export * from "./Telemetry.ts"
