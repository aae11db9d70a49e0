/**
 * Retained messages whose names another shard sequences now, because a binding came or went: each goes to its new owner, and leaves
 * this shard when it is kept there for good. The two shards have journals of their own, so that one entry cannot do both.
 *
 * Invariants
 *  - A message is on one shard at least, whatever is cut off; a move that was is taken up again at the next start.
 *  - A name is not taken from another shard while it is on its way there from here.
 *  - What the new owner knows of a name, that it was cleared too, is never replaced by what comes from the former one: for a while
 *    after names have moved clearings are noted, until no shard has anything left to move.
 */
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import { Message } from "./Message.ts"
import type { Clearing, Retained } from "./Retained.ts"

const MOVE = "retained.move"
/** Asks a shard whether it has anything left to move. */
export const ARE_MOVING = "retained.are-moving"
/** Asks a shard how many names it has begun to move since the start; {@link MOVING} while it has any left. */
export const MOVES_BEGUN = "retained.moves-begun"
export const MOVING = -1
const NO_BYTES = new Uint8Array(0)
/** Moves under way at once. */
const MOVES_MAX = 64
/** What could not be moved is tried again after this long, twice as long each time. */
const RETRY_MS = 250
const RETRY_MS_MAX = 8_000
/** Names may have moved so long ago that some shard has not heard of it. */
export const UNSETTLED_MS = 30_000
/** How often clearings that are noted are looked after. */
const SETTLE_MS = 10_000

/** What moving and replaying retained messages both need. */
export interface RetainedParts {
  readonly port: LinkPort
  readonly retained: Retained
  readonly ownerOf: (tenant: number, name: string) => number
  readonly clock: ClockShape
}

export class RetainedMoves {
  readonly #parts: RetainedParts
  readonly #received = new Message()
  /** Names to be moved, in the order in which they were found. */
  readonly #names = new Set<string>()
  readonly #underWay = new Set<string>()
  /** Names whose move has failed. */
  readonly #failed = new Set<string>()
  #retry: Timer | undefined
  #retryMs = RETRY_MS
  #movedAtMs = 0
  #begun = 0
  #lookedAtMs = 0
  /** Noted before the last look; forgotten at the next one where nothing is left to move. */
  #clearings: ReadonlyArray<Clearing> = []
  #isClosed = false

  constructor(parts: RetainedParts) {
    this.#parts = parts
    parts.port.answer(MOVE, (_from, { bytes = NO_BYTES }) => this.#take(bytes))
    parts.port.answer(ARE_MOVING, () => ({ facts: this.#isMoving }))
    parts.port.answer(MOVES_BEGUN, () => ({ facts: this.#isMoving ? MOVING : this.#begun }))
  }

  get #isMoving(): boolean {
    return this.#names.size + this.#underWay.size + this.#failed.size > 0
  }

  /** Moves what is another shard's now: under this name, or (undefined) under any. */
  review(name: string | undefined): void {
    const { port, retained, ownerOf, clock } = this.#parts
    if (port.shards === 1 || this.#isClosed) return
    this.#movedAtMs = clock.monotonicMs()
    retained.notesCleared = true
    const isOwner = (candidate: string): boolean => ownerOf(TENANT, candidate) === port.shard
    for (const misplaced of retained.misplaced(TENANT, name, isOwner)) this.#names.add(misplaced)
    this.#moveOn()
  }

  /** Nothing is begun any more. */
  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    this.#names.clear()
  }

  #moveOn(): void {
    for (const name of this.#names) {
      if (this.#underWay.size >= MOVES_MAX) return
      // Under way already: where that ends elsewhere than it should by then, it begins anew.
      if (this.#underWay.has(name)) continue
      this.#names.delete(name)
      this.#move(name)
    }
  }

  #move(name: string): void {
    const { port, retained, ownerOf } = this.#parts
    const owner = ownerOf(TENANT, name)
    const found = retained.find(TENANT, name)
    if (owner === port.shard || found === undefined) return
    const { entry } = found
    this.#begun += 1
    const writer = new ByteWriter()
    found.message.encode(writer)
    const body = { facts: null, bytes: writer.bytes.subarray(0, writer.length) }
    const kept = (): void => {
      // It may be this shard's again by now: then it is taken back, from where it is.
      if (!this.#isClosed) retained.forget(TENANT, name, entry, (isGone) => this.#ended(name, isGone))
    }
    this.#underWay.add(name)
    port.ask(owner, MOVE, body, {
      resolve: ({ facts }) => (facts === true ? kept() : this.#ended(name, false)),
      reject: () => this.#ended(name, false)
    })
  }

  #ended(name: string, isDone: boolean): void {
    this.#underWay.delete(name)
    if (this.#isClosed) return
    if (isDone) this.#retryMs = RETRY_MS
    else this.#failed.add(name)
    if (this.#failed.size > 0) this.#retryLater()
    this.#moveOn()
  }

  #retryLater(): void {
    this.#retry ??= this.#parts.clock.after(this.#retryMs, () => {
      this.#retry = undefined
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX)
      for (const name of this.#failed) this.#names.add(name)
      this.#failed.clear()
      this.#moveOn()
    })
  }

  /** A message that another shard has, and takes for this one's. */
  #take(bytes: Uint8Array): { readonly facts: boolean } | Promise<{ readonly facts: boolean }> {
    const { port, retained, ownerOf } = this.#parts
    const message = this.#received
    message.decode(new ByteReader().reset(bytes, 0, bytes.length))
    const { tenant, name } = message
    // This shard may not have heard of the binding yet, or of a later one.
    if (ownerOf(tenant, name) !== port.shard || this.#underWay.has(name)) return { facts: false }
    return new Promise((resolve) => {
      retained.setIfNewer(message, (isKept) => {
        if (isKept) retained.arrivals.note(tenant, name)
        resolve({ facts: isKept })
      })
    })
  }

  /** Looks after clearings that are noted, now and then; called about once a second. */
  housekeep(): void {
    const { retained, clock } = this.#parts
    const now = clock.monotonicMs()
    if (now - this.#lookedAtMs < SETTLE_MS || (!retained.notesCleared && retained.clearedCount === 0)) return
    this.#lookedAtMs = now
    this.#settle(now)
  }

  /** Forgets what was noted as cleared before the last look, where no shard has anything left to move. */
  #settle(now: number): void {
    const { port, retained } = this.#parts
    const due = this.#clearings
    this.#clearings = retained.clearings()
    let left = port.shards - 1
    let isMoving = this.#isMoving
    const answered = (isOtherMoving: boolean): void => {
      isMoving ||= isOtherMoving
      left -= 1
      if (left > 0 || this.#isClosed) return
      if (isMoving) {
        this.#clearings = due
        return
      }
      if (now - this.#movedAtMs >= UNSETTLED_MS) {
        retained.notesCleared = false
        retained.arrivals.forget()
      }
      // One that cannot be forgotten now is noted again, and met at a later look.
      for (const { tenant, name, entry } of due) retained.forget(tenant, name, entry, () => {})
    }
    for (let shard = 0; shard < port.shards; shard++) {
      if (shard === port.shard) continue
      const told = {
        resolve: ({ facts }: { readonly facts: unknown }) => answered(facts === true),
        reject: () => answered(true)
      }
      port.ask(shard, ARE_MOVING, { facts: null }, told)
    }
  }
}

/** There is one so far; bindings of others come with them. */
const TENANT = 0
