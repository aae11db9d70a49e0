/**
 * The queue logs of all shards as a protocol reads them: what durable sessions may still want, each message once. A session keeps a
 * position in each log and reads on from there with its own filters.
 *
 * Invariants
 *  - Offsets of a log rise and are never given to two messages, over restarts and failures too. There are gaps.
 *  - A reader that goes on until `isAtEnd` and then takes the live messages (`Message.queue`, `Message.queueOffset`) has each matching
 *    message exactly once: those that follow have offsets at or above `next`, those before it have come.
 *  - What comes from another shard comes in its place among the messages from there: receivers are called in place, never later.
 *  - Messages that are handed out are shared by all who asked for them, and must not be changed. Message expiry is the reader's affair.
 */
import { Context } from "effect"
import type { Message } from "../ingress/Message.ts"

/**
 * What a reader wants: one tenant's messages that match at least one of these filters (MQTT filters, valid, not shared ones), or all of
 * them where there is no filter.
 */
export interface QueueSelection {
  readonly tenant: number
  /** Must not change. Give the same object again: what is derived from it is kept with it. */
  readonly filters: ReadonlyArray<string>
}

/** How much one read may bring: at least one message, whatever its size. */
export interface QueueReadLimits {
  readonly messagesMax: number
  readonly bytesMax: number
}

export interface QueueRead {
  /** In the order of their offsets, owned. */
  readonly messages: ReadonlyArray<Message>
  /** Where to go on: everything that matches below it has been read, or is gone. */
  readonly next: number
  /** Nothing was left at or above `next` at that moment. Else read again; or, where `next` >= `highWatermark`, wait for a commit. */
  readonly isAtEnd: boolean
  /** The first offset that may be there. Below it is what nobody needs any more, what was lost, and offsets that were never given. */
  readonly startOffset: number
  /** One past the last message that a bound of the log took away: whoever has read less than that may have lost some; 0 = there was none. */
  readonly lostTo: number
  /** One past the last message that was appended. */
  readonly endOffset: number
  /** One past the last one that is committed. */
  readonly highWatermark: number
}

/** How many messages wait, and the bytes that they hold in memory. */
export interface QueueCount {
  readonly messages: number
  readonly bytes: number
  /** Where counting stopped: at the bound, or at what one call may do. Go on from here. */
  readonly next: number
  /** Nothing was left to count at or above `next`. */
  readonly isAtEnd: boolean
  /** No more messages than these are in the log, whoever wants them; and so for their bytes. */
  readonly logMessages: number
  readonly logBytes: number
}

/** Told once that a log has committed messages at or above the offset that was named. */
export interface QueueWaiter {
  queueAdvanced(): void
}

/** Gets a result in its place among the messages from that log; where its shard cannot tell, `failed` is called instead. */
export interface QueueReceiver<Result> {
  received(result: Result): void
  failed(error: Error): void
}

/** Told that messages were lost that a journal had refused to commit: those with offsets from `from` on and below `end`. */
export type QueueLossListener = (log: number, from: number, end: number) => void

export interface QueueLogsShape {
  /** Logs, one a shard, numbered from 0. */
  readonly count: number
  /** The log of this shard. */
  readonly local: number
  /**
   * Reads from `position` on. The receiver is called in place: before this returns where the log is this shard's and everything is in
   * memory, else later. With `includeUncommitted` messages above the high watermark come too, up to the first one of QoS 2.
   */
  read(
    log: number,
    position: number,
    selection: QueueSelection,
    limits: QueueReadLimits,
    includeUncommitted: boolean,
    receiver: QueueReceiver<QueueRead>
  ): void
  /** Counts what matches from `position` on, up to about `messagesMax`; with 0 it only tells of the log, and reads nothing. */
  countWaiting(
    log: number,
    position: number,
    selection: QueueSelection,
    messagesMax: number,
    receiver: QueueReceiver<QueueCount>
  ): void
  /** Tells `waiter` once when the log's high watermark is above `offset`, in a turn of its own; the result takes it back. */
  watch(log: number, offset: number, waiter: QueueWaiter): () => void
  /** Where a log ends now: the position of a session that wants only what comes from here on. */
  end(log: number, receiver: QueueReceiver<number>): void
  /** The same of all logs. Not in place: for what is not delivered yet. */
  ends(): Promise<ReadonlyArray<number>>
  /**
   * Says the lowest position in `log` that a session of this shard needs; `Infinity` = none does. The log is trimmed up to the lowest that
   * any shard has said, not before each has said one.
   */
  need(log: number, position: number): void
  /** Tells of lost messages of any log, for the life of the shard. */
  onLost(listener: QueueLossListener): void
}

export class QueueLogs extends Context.Service<QueueLogs, QueueLogsShape>()("manifold/core/queue/QueueLogs") {}
