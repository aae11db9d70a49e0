/**
 * Retained messages that an administrator takes away: nobody who subscribes hears of it.
 *
 * The owner of a name removes what it has. While names move between shards, what another one has yet to send there is older than the
 * removal, which is noted as any clearing is (see `RetainedMoves.ts`).
 *
 * Invariants
 *  - Whoever removes hears what came of it when that is for good; what the journal lost was never removed.
 *  - A removal of many goes in paces, and has a bounded number under way: nobody waits for it.
 */
import type { TopicNameCursor } from "../router/TopicNameIndex.ts"
import { MOVES_BEGUN, MOVING } from "./RetainedMoves.ts"
import type { RetainedOfShard } from "./RetainedPages.ts"
import type { RetainedValue } from "./retained-values.ts"

const REMOVE = "retained.remove"
/** Steps of a walk that are taken in one go; each is a row of the database. */
const STEPS = 32
/** Removals of one walk that wait for their commits. */
const UNDER_WAY_MAX = 1_024
/** From the end of a walk during which names moved to the next. */
const AGAIN_MS = 20

/** What came of a removal: "none" = there was nothing, "refused" = the journal takes nothing now, "moving" = its owner changes now. */
export type Removal = "removed" | "none" | "refused" | "moving"

/** What came of the removal of many. */
export interface Removals {
  /** How many are gone for good. */
  readonly removed: number
  /** Whether the journal took no more. */
  readonly isRefused: boolean
}

interface Asked {
  readonly tenant: number
  readonly name: string
}

export class RetainedRemovals {
  readonly #parts: RetainedOfShard
  #isClosed = false

  constructor(parts: RetainedOfShard) {
    this.#parts = parts
    parts.port.answer(REMOVE, (_from, { facts }) => {
      const { tenant, name } = facts as Asked
      return new Promise((resolve) => this.#removeOwn(tenant, name, true, (removal) => resolve({ facts: removal })))
    })
  }

  /** Removes the retained message of a name, of which one was found on some shard, whichever owns the name. */
  remove(tenant: number, name: string, done: (removal: Removal) => void): void {
    this.#removeFrom(tenant, name, true, done)
  }

  #removeFrom(tenant: number, name: string, isNoted: boolean, done: (removal: Removal) => void): void {
    const { port, ownerOf } = this.#parts
    const owner = ownerOf(tenant, name)
    if (owner === port.shard) {
      this.#removeOwn(tenant, name, isNoted, done)
      return
    }
    port.ask(
      owner,
      REMOVE,
      { facts: { tenant, name } },
      { resolve: ({ facts }) => done(facts as Removal), reject: () => done("refused") }
    )
  }

  /** `isNoted`: another shard may have it, and this one may not have heard yet that names move. */
  #removeOwn(tenant: number, name: string, isNoted: boolean, done: (removal: Removal) => void): void {
    const { port, retained, journal, ownerOf } = this.#parts
    const { tickets } = journal
    if (ownerOf(tenant, name) !== port.shard) done("moving")
    else if (this.#isClosed || journal.refusal !== 0) done("refused")
    else if (retained.isCleared(tenant, name)) done("none")
    else {
      if (isNoted && port.shards > 1) retained.notesCleared = true
      else if (!retained.has(tenant, name)) {
        done("none")
        return
      }
      const ticket = retained.clear(tenant, name)
      tickets.whenCommitted(ticket, () => done(tickets.failureOf(ticket) === 0 ? "removed" : "refused"))
    }
  }

  /**
   * Removes what this shard has that matches `filter`, or gets while names move; `ended` is told how many. What is returned stops it where
   * it is, and then nothing is told.
   */
  removeMatching(tenant: number, filter: string, ended: (removals: Removals) => void): () => void {
    const sweep = new Sweep(this.#parts, {
      tenant,
      filter,
      isClosed: () => this.#isClosed,
      // Where another shard has one of these too, that shard's own sweep asks for it.
      remove: (name, done) => this.#removeFrom(tenant, name, false, done),
      ended
    })
    sweep.begin()
    return () => sweep.stop()
  }

  /** Nothing is removed any more. */
  close(): void {
    this.#isClosed = true
  }
}

interface Wish {
  readonly tenant: number
  readonly filter: string
  readonly isClosed: () => boolean
  readonly remove: (name: string, done: (removal: Removal) => void) => void
  readonly ended: (removals: Removals) => void
}

/**
 * One removal of many on one shard. A name that moves may leave a shard that has not come to it for one that has passed it: all is walked
 * again until no shard had anything to move before a walk nor after it, nor had begun to meanwhile.
 */
class Sweep {
  readonly #parts: RetainedOfShard
  readonly #wish: Wish
  #walk: TopicNameCursor<RetainedValue> | undefined
  #removed = 0
  #underWay = 0
  /** Names that had moved before this walk, on all shards; {@link MOVING} where some still did. */
  #moves = MOVING
  #isRefused = false
  #isStopped = false
  /** The next pace comes by itself. */
  #isDue = false

  constructor(parts: RetainedOfShard, wish: Wish) {
    this.#parts = parts
    this.#wish = wish
  }

  stop(): void {
    this.#isStopped = true
    this.#walk?.close()
  }

  begin(): void {
    if (this.#parts.port.shards === 1) this.#open()
    else {
      this.#askMoves((moves) => {
        this.#moves = moves
        this.#open()
      })
    }
  }

  /** Asks all shards how many names they have moved; {@link MOVING} where one has any left. */
  #askMoves(answered: (moves: number) => void): void {
    const { port } = this.#parts
    const asked = Array.from({ length: port.shards }, (_, shard) => port.call(shard, MOVES_BEGUN, { facts: null }))
    Promise.all(asked).then(
      (answers) => {
        const counts = answers.map(({ facts }) => Number(facts))
        answered(counts.includes(MOVING) ? MOVING : counts.reduce((sum, count) => sum + count, 0))
      },
      () => answered(MOVING)
    )
  }

  #open(): void {
    if (this.#isStopped) return
    const { tenant, filter, isClosed } = this.#wish
    this.#isRefused ||= isClosed()
    this.#walk = this.#parts.retained.walk(tenant, filter)
    this.#goOn(this.#walk)
  }

  #goOn(walk: TopicNameCursor<RetainedValue>): void {
    if (this.#isStopped || this.#isDue) return
    if (this.#isRefused) walk.close()
    if (!walk.isDone) {
      this.#isDue = this.#underWay < UNDER_WAY_MAX
      if (this.#isDue) this.#parts.clock.immediate(() => this.#pace(walk))
    } else if (this.#underWay === 0) this.#passed()
  }

  #pace(walk: TopicNameCursor<RetainedValue>): void {
    this.#isDue = false
    if (this.#isStopped) return
    this.#isRefused ||= this.#wish.isClosed()
    const names = this.#isRefused ? [] : this.#next(walk)
    // Counted before the first is done: it may be so at once.
    this.#underWay += names.length
    for (const name of names) {
      this.#wish.remove(name, (removal) => {
        this.#underWay -= 1
        if (removal === "removed") this.#removed += 1
        // One whose owner changes is met again.
        else if (removal === "refused") this.#isRefused = true
        this.#goOn(walk)
      })
    }
    this.#goOn(walk)
  }

  /** Names of messages that are not expired, behind those that the walk has given. */
  #next(walk: TopicNameCursor<RetainedValue>): ReadonlyArray<string> {
    const { retained, clock } = this.#parts
    const names: Array<string> = []
    retained.visitSome(this.#wish.tenant, walk, STEPS, clock.nowMs(), ({ name }) => names.push(name))
    return names
  }

  /** A walk is done, and what came of all its removals is known. */
  #passed(): void {
    const { port, clock } = this.#parts
    if (this.#isRefused || port.shards === 1) {
      this.#end()
      return
    }
    this.#askMoves((moves) => {
      if (this.#isStopped) return
      if (this.#moves !== MOVING && moves === this.#moves) this.#end()
      else {
        this.#moves = moves
        clock.after(AGAIN_MS, () => this.#open())
      }
    })
  }

  #end(): void {
    this.#isStopped = true
    this.#wish.ended({ removed: this.#removed, isRefused: this.#isRefused })
  }
}
