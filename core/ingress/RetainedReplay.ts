/**
 * Retained messages of all shards for one new subscription.
 *
 * While names move between shards (see `RetainedMoves.ts`) a message may be found where its name was sequenced before. Such a one is
 * visited last, and only where its owner has none and has not cleared it; instead of it the owner's own is, once more as like as not.
 */
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import type { RetainedVisitor } from "./Ingress.ts"
import { Message } from "./Message.ts"
import type { RetainedParts } from "./RetainedMoves.ts"

const MATCH = "retained.match"
const FIND = "retained.find"
const NO_BYTES = new Uint8Array(0)

/**
 * Steps of a walk between two looks at what else there is to do: about 2 ms where each is a row of the database. A subscriber to a
 * whole device tree holds nobody up, and its first messages leave before the last ones are read.
 */
const PACE_STEPS = 128

/** What {@link FIND} tells of a name. */
const NOTHING = 0
const MESSAGE = 1
const CLEARED = 2

interface Asked {
  readonly tenant: number
  /** A topic filter, or a name. */
  readonly filter: string
}

export class RetainedReplay {
  readonly #parts: RetainedParts
  #isClosed = false

  constructor(parts: RetainedParts) {
    this.#parts = parts
    parts.port.answer(MATCH, (_from, { facts }) => {
      const writer = new ByteWriter()
      let count = 0
      this.#match(facts as Asked, (message, isOwned) => {
        writer.uint8(isOwned ? 1 : 0)
        message.encode(writer)
        count += 1
      })
      return { facts: { count }, bytes: writer.bytes.subarray(0, writer.length) }
    })
    parts.port.answer(FIND, (_from, { facts }) => {
      const { tenant, filter } = facts as Asked
      const writer = new ByteWriter()
      const state = this.#find(tenant, filter, (message) => message.encode(writer))
      return { facts: { state }, bytes: writer.bytes.subarray(0, writer.length) }
    })
  }

  /** Walks end where they are: what they would read may be closed. */
  close(): void {
    this.#isClosed = true
  }

  /**
   * Visits what matches: here in paces, the first at once; on other shards when they answer, in its place among the live messages
   * from there.
   */
  replay(tenant: number, filter: string, visit: RetainedVisitor, ended: () => void): void {
    const { port } = this.#parts
    const strays: Array<Message> = []
    let left = port.shards
    const found = (message: Message, isOwned: boolean): void => {
      if (isOwned) visit(message)
      else strays.push(message.owned())
    }
    const answered = (): void => {
      left -= 1
      if (left > 0) return
      let leftStrays = strays.length
      if (leftStrays === 0) ended()
      const visited = (): void => {
        leftStrays -= 1
        if (leftStrays === 0) ended()
      }
      for (const stray of strays) this.#visitStray(stray, visit, visited)
    }
    this.#walk({ tenant, filter }, found, answered)
    for (let shard = 0; shard < port.shards; shard++) {
      if (shard === port.shard) continue
      const resolve = ({ facts, bytes = NO_BYTES }: { readonly facts: unknown; readonly bytes?: Uint8Array }): void => {
        const reader = new ByteReader().reset(bytes, 0, bytes.length)
        const message = new Message()
        for (let count = (facts as { count: number }).count; count > 0; count--) {
          const isOwned = reader.uint8() === 1
          message.decode(reader)
          found(message, isOwned)
        }
        answered()
      }
      // The other shard's own fault, told there; the messages of the others have been visited.
      port.ask(shard, MATCH, { facts: { tenant, filter } }, { resolve, reject: answered })
    }
  }

  #match({ tenant, filter }: Asked, visit: (message: Message, isOwned: boolean) => void): void {
    const { retained, clock } = this.#parts
    retained.match(tenant, filter, clock.nowMs(), (message) => visit(message, this.#isOwned(message)))
  }

  #walk({ tenant, filter }: Asked, visit: (message: Message, isOwned: boolean) => void, ended: () => void): void {
    const { retained, clock } = this.#parts
    const walk = retained.walk(tenant, filter)
    const pace = (): void => {
      if (this.#isClosed) {
        walk.close()
        return
      }
      retained.visitSome(tenant, walk, PACE_STEPS, clock.nowMs(), (message) => visit(message, this.#isOwned(message)))
      if (walk.isDone) ended()
      else clock.immediate(pace)
    }
    pace()
  }

  #isOwned({ tenant, name }: Message): boolean {
    const { port, retained, ownerOf } = this.#parts
    // Nothing is astray on one shard, or while no name has moved for a while.
    return port.shards === 1 || !retained.notesCleared || ownerOf(tenant, name) === port.shard
  }

  /** What this shard knows of a name; visits the message. */
  #find(tenant: number, name: string, visit: RetainedVisitor): number {
    const { retained, clock } = this.#parts
    let state = retained.isCleared(tenant, name) ? CLEARED : NOTHING
    retained.match(tenant, name, clock.nowMs(), (message) => {
      state = MESSAGE
      visit(message)
    })
    return state
  }

  /** A message that was not with its owner: what that one knows is newer. */
  #visitStray(stray: Message, visit: RetainedVisitor, visited: () => void): void {
    const { port, ownerOf } = this.#parts
    const { tenant, name } = stray
    const owner = ownerOf(tenant, name)
    const answered = (state: number): void => {
      if (state === NOTHING) visit(stray)
      visited()
    }
    if (owner === port.shard) {
      answered(this.#find(tenant, name, visit))
      return
    }
    const resolve = ({ facts, bytes = NO_BYTES }: { readonly facts: unknown; readonly bytes?: Uint8Array }): void => {
      const { state } = facts as { state: number }
      if (state === MESSAGE) {
        const message = new Message()
        message.decode(new ByteReader().reset(bytes, 0, bytes.length))
        visit(message)
      }
      answered(state)
    }
    port.ask(owner, FIND, { facts: { tenant, filter: name } }, { resolve, reject: () => answered(NOTHING) })
  }
}
