/**
 * Walks over the retained messages of all shards that match a filter, taken a little at a time by whoever wants them.
 *
 * While names move between shards (see `RetainedMoves.ts`) a message may be found where its name was sequenced before. Such a one is
 * visited last, and only where its owner has none and has not cleared it; instead of it the owner's own is, once more as like as not. One that
 * went to a shard which the walk had passed, from one that it had yet to come to, is asked for at the end.
 *
 * Invariants
 *  - What is visited is what its shard has then, in its place among the live messages from there: no page waits to be taken.
 *  - A walk holds nothing but its place, and the strays that it has met, until it is done or closed.
 */
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import type { CallBody } from "../link/LinkPort.ts"
import type { TopicNameCursor } from "../router/TopicNameIndex.ts"
import { matches } from "../router/topic-filter.ts"
import type { RetainedRoom, RetainedVisitor, RetainedWalk } from "./Ingress.ts"
import { Message } from "./Message.ts"
import type { RetainedParts } from "./RetainedMoves.ts"
import type { RetainedValue } from "./retained-values.ts"

const NEXT = "retained.next"
const FIND = "retained.find"
const ARRIVED = "retained.arrived"
const NO_BYTES = new Uint8Array(0)

/**
 * Steps of a walk that are taken in one go: about half a millisecond where each is a row of the database. A subscriber to a whole device
 * tree holds nobody up, and its first messages leave before the last ones are read.
 */
const STEPS = 32

/** What {@link FIND} tells of a name. */
const NOTHING = 0
const MESSAGE = 1
const CLEARED = 2

/** What another shard is asked for. */
interface Asked {
  readonly tenant: number
  /** A topic filter, or a name. */
  readonly filter: string
}

/** The next part of a walk on another shard. */
interface AskedPart extends Asked, RetainedRoom {
  /** The walk to go on with; 0 = a new one. */
  readonly walk: number
}

/** What {@link NEXT} tells: so many messages, and the walk to go on with; 0 = it is done. */
interface Part {
  readonly count: number
  readonly walk: number
  /** Of {@link RetainedArrivals}, and whether names move or did a moment ago. */
  readonly arrivals: number
  readonly isAstir: boolean
}

/** What came to a shard since. */
interface AskedArrivals extends Asked {
  readonly since: number
}

export class RetainedWalks {
  readonly #parts: RetainedParts
  #isClosed = false
  /** Walks of other shards between two parts. */
  readonly #walks = new Map<number, TopicNameCursor<RetainedValue>>()
  #lastWalk = 0

  constructor(parts: RetainedParts) {
    this.#parts = parts
    parts.port.answer(NEXT, (_from, { facts }) => this.#part(facts as AskedPart))
    parts.port.answer(ARRIVED, (_from, { facts }) => ({ facts: this.arrivedSince(facts as AskedArrivals) }))
    parts.port.answer(FIND, (_from, { facts }) => {
      const { tenant, filter } = facts as Asked
      const writer = new ByteWriter()
      const state = this.find(tenant, filter, (message) => message.encode(writer))
      return { facts: { state }, bytes: writer.bytes.subarray(0, writer.length) }
    })
  }

  /** Walks end where they are: what they would read may be closed. */
  close(): void {
    this.#isClosed = true
    for (const walk of this.#walks.values()) walk.close()
    this.#walks.clear()
  }

  open(tenant: number, filter: string): RetainedWalk {
    return new ShardsWalk(this, this.#parts, tenant, filter)
  }

  /** Goes on with a walk of this shard, as far as there is room. */
  take(tenant: number, walk: TopicNameCursor<RetainedValue>, room: RetainedRoom, visit: Visit): void {
    if (this.#isClosed) {
      walk.close()
      return
    }
    const { retained, clock } = this.#parts
    let { messages, bytes } = room
    const found = (message: Message): void => {
      messages -= 1
      bytes -= message.sizeBytes
      visit(message, this.#isOwned(message))
    }
    try {
      retained.visitSome(tenant, walk, STEPS, clock.nowMs(), found, () => messages > 0 && bytes > 0)
    } catch (error) {
      walk.close()
      throw error
    }
  }

  #part({ tenant, filter, walk: number, messages, bytes }: AskedPart): CallBody {
    const walk = number === 0 ? this.#parts.retained.walk(tenant, filter) : this.#walks.get(number)
    this.#walks.delete(number)
    const begun = this.#parts.retained.arrivals.count
    const writer = new ByteWriter()
    let count = 0
    // No room is asked for where nothing is wanted any more.
    if (messages === 0) walk?.close()
    else if (walk !== undefined) {
      this.take(tenant, walk, { messages, bytes }, (message, isOwned) => {
        writer.uint8(isOwned ? 1 : 0)
        message.encode(writer)
        count += 1
      })
    }
    let next = 0
    if (walk !== undefined && !walk.isDone) {
      this.#lastWalk += 1
      next = this.#lastWalk
      this.#walks.set(next, walk)
    }
    const { notesCleared: isAstir } = this.#parts.retained
    const facts: Part = { count, walk: next, arrivals: begun, isAstir }
    return { facts, bytes: writer.bytes.subarray(0, writer.length) }
  }

  /** Names that match a filter and came to this shard since, which may have been when it was walked. */
  arrivedSince({ tenant, filter, since }: AskedArrivals): ReadonlyArray<string> {
    const names = new Set<string>()
    for (const arrival of this.#parts.retained.arrivals.since(since)) {
      if (arrival.tenant === tenant && matches(filter, arrival.name)) names.add(arrival.name)
    }
    return [...names]
  }

  /** The same of any shard. */
  askArrivals(shard: number, asked: AskedArrivals, answered: (names: ReadonlyArray<string>) => void): void {
    const { port } = this.#parts
    if (shard === port.shard) answered(this.arrivedSince(asked))
    else {
      const resolve = ({ facts }: CallBody): void => answered(facts as ReadonlyArray<string>)
      port.ask(shard, ARRIVED, { facts: asked }, { resolve, reject: () => answered([]) })
    }
  }

  /** Asks another shard for the next part of a walk; `answered` gets the walk to go on with, 0 = done. */
  ask(shard: number, asked: AskedPart, visit: Visit, answered: (part: Part) => void): void {
    const resolve = ({ facts, bytes = NO_BYTES }: CallBody): void => {
      const part = facts as Part
      const reader = new ByteReader().reset(bytes, 0, bytes.length)
      const message = new Message()
      for (let left = part.count; left > 0; left--) {
        const isOwned = reader.uint8() === 1
        message.decode(reader)
        visit(message, isOwned)
      }
      answered(part)
    }
    // The other shard's own fault, told there; the messages of the others are visited.
    const reject = (): void => answered({ count: 0, walk: 0, arrivals: 0, isAstir: false })
    this.#parts.port.ask(shard, NEXT, { facts: asked }, { resolve, reject })
  }

  #isOwned({ tenant, name }: Message): boolean {
    const { port, retained, ownerOf } = this.#parts
    // Nothing is astray on one shard, or while no name has moved for a while.
    return port.shards === 1 || !retained.notesCleared || ownerOf(tenant, name) === port.shard
  }

  /** What this shard knows of a name; visits the message. */
  find(tenant: number, name: string, visit: RetainedVisitor): number {
    const { retained, clock } = this.#parts
    let state = retained.isCleared(tenant, name) ? CLEARED : NOTHING
    retained.match(tenant, name, clock.nowMs(), (message) => {
      state = MESSAGE
      visit(message)
    })
    return state
  }

  /** A message that was not with its owner: what that one knows is newer. */
  visitStray(stray: Message, visit: RetainedVisitor, visited: () => void): void {
    this.#visitAtOwner(stray.tenant, stray.name, visit, (state) => {
      if (state === NOTHING) visit(stray)
      visited()
    })
  }

  /** What its owner has of a name. */
  visitNamed(tenant: number, name: string, visit: RetainedVisitor, visited: () => void): void {
    this.#visitAtOwner(tenant, name, visit, visited)
  }

  #visitAtOwner(tenant: number, name: string, visit: RetainedVisitor, answered: (state: number) => void): void {
    const { port, ownerOf } = this.#parts
    const owner = ownerOf(tenant, name)
    if (owner === port.shard) {
      answered(this.find(tenant, name, visit))
      return
    }
    const resolve = ({ facts, bytes = NO_BYTES }: CallBody): void => {
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

type Visit = (message: Message, isOwned: boolean) => void

/** This shard first, then the others in turn, then what came to one of them behind the walk's back, then what was astray. */
class ShardsWalk implements RetainedWalk {
  readonly #walks: RetainedWalks
  readonly #parts: RetainedParts
  readonly #tenant: number
  readonly #filter: string
  readonly #own: TopicNameCursor<RetainedValue>
  /** The other shard that is walked, and its walk. */
  #shard = 0
  #walk = 0
  readonly #strays: Array<Message> = []
  /** What had come to each shard when it was begun with; where one says that names move they are asked for what has come since. */
  readonly #arrivals: Array<number> = []
  #isAstir = false
  #asked = 0
  /** Names that have come since. */
  readonly #late: Array<string> = []
  #isClosed = false

  constructor(walks: RetainedWalks, parts: RetainedParts, tenant: number, filter: string) {
    this.#walks = walks
    this.#parts = parts
    this.#tenant = tenant
    this.#filter = filter
    this.#own = parts.retained.walk(tenant, filter)
    this.#arrivals[parts.port.shard] = parts.retained.arrivals.count
    this.#skipOwn()
  }

  get isDone(): boolean {
    if (this.#isClosed) return true
    const { shards } = this.#parts.port
    if (!this.#own.isDone || this.#shard < shards || this.#late.length > 0 || this.#strays.length > 0) return false
    return shards === 1 || this.#asked >= shards || !(this.#isAstir || this.#parts.retained.notesCleared)
  }

  next(room: RetainedRoom, visit: RetainedVisitor, done: () => void): void {
    const found = (message: Message, isOwned: boolean): void => {
      if (isOwned) visit(message)
      else this.#strays.push(message.owned())
    }
    if (this.isDone) done()
    else if (!this.#own.isDone) {
      this.#walks.take(this.#tenant, this.#own, room, found)
      done()
    } else if (this.#shard < this.#parts.port.shards) {
      const asked = { tenant: this.#tenant, filter: this.#filter, walk: this.#walk, ...room }
      this.#walks.ask(this.#shard, asked, found, ({ walk, arrivals, isAstir }) => {
        if (this.#walk === 0) this.#arrivals[this.#shard] = arrivals
        this.#isAstir ||= isAstir
        this.#walk = walk
        if (walk === 0) {
          this.#shard += 1
          this.#skipOwn()
        }
        if (this.#isClosed) this.#giveUp()
        done()
      })
    } else if (this.#asked < this.#parts.port.shards && (this.#isAstir || this.#parts.retained.notesCleared)) {
      const shard = this.#asked
      this.#asked += 1
      const since = this.#arrivals[shard] ?? 0
      this.#walks.askArrivals(shard, { tenant: this.#tenant, filter: this.#filter, since }, (names) => {
        if (!this.#isClosed) this.#late.push(...names)
        done()
      })
    } else if (this.#late.length > 0) this.#walks.visitNamed(this.#tenant, this.#late.pop() ?? "", visit, done)
    else {
      const stray = this.#strays.pop()
      if (stray === undefined) done()
      else this.#walks.visitStray(stray, visit, done)
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#own.close()
    this.#strays.length = 0
    this.#late.length = 0
    this.#giveUp()
  }

  /** Has the other shard forget its walk. */
  #giveUp(): void {
    if (this.#walk === 0) return
    const asked = { tenant: this.#tenant, filter: this.#filter, walk: this.#walk, messages: 0, bytes: 0 }
    this.#walk = 0
    const nothing = (): void => {}
    this.#walks.ask(this.#shard, asked, nothing, nothing)
  }

  #skipOwn(): void {
    if (this.#shard === this.#parts.port.shard) this.#shard += 1
  }
}
