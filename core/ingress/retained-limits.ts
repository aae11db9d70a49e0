/** Bounds of retained messages, of a node or of one shard of it. */
export interface RetainedLimits {
  readonly messagesMax: number
  /** Of topic names, payloads and properties, with what a record costs beyond them. */
  readonly bytesMax: number
}

/** Bounds of a node where nothing else is asked for. */
export const RETAINED_LIMITS: RetainedLimits = { messagesMax: 1_000_000, bytesMax: 536_870_912 }

/** What one of `shards` shards may keep. */
export function shareOf({ messagesMax, bytesMax }: RetainedLimits, shards: number): RetainedLimits {
  return { messagesMax: Math.max(1, Math.floor(messagesMax / shards)), bytesMax: bytesMax / shards }
}
