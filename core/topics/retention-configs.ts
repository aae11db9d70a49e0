/** retention.ms and retention.bytes of Kafka, and the retention of a topic: the same said in two ways. */
import type { Retention } from "./TopicInfo.ts"

export const RETENTION_MS = "retention.ms"
export const RETENTION_BYTES = "retention.bytes"

/** What is longer is for ever: a hundred years. */
const MS_MAX = 3_153_600_000_000

/** Milliseconds of {@link Retention}. Kafka's 0, which keeps nothing, is the least that can be said here. */
export function retentionMsOf(value: string): number {
  const ms = Number(value)
  if (ms < 0 || ms > MS_MAX) return 0
  return Math.max(1, ms)
}

/** Bytes of {@link Retention}, as {@link retentionMsOf}. */
export function retentionBytesOf(value: string): number {
  const bytes = Number(value)
  if (bytes < 0 || bytes > Number.MAX_SAFE_INTEGER) return 0
  return Math.max(1, bytes)
}

/** Both as Kafka writes them. */
export function retentionConfigs({ ms, bytes }: Retention): Readonly<Record<string, string>> {
  return { [RETENTION_MS]: ms === 0 ? "-1" : String(ms), [RETENTION_BYTES]: bytes === 0 ? "-1" : String(bytes) }
}

/** `retention` with what `configs` say of it. */
export function withRetentionConfigs(retention: Retention, configs: Readonly<Record<string, string>>): Retention {
  const { [RETENTION_MS]: ms, [RETENTION_BYTES]: bytes } = configs
  if (ms === undefined && bytes === undefined) return retention
  return {
    ms: ms === undefined ? retention.ms : retentionMsOf(ms),
    bytes: bytes === undefined ? retention.bytes : retentionBytesOf(bytes)
  }
}
