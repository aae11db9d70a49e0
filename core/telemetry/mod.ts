/** Metrics and logs. */
export { LineLog, Log, type LogOptions, type LogShape } from "./Log.ts"
export type { LogFields, LogLevel, LogValue } from "./log-line.ts"
export * from "./Telemetry.ts"
