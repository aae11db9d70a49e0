/** What a replay is made with, and its own measures. */

/** Until a partition that cannot be read is tried again, ms; one of a topic that has just come to be is about to be open. */
export const RETRY_MS = 1_000
export const RETRY_NEW_MS = 100

/** Offsets that are passed over without a row. */
export const PASSED_MIN = 1_000
/** What is read ahead. */
export const AHEAD = { messages: 64, bytes: 65_536 }

export interface ReplayOptions {
  readonly filter: string
  readonly qos: number
  readonly retainAsPublished: boolean
  readonly identifier: number
}
