/**
 * Partitions of topics as a protocol reads and writes them, wherever their owner is.
 *
 * Invariants
 *  - Nobody sees past the high watermark; a reader that asks for it sees all that was acknowledged before.
 *  - `append` is answered after the commit that the topic's mode promises, and after the batch was routed to subscribers.
 *  - What is asked for while the log is being opened is answered when that is done, in the order in which it was asked for.
 */
import { Context } from "effect"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import type { OffsetAndTimestamp } from "./Engines.ts"
import type { ReadLease } from "./ReadLease.ts"

/** The partition has no open log at its owner: unknown, or its engine refused. */
export const NOT_AVAILABLE = -5
/** The offset is below the log start or above the log end. */
export const OUT_OF_RANGE = -6

/** Instead of an offset: all that is committed. */
export const HIGH_WATERMARK = -1

export interface DeleteResult {
  /** 0, or why not: {@link NOT_AVAILABLE}, {@link OUT_OF_RANGE} or an engine's refusal. */
  readonly refusal: number
  /** Where the log starts now; -1 where nothing was done. */
  readonly logStartOffset: number
}

export interface PartitionSize {
  /** 0, or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  /** Bytes that the partition holds now. */
  readonly sizeBytes: number
}

export interface PartitionState {
  /** 0, or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  readonly logStartOffset: number
  readonly highWatermark: number
  /** One past the last record that was appended, committed or not. */
  readonly endOffset: number
  readonly leaderEpoch: number
  /** Which log it is, where one in memory begins anew under the same id: offsets of another say nothing of it. 0 = there was one only. */
  readonly incarnation: number
}

export interface PartitionLeader {
  /** 0, or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  /** -1 where it is not known: the partition is closed. */
  readonly leaderEpoch: number
}

/** `bytes` holds whole stored batches, the first one that holds the offset asked for; empty from the high watermark on. They never change. */
export interface ReadResult extends PartitionState {
  readonly bytes: Uint8Array
}

/** Where a leader epoch ends, as OffsetForLeaderEpoch answers it; with the state of the log it was found in. */
export interface EpochEnd extends PartitionState {
  /** The latest epoch of the log that is not after the one asked for; -1 where the log has not seen it. */
  readonly epoch: number
  /** One past the last offset of that epoch; -1 likewise. */
  readonly epochEndOffset: number
}

export interface AppendResult {
  /** 0, or why not: an engine's refusal, `PRODUCER_*` or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  readonly baseOffset: number
  readonly logStartOffset: number
  /** When the batch was appended, ms since 1970, where that is its records' time; else -1. */
  readonly appendTimeMs: number
}

/** An idempotent producer that wrote to a partition lately. */
export interface ActiveProducer {
  readonly id: number
  readonly epoch: number
  readonly lastSequence: number
  /** Of its last batch, ms since 1970. */
  readonly lastTimestamp: number
}

export interface ProducersResult {
  /** 0, or {@link NOT_AVAILABLE}, or why what is known cannot be told now. */
  readonly refusal: number
  readonly producers: ReadonlyArray<ActiveProducer>
}

/** Told once that a partition has records at or after the offset that was named, or that its log is another or gone: look again. */
export interface LogWaiter {
  logAdvanced(): void
}

export interface LogsShape {
  /**
   * Appends a checked batch as it was sent (but for its times, where those of the append are the topic's) and routes its records to MQTT
   * subscribers. One that an idempotent producer repeats is answered as it was, and neither stored nor routed. `bytes` is borrowed until
   * this returns.
   */
  append(
    topic: TopicInfo,
    partition: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult>
  state(topic: TopicInfo, partition: number): PartitionState | Promise<PartitionState>
  /** Whether a partition is served, without opening one that nobody uses. */
  leader(topic: TopicInfo, partition: number): PartitionLeader | Promise<PartitionLeader>
  /** With a `lease`, which its reader ends, memory of this shard is used again; what another shard answers is a copy. */
  read(
    topic: TopicInfo,
    partition: number,
    offset: number,
    maxBytes: number,
    lease?: ReadLease
  ): ReadResult | Promise<ReadResult>
  /** The idempotent producers that are known of a partition. */
  producers(topic: TopicInfo, partition: number): Promise<ProducersResult>
  offsetForTimestamp(topic: TopicInfo, partition: number, timestamp: number): Promise<OffsetAndTimestamp | undefined>
  /** Where leader epoch `epoch` ends. */
  epochEnd(topic: TopicInfo, partition: number, epoch: number): EpochEnd | Promise<EpochEnd>
  /**
   * Forgets records below `offset`, all that are committed where that is {@link HIGH_WATERMARK}; answered when it is committed. An offset
   * below the start changes nothing, one above the high watermark is refused.
   */
  deleteBefore(topic: TopicInfo, partition: number, offset: number): Promise<DeleteResult>
  /** What a partition takes; one that nobody uses is opened for that. */
  size(topic: TopicInfo, partition: number): PartitionSize | Promise<PartitionSize>
  /** Tells `waiter` once when the high watermark is above `offset`, the leader epoch rises or the log is closed, in a turn of its own; the result takes it back. */
  watch(topic: TopicInfo, partition: number, offset: number, waiter: LogWaiter): () => void
}

export class Logs extends Context.Service<Logs, LogsShape>()("manifold/core/log/Logs") {}
