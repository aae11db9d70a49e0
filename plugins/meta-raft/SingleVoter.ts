/**
 * Consensus of one voter: its own vote is the majority, and what it has stored is committed.
 *
 * Term, vote and entries are those of Raft, so that what one voter stored is a log that several can go on with.
 *
 * Invariants: those of Consensus.ts. Besides, since nobody else can have been leader, all that is stored at the start is committed.
 */
import { assert } from "../../core/mod.ts"
import {
  type Consensus,
  type Entry,
  type HardState,
  type Message,
  type Ready,
  type Role,
  type StoredState,
  StoredStateFault
} from "./Consensus.ts"

const NO_DATA = new Uint8Array(0)

export interface SingleVoterOptions {
  /** This voter; above 0. */
  readonly id: number
  /** Ticks without a leader after which it stands for election. */
  readonly electionTicks: number
  readonly stored: StoredState
}

export class SingleVoter implements Consensus {
  role: Role = "follower"
  lastIndex: number
  readonly #id: number
  readonly #electionTicks: number
  #ticks = 0
  #term: number
  #vote: number
  #commit: number
  #stored: HardState
  #storedIndex: number
  /** Appended and not known to be stored. */
  #unstored: Array<Entry> = []
  /** Committed and not known to be applied. */
  #unapplied: Array<Entry>
  #out: Ready | undefined

  /** Throws {@link StoredStateFault} where the entries are no log, or committed ones are missing. */
  constructor({ id, electionTicks, stored }: SingleVoterOptions) {
    assert(id > 0, "a voter's number is above 0")
    const { hardState, snapshotIndex, snapshotTerm, entries } = stored
    let before = { index: snapshotIndex, term: snapshotTerm }
    for (const entry of entries) {
      if (entry.index !== before.index + 1 || entry.term < before.term || entry.term > hardState.term) {
        const found = `entry ${entry.index} of term ${entry.term} follows entry ${before.index} of term ${before.term}`
        throw new StoredStateFault(`${found}, and the voter's term is ${hardState.term}`)
      }
      before = entry
    }
    if (hardState.commit > before.index) {
      throw new StoredStateFault(`entry ${hardState.commit} was committed, and the log ends with entry ${before.index}`)
    }
    this.#id = id
    this.#electionTicks = electionTicks
    this.#term = hardState.term
    this.#vote = hardState.vote
    this.#stored = hardState
    this.lastIndex = before.index
    this.#storedIndex = before.index
    this.#commit = before.index
    this.#unapplied = [...entries]
  }

  get hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#commit }
  }

  tick(): void {
    if (this.role === "leader") return
    this.#ticks += 1
    if (this.#ticks >= this.#electionTicks) this.campaign()
  }

  campaign(): void {
    if (this.role === "leader") return
    this.#ticks = 0
    this.#term += 1
    this.#vote = this.#id
    // Its own vote is all that there is to win; vote and first entry are stored together, and nothing is committed before.
    this.role = "leader"
    this.#append(NO_DATA)
  }

  propose(data: Uint8Array): number {
    assert(data.length > 0, "a proposal has data; an entry without is a leader's first")
    return this.role === "leader" ? this.#append(data) : 0
  }

  /** There is no other voter: what claims to come from one is dropped, as Raft drops what comes from outside of its configuration. */
  step(_message: Message): void {}

  get hasReady(): boolean {
    return this.#unstored.length > 0 || this.#unapplied.length > 0 || this.#isVoteUnstored()
  }

  ready(): Ready {
    assert(this.#out === undefined, "one Ready is out at a time")
    const entries = this.#unstored.slice()
    const isStoring = entries.length > 0 || this.#isVoteUnstored()
    this.#out = {
      hardState: isStoring ? this.hardState : undefined,
      entries,
      committed: this.#unapplied.slice(),
      messages: []
    }
    return this.#out
  }

  advance(): void {
    const { hardState, entries } = this.#takeOut()
    if (hardState !== undefined) this.#stored = hardState
    this.#unstored.splice(0, entries.length)
    this.#unapplied.push(...entries)
    this.#storedIndex += entries.length
    this.#commit = this.#storedIndex
  }

  lost(): void {
    this.#takeOut()
    this.role = "follower"
    this.#ticks = 0
    this.#term = this.#stored.term
    this.#vote = this.#stored.vote
    this.#unstored = []
    this.lastIndex = this.#storedIndex
  }

  #isVoteUnstored(): boolean {
    return this.#term !== this.#stored.term || this.#vote !== this.#stored.vote
  }

  #append(data: Uint8Array): number {
    this.lastIndex += 1
    this.#unstored.push({ index: this.lastIndex, term: this.#term, data })
    return this.lastIndex
  }

  #takeOut(): Ready {
    const out = this.#out
    assert(out !== undefined, "what is done was asked for")
    this.#out = undefined
    this.#unapplied.splice(0, out.committed.length)
    return out
  }
}
