/** Metrics and logs. */
export * from "./Telemetry.ts"
