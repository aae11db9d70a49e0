/**
 * The retained messages that new subscriptions of one session are owed: one subscription after the other, no faster than the client takes
 * them.
 *
 * Invariants
 *  - One walk at a time; a filter that waits for its turn is a name in a list, and how often it was subscribed to. Every SUBSCRIBE has its
 *    walk [MQTT-3.8.4-4], with the options that hold by then; a filter that is taken off is owed nothing.
 *  - No message is asked for without room for it, so that none waits here and none is dropped for want of room; what was retained since the
 *    SUBSCRIBE and has come live is not given again.
 *  - A session that is kept goes on at its next connection where it was, but for what is owed at QoS 0; until then it costs its place in a
 *    walk, and no message.
 *
 * Source: MQTT 5.0 section 3.3.1.3.
 */
import { type Message, type RetainedRoom, type RetainedSeam, RetainedSeams, type RetainedWalk } from "../../core/mod.ts"
import type { Session } from "./Session.ts"

/** Of the work of one turn: messages, and walks that found few. */
const TURN = 32
const TURN_PER_STEP = 4

/** Walks that a filter is owed. */
interface Owed {
  readonly filter: string
  /** Of the last SUBSCRIBE. */
  readonly seam: RetainedSeam
  readonly times: number
}

type Active = Owed & { readonly walk: RetainedWalk }

export class RetainedReplays {
  readonly #session: Session
  readonly #seams = new RetainedSeams()
  /** Of SUBSCRIBEs that are not acknowledged yet. */
  readonly #opened = new Set<RetainedSeam>()
  /** By filter, in the order in which they were acknowledged. */
  readonly #waiting = new Map<string, Owed>()
  #active: Active | undefined
  #isAsking = false
  #isScheduled = false
  #isOver = false

  constructor(session: Session) {
    this.#session = session
  }

  /** Whether anything is owed, or may be. */
  get isIdle(): boolean {
    return this.#active === undefined && this.#waiting.size === 0 && this.#opened.size === 0 && !this.#isAsking
  }

  /** A subscription is made in this turn; its messages are owed from its SUBACK on. */
  open(): RetainedSeam {
    const seam = this.#seams.open()
    this.#opened.add(seam)
    return seam
  }

  /** A message has come live and reached the client. */
  came(message: Message): void {
    this.#seams.came(message)
  }

  /** The SUBACK is out. */
  start(filter: string, seam: RetainedSeam): void {
    this.#opened.delete(seam)
    const before = this.#waiting.get(filter)
    if (before !== undefined) this.#seams.close(before.seam)
    this.#waiting.set(filter, { filter, seam, times: (before?.times ?? 0) + 1 })
    this.go()
  }

  /** A subscription is taken off. */
  forget(filter: string): void {
    if (this.#active?.filter === filter) this.#finish()
    const owed = this.#waiting.get(filter)
    if (owed === undefined) return
    this.#waiting.delete(filter)
    this.#seams.close(owed.seam)
  }

  /** The connection of a session that is kept has ended: what its client is owed at QoS 0 it is owed no more. */
  detached(): void {
    for (const seam of this.#opened) this.#seams.close(seam)
    this.#opened.clear()
    const owed = new Set(this.#waiting.keys())
    if (this.#active !== undefined) owed.add(this.#active.filter)
    for (const filter of owed) if (this.#session.subscriptionOf(filter)?.qos === 0) this.forget(filter)
    this.#session.replayed()
  }

  /** The session has ended. */
  end(): void {
    this.#isOver = true
    this.#finish()
    this.#waiting.clear()
  }

  /** Goes on as far as there is room: now, and where there is more to do than one turn's work, in the next. */
  go(): void {
    if (this.#isAsking || this.#isScheduled || this.#isOver) return
    const { clock } = this.#session.broker.services
    let left = TURN
    for (;;) {
      const active = this.#next()
      if (active === undefined) break
      const room = this.#session.retainedRoom(this.#session.subscriptionOf(active.filter)?.qos ?? 0)
      if (room === undefined) return
      if (left <= 0) {
        this.#isScheduled = true
        clock.immediate(() => {
          this.#isScheduled = false
          this.go()
        })
        return
      }
      left -= TURN_PER_STEP
      const visit = (message: Message): void => {
        left -= 1
        // What was asked for may not be wanted any more when it comes.
        if (this.#active === active) this.#send(active, message)
      }
      if (!this.#take(active.walk, room, visit)) return
    }
    this.#session.replayed()
  }

  /** True where it is done, false where another shard is asked. */
  #take(walk: RetainedWalk, room: RetainedRoom, visit: (message: Message) => void): boolean {
    let isInPlace = true
    this.#isAsking = true
    try {
      walk.next(room, visit, () => {
        this.#isAsking = false
        if (!isInPlace) this.go()
      })
    } catch (error) {
      this.#isAsking = false
      this.#finish()
      throw error
    }
    isInPlace = false
    return !this.#isAsking
  }

  /** The walk whose turn it is. */
  #next(): Active | undefined {
    const { ingress } = this.#session.broker.services
    for (;;) {
      const active = this.#active
      if (active !== undefined) {
        if (!active.walk.isDone && this.#session.subscriptionOf(active.filter) !== undefined) return active
        this.#finish()
      }
      const [first] = this.#waiting.values()
      if (first === undefined) return undefined
      const { filter, seam, times } = first
      this.#waiting.delete(filter)
      // The last walk closes the seam that all of them look at.
      if (times > 1) this.#waiting.set(filter, { filter, seam, times: times - 1 })
      this.#active = { ...first, walk: ingress.walkRetained(this.#session.tenant, filter) }
    }
  }

  #finish(): void {
    const active = this.#active
    if (active === undefined) return
    this.#active = undefined
    active.walk.close()
    if (this.#waiting.get(active.filter)?.seam !== active.seam) this.#seams.close(active.seam)
  }

  #send({ filter, seam }: Owed, message: Message): void {
    const session = this.#session
    const subscription = session.subscriptionOf(filter)
    if (this.#isOver || subscription === undefined || this.#seams.has(seam, message.name)) return
    const { broker } = session
    const nowMs = broker.services.clock.nowMs()
    if (broker.dropsExpired(message, nowMs)) return
    const qos = Math.min(message.qos, subscription.qos)
    session.send(message, qos, true, subscription.identifiers, nowMs)
  }
}
