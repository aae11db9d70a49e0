/**
 * The one ordered write-ahead log of a shard, and the receipts for what was given to it.
 *
 * What is submitted during one turn of the loop stands in one entry, and happens as a whole or not at all: the append of a message,
 * its retained state, the packet identifier it came under. `submit` returns a ticket; `committed` of its stream only rises. One
 * write and one sync commit all that waits, across all topics and sessions.
 *
 * Invariants
 *  - Entries have indexes that rise by one; committed entries are never changed, and never lost but by the power where their
 *    operations asked for no more than "hybrid".
 *  - Key-value writes are applied to the store when their entry is committed, in order; then consumers are told, then who waits for
 *    the tickets, before the turn's output is written.
 *  - After a write or a sync that failed, every ticket that was not committed ends with a refusal.
 */
import { Context } from "effect"
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"
import type { TicketStream } from "./TicketStream.ts"

export { decodeWrites, encodeWrites } from "./key-value-writes.ts"
export { TicketStream, type TicketWaiter } from "./TicketStream.ts"

/** When an operation counts as committed: the operating system has it, or it is synced. */
export type Durability = "hybrid" | "persistent"

/** Key-value writes of one client action. The arrays and their bytes are the journal's from then on and must not change. */
export interface JournalEntry {
  readonly writes: ReadonlyArray<KeyValueWrite>
}

/** Whose an operation is. Numbers stand on disk and are never given to another. */
export const KIND_KEY_VALUE = 1
/** Partitions of the built-in sqlite engine. */
export const KIND_SQLITE = 2
/** The meta store's log. */
export const KIND_META = 3
/** Partitions of the built-in engine segment. */
export const KIND_SEGMENT = 4

/** A state machine that is fed from the journal and keeps checkpoints of its own. */
export interface JournalConsumer {
  /** For messages: "storage-sqlite". */
  readonly name: string
  /** The kinds of operations that are its own; the key-value store's owner has {@link KIND_KEY_VALUE} among them. */
  readonly kinds: ReadonlyArray<number>
  /** Entries up to this one are in its own durable state: their segments may go. Rises only; 0 = none. */
  readonly appliedIndex: number
  /** It has never put anything away: what the journal has let go of was none of its own. Asked before recovery. */
  readonly isFresh?: boolean
  /** Recovery, of one that is fresh: entries up to this one are gone, and none of them was its own. Before anything is replayed. */
  beginsBehind?(index: number): void
  /** Recovery: an operation of an entry above `appliedIndex`, in order, at `bytes[start, end)`, borrowed until this returns. */
  replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void
  /** Operations of this durability in entries up to `index` are committed; key-value writes among them have been applied. */
  committed(index: number, durability: Durability): void
  /**
   * Operations in entries from `index` on that were not told as committed are lost: a write or a sync failed, or they were refused.
   * `refusal` is what their tickets end with. Told before the tickets end, and again for each turn that submits while all is refused.
   */
  lost(index: number, refusal: number): void
  /** The journal wants its segments back: bring `appliedIndex` near the present soon, then call {@link JournalShape.released}. */
  checkpoint(): void
}

export interface JournalShape {
  /** Receipts for key-value writes, and for all operations of the durability that this node asks for its state. */
  readonly tickets: TicketStream
  /** Receipts of operations of a durability. */
  ticketsOf(durability: Durability): TicketStream
  /** 0, or why nothing can be committed now: `DISK_FULL`, `FAILED` or `BACKLOG`. What is submitted all the same ends with it. */
  readonly refusal: number
  /** The refusal is `BACKLOG`, and it gives way: what can wait need not be refused. Absent = false. */
  readonly isHeldUp?: boolean
  /** The entry that takes what is submitted now. */
  readonly nextIndex: number
  /** Entries up to this one are synced. */
  readonly syncedIndex: number
  /** Takes key-value writes for this turn's entry; returns the ticket of {@link JournalShape.tickets}. */
  submit(entry: JournalEntry): number
  /**
   * Takes an operation for this turn's entry: `head`, then `bytes[start, end)`, both copied before it returns. Returns its ticket of
   * `ticketsOf(durability)`.
   */
  submitOperation(
    kind: number,
    durability: Durability,
    head: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number
  ): number
  /** Adds a consumer; before recovery only. Its operations are replayed to it, and nothing is recycled that it has not applied. */
  register(consumer: JournalConsumer): void
  /** A consumer's `appliedIndex` has risen. */
  released(): void
  /** Settled when entries up to `index`, at most the one that is gathered, are synced; rejects with `StorageError` where they are lost. Asks for a sync if none is due. */
  whenSynced(index: number): Promise<void>
}

export class Journal extends Context.Service<Journal, JournalShape>()("manifold/core/journal/Journal") {}
