/**
 * Retained messages whose names another shard sequences now, because a binding came or went: each goes to its new owner, and leaves
 * this shard when it is kept there for good. The two shards have journals of their own, so that one entry cannot do both.
 *
 * Invariants
 *  - A message is on one shard at least, whatever is cut off; a move that was is taken up again at the next start.
 *  - What the new owner has of a name is never replaced by what comes from the former one.
 */
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { Message } from "./Message.ts"
import type { Retained } from "./Retained.ts"

const METHOD = "retained.move"
const NO_BYTES = new Uint8Array(0)
/** Moves under way at once. */
const MOVES_MAX = 64
/** What could not be moved is tried again after this long. */
const RETRY_MS = 250

export interface RetainedMovesParts {
  readonly port: LinkPort
  readonly retained: Retained
  readonly ownerOf: (tenant: number, name: string) => number
  readonly clock: ClockShape
}

export class RetainedMoves {
  readonly #parts: RetainedMovesParts
  readonly #received = new Message()
  /** Names to be moved, in the order in which they were found; those before `#next` are on their way or done. */
  #names: Array<string> = []
  #next = 0
  #under = 0

  constructor(parts: RetainedMovesParts) {
    this.#parts = parts
    parts.port.answer(METHOD, (_from, { bytes = NO_BYTES }) => {
      const message = this.#received
      message.decode(new ByteReader().reset(bytes, 0, bytes.length))
      // This shard may not have heard of the binding yet, or of a later one.
      if (parts.ownerOf(message.tenant, message.name) !== parts.port.shard) return { facts: false }
      return new Promise((resolve) => parts.retained.addThen(message, (isKept) => resolve({ facts: isKept })))
    })
  }

  /** Moves what is another shard's now: under this name, or (undefined) under any. */
  review(name: string | undefined): void {
    const { port, retained, ownerOf } = this.#parts
    if (port.shards === 1) return
    const isOwner = (candidate: string): boolean => ownerOf(TENANT, candidate) === port.shard
    for (const misplaced of retained.misplaced(TENANT, name, isOwner)) this.#names.push(misplaced)
    this.#moveOn()
  }

  #moveOn(): void {
    while (this.#under < MOVES_MAX && this.#next < this.#names.length) {
      const name = this.#names[this.#next++]
      if (name !== undefined) this.#move(name)
    }
    if (this.#next < this.#names.length) return
    this.#names = []
    this.#next = 0
  }

  #move(name: string): void {
    const { port, retained, ownerOf, clock } = this.#parts
    const owner = ownerOf(TENANT, name)
    const found = retained.find(TENANT, name)
    if (owner === port.shard || found === undefined) return
    const ended = (isKept: boolean): void => {
      this.#under -= 1
      if (isKept) retained.forget(TENANT, name, found.entry)
      else clock.after(RETRY_MS, () => this.review(name))
      this.#moveOn()
    }
    this.#under += 1
    const writer = new ByteWriter()
    found.message.encode(writer)
    const body = { facts: null, bytes: writer.bytes.subarray(0, writer.length) }
    port.ask(owner, METHOD, body, { resolve: ({ facts }) => ended(facts === true), reject: () => ended(false) })
  }
}

/** There is one so far; bindings of others come with them. */
const TENANT = 0
