/**
 * Retained messages of all shards for one new subscription.
 *
 * While names move between shards (see `RetainedMoves.ts`) a message may be found where its name was sequenced before. Such a one is
 * visited last, and only where its owner has none and has not cleared it; instead of it the owner's own is, once more as like as not.
 */
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import type { CallBody } from "../link/LinkPort.ts"
import type { TopicNameCursor } from "../router/TopicNameIndex.ts"
import type { RetainedPace, RetainedVisitor } from "./Ingress.ts"
import { Message } from "./Message.ts"
import type { RetainedEntry } from "./Retained.ts"
import type { RetainedParts } from "./RetainedMoves.ts"

type Visit = (message: Message, isOwned: boolean) => void

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

/** One pace of a walk that another shard has asked for. */
interface AskedPage extends Asked {
  /** The walk to go on with; 0 = a new one. */
  readonly walk: number
  /** Nobody takes any more: the walk ends. */
  readonly isLast?: boolean
}

/** Who takes what is found. */
interface Taking {
  readonly visit: Visit
  readonly ended: () => void
  readonly pace: RetainedPace
}

/** What {@link MATCH} tells: so many messages, and the walk to go on with; 0 = it is done. */
interface Page {
  readonly count: number
  readonly walk: number
}

export class RetainedReplay {
  readonly #parts: RetainedParts
  /** Walks of other shards between two paces. */
  readonly #walks = new Map<number, TopicNameCursor<RetainedEntry>>()
  #lastWalk = 0
  #isClosed = false

  constructor(parts: RetainedParts) {
    this.#parts = parts
    parts.port.answer(MATCH, (_from, { facts }) => this.#page(facts as AskedPage))
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
    for (const walk of this.#walks.values()) walk.close()
    this.#walks.clear()
  }

  /**
   * Visits what matches, in paces: here the first at once; on other shards when they answer, in its place among the live messages from
   * there.
   */
  replay(tenant: number, filter: string, visit: RetainedVisitor, ended: () => void, pace: RetainedPace): void {
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
    const taking = { visit: found, ended: answered, pace }
    this.#walk({ tenant, filter }, taking)
    for (let shard = 0; shard < port.shards; shard++) {
      if (shard !== port.shard) this.#askPage(shard, { tenant, filter, walk: 0 }, taking)
    }
  }

  /** Visits what another shard has, a page after the other. */
  #askPage(shard: number, asked: AskedPage, taking: Taking): void {
    const { visit, ended, pace } = taking
    const resolve = ({ facts, bytes = NO_BYTES }: CallBody): void => {
      const { count, walk } = facts as Page
      const message = new Message()
      let reader = new ByteReader().reset(bytes, 0, bytes.length)
      let left = count
      const go = (): void => {
        for (; left > 0 && pace.takesRetained; left--) {
          const isOwned = reader.uint8() === 1
          message.decode(reader)
          visit(message, isOwned)
        }
        if (left > 0 && !pace.isGone) {
          // The answer was lent: what is left of it waits in a copy.
          const rest = reader.bytes.slice(reader.position, reader.end)
          reader = new ByteReader().reset(rest, 0, rest.length)
          pace.whenReady(go)
        } else if (walk === 0) ended()
        else whenTaken(pace, () => this.#askPage(shard, { ...asked, walk }, taking))
      }
      go()
    }
    if (this.#isClosed) return
    // The other shard's own fault, told there; the messages of the others have been visited.
    this.#parts.port.ask(shard, MATCH, { facts: { ...asked, isLast: pace.isGone } }, { resolve, reject: ended })
  }

  #page({ tenant, filter, walk: number, isLast }: AskedPage): CallBody {
    const { retained, clock } = this.#parts
    const walk = number === 0 ? retained.walk(tenant, filter) : this.#walks.get(number)
    this.#walks.delete(number)
    if (walk === undefined || this.#isClosed || isLast === true) {
      walk?.close()
      return { facts: { count: 0, walk: 0 } }
    }
    const writer = new ByteWriter()
    let count = 0
    retained.visitSome(tenant, walk, PACE_STEPS, clock.nowMs(), (message) => {
      writer.uint8(this.#isOwned(message) ? 1 : 0)
      message.encode(writer)
      count += 1
    })
    let next = 0
    if (!walk.isDone) {
      this.#lastWalk += 1
      next = this.#lastWalk
      this.#walks.set(next, walk)
    }
    return { facts: { count, walk: next }, bytes: writer.bytes.subarray(0, writer.length) }
  }

  #walk({ tenant, filter }: Asked, { visit, ended, pace }: Taking): void {
    const { retained, clock } = this.#parts
    const walk = retained.walk(tenant, filter)
    const go = (): void => {
      if (this.#isClosed) {
        walk.close()
        return
      }
      if (pace.isGone) walk.close()
      else {
        const nowMs = clock.nowMs()
        const found = (message: Message): void => visit(message, this.#isOwned(message))
        retained.visitSome(tenant, walk, PACE_STEPS, nowMs, found, () => pace.takesRetained)
      }
      if (walk.isDone) ended()
      else whenTaken(pace, () => clock.immediate(go))
    }
    go()
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

/** Goes on when more is taken, or nothing any more. */
function whenTaken(pace: RetainedPace, task: () => void): void {
  if (pace.takesRetained || pace.isGone) task()
  else pace.whenReady(task)
}
