/** What one shard's Kafka connections count: plain numbers, raised on the way, read when metrics are scraped. */

/** Why we ended a connection. */
export const CLOSE_CAUSES = [
  "frame_size",
  "malformed_header",
  "malformed_body",
  "unknown_api",
  "unsupported_version",
  "produce_unacknowledged",
  "held_bytes",
  "idle",
  "stalled",
  "internal"
] as const
export type CloseCause = (typeof CLOSE_CAUSES)[number]

export class Counts {
  connectionsOpen = 0
  connectionsAccepted = 0
  receivedBytes = 0
  sentBytes = 0
  producedBatches = 0
  producedRecords = 0
  producedBytes = 0
  fetchedBytes = 0
  /** Fetch requests that wait for records now. */
  fetchesWaiting = 0
  /** Answers after which a connection was not read for a while, for its client is over its quota. */
  throttled = 0
  /** Requests by API key. */
  readonly requests = new Map<number, number>()
  /** Error codes in answers, by code. */
  readonly errors = new Map<number, number>()
  /** Batches that Produce refused, by the cause's name (`refusalName`). */
  readonly refusedBatches = new Map<string, number>()
  readonly closed = new Map<CloseCause, number>()

  request(apiKey: number): void {
    this.requests.set(apiKey, (this.requests.get(apiKey) ?? 0) + 1)
  }

  /** Counts an error of an answer; 0 is none. Returns it. */
  error(code: number): number {
    if (code !== 0) this.errors.set(code, (this.errors.get(code) ?? 0) + 1)
    return code
  }

  refusedBatch(cause: string): void {
    this.refusedBatches.set(cause, (this.refusedBatches.get(cause) ?? 0) + 1)
  }

  close(cause: CloseCause): void {
    this.closed.set(cause, (this.closed.get(cause) ?? 0) + 1)
  }
}
