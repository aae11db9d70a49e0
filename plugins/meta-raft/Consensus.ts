/**
 * Consensus as a pure machine: messages, ticks and proposals in, what is to be stored, sent and applied out. It does no I/O and
 * knows no time; whoever drives it does, in the manner of etcd's raft.
 *
 * The driver's loop: while there is a {@link Ready}, apply `committed`, store `hardState` and `entries` together, then send
 * `messages`, then call `advance`. One Ready is out at a time.
 *
 * Invariants (Raft, section 5)
 *  - Nothing is sent and nothing counts as committed before what it rests on is stored: term, vote and entries.
 *  - `term` only rises; in one term a voter votes for one candidate; `commit` only rises.
 *  - An entry is named by its index and term; an entry that is stored again at an index takes the place of what stood there and of
 *    everything behind it.
 *
 * Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version), figures 2 and 13;
 * etcd-io/raft, `doc.go`, for the interface.
 */

/** What a voter must not forget, besides its log. */
export interface HardState {
  readonly term: number
  /** Whom it voted for in this term; 0 = nobody. */
  readonly vote: number
  /** Entries up to this one are known to be committed; may be behind. */
  readonly commit: number
}

/** One place in the log. An entry without data is the first of a leader's term. */
export interface Entry {
  readonly index: number
  readonly term: number
  readonly data: Uint8Array
}

interface Addressed {
  readonly from: number
  readonly to: number
  readonly term: number
}

export type Message =
  | (Addressed & { readonly kind: "request-vote"; readonly lastIndex: number; readonly lastTerm: number })
  | (Addressed & { readonly kind: "vote"; readonly isGranted: boolean })
  | (Addressed & {
      readonly kind: "append-entries"
      readonly previousIndex: number
      readonly previousTerm: number
      readonly entries: ReadonlyArray<Entry>
      readonly commit: number
    })
  | (Addressed & { readonly kind: "appended"; readonly isMatching: boolean; readonly index: number })
  | (Addressed & {
      readonly kind: "install-snapshot"
      readonly lastIndex: number
      readonly lastTerm: number
      readonly offset: number
      readonly data: Uint8Array
      readonly isLast: boolean
    })

export interface Ready {
  /** To be stored where it is there. */
  readonly hardState: HardState | undefined
  /** To be stored, with `hardState`. */
  readonly entries: ReadonlyArray<Entry>
  /** Committed, stored before, in order: to be applied. Each is handed out once. */
  readonly committed: ReadonlyArray<Entry>
  /** To be sent when `hardState` and `entries` are stored. */
  readonly messages: ReadonlyArray<Message>
}

export type Role = "follower" | "candidate" | "leader"

export interface Consensus {
  readonly role: Role
  readonly hardState: HardState
  /** The last entry of the log, stored or not. */
  readonly lastIndex: number
  /** A step of the driver's clock; elections and heartbeats are counted in them. */
  tick(): void
  /** Stands for election now. */
  campaign(): void
  /** Appends an entry; returns its index, or 0 where this voter is not the leader. `data` must not change from then on. */
  propose(data: Uint8Array): number
  /** Takes a message of another voter. */
  step(message: Message): void
  readonly hasReady: boolean
  /** What is to be done now. */
  ready(): Ready
  /** All of the last {@link Ready} has been done. */
  advance(): void
  /**
   * What the last {@link Ready} asked to store is lost, and so is every entry that is not stored: the voter goes on as one that was
   * started again from what is stored, as a follower.
   */
  lost(): void
}

/** What a voter starts from: its snapshot, and what it stored after that. */
export interface StoredState {
  readonly hardState: HardState
  /** The last entry that the snapshot holds; 0 = there is none. */
  readonly snapshotIndex: number
  readonly snapshotTerm: number
  /** In order, from `snapshotIndex + 1` on. */
  readonly entries: ReadonlyArray<Entry>
}

export const NOTHING_STORED: StoredState = {
  hardState: { term: 0, vote: 0, commit: 0 },
  snapshotIndex: 0,
  snapshotTerm: 0,
  entries: []
}

/** What is stored cannot be what a voter stored. */
export class StoredStateFault extends Error {
  override readonly name = "StoredStateFault"
}
