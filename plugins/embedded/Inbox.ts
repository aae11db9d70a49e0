/**
 * The queue between the router and one subscription of the program.
 *
 * Invariants
 *  - A message is copied once when it is queued; nothing of the broker's is borrowed longer than the router's call.
 *  - The queue is bounded by messages and bytes (a lone message always fits). What finds it full is dropped and counted at QoS 0. At
 *    QoS 1 and 2 nothing is lost in silence: the subscription ends with an error after what was queued, unless it was asked to drop.
 *  - Messages leave in the order in which they came; one that has expired meanwhile is left out and counted.
 */
import {
  type Delivery,
  type Message,
  type RetainedSeam,
  RetainedSeams,
  type Subscriber,
  Subscription
} from "../../core/mod.ts"
import { SubscriptionError } from "./errors.ts"
import { ReceivedMessage } from "./ReceivedMessage.ts"
import type { Closable, Services } from "./Services.ts"

export interface SubscribeOptions {
  /** The highest QoS to be given; 2 where it is left out, so that messages come as they were published. */
  readonly qos?: 0 | 1 | 2
  /** Whether the retained messages that match come first; true where it is left out. */
  readonly retained?: boolean
  /** Messages that may wait; 100,000 where it is left out. */
  readonly queueMessagesMax?: number
  /** Bytes that may wait; 64 MiB where it is left out. */
  readonly queueBytesMax?: number
  /** What happens where a QoS 1 or 2 message finds the queue full: the subscription ends (as where it is left out), or it is dropped. */
  readonly overflow?: "end" | "drop"
}

const QUEUE_MESSAGES_MAX = 100_000
const QUEUE_BYTES_MAX = 67_108_864
/** The head of a queue is given back when so many have left it. */
const COMPACT_AT = 1_024

/** A bound that is one: a program without types may pass anything. */
function bound(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new RangeError(`${name} is a whole number above 0`)
}

export abstract class Inbox implements Subscriber, Closable {
  readonly filter: string
  /** Messages that were dropped because the queue was full. */
  dropped = 0
  protected readonly services: Services
  readonly #subscription: Subscription
  readonly #queueMessagesMax: number
  readonly #queueBytesMax: number
  readonly #dropsAll: boolean
  readonly #ended: (inbox: Inbox) => void
  #queue: Array<ReceivedMessage | undefined> = []
  #head = 0
  #bytes = 0
  /** Until its retained messages have been visited. */
  #seams: RetainedSeams | undefined
  #seam: RetainedSeam | undefined
  #isOver = false
  #fault: SubscriptionError | undefined

  /** `ended` is told once when it takes no more. */
  constructor(services: Services, filter: string, options: SubscribeOptions, ended: (inbox: Inbox) => void) {
    this.services = services
    this.filter = filter
    this.#queueMessagesMax = bound("queueMessagesMax", options.queueMessagesMax ?? QUEUE_MESSAGES_MAX)
    this.#queueBytesMax = bound("queueBytesMax", options.queueBytesMax ?? QUEUE_BYTES_MAX)
    this.#dropsAll = options.overflow === "drop"
    this.#ended = ended
    this.#subscription = new Subscription(this, filter, options.qos ?? 2, "", false, 0)
  }

  /** Messages that wait. */
  get queued(): number {
    return this.#queue.length - this.#head
  }

  /** Whether it takes no more messages; some may still wait. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Ends the subscription; what still waits is forgotten. */
  unsubscribe(): void {
    this.end(undefined)
    this.forget()
  }

  [Symbol.dispose](): void {
    this.unsubscribe()
  }

  /** Joins the router; returns its ticket. What it gets `retained` is asked for later, by {@link Inbox.replayRetained}. */
  joinUnsafe(retained: boolean): number {
    if (retained) {
      this.#seams = new RetainedSeams()
      this.#seam = this.#seams.open()
    }
    this.services.counts.subscriptions += 1
    return this.services.router.subscribeUnsafe(this.#subscription)
  }

  /** Takes the retained messages that match and did not come live, here now and those of other shards when they come. */
  replayRetained(): void {
    const { ingress, principal } = this.services
    const visit = (message: Message): void => {
      if (!this.#cameLive(message.name)) this.#takeUnsafe(message, this.#subscription.qos, true)
    }
    ingress.replayRetained(principal.tenant, this.filter, visit, () => {
      this.#seams = undefined
    })
  }

  #cameLive(name: string): boolean {
    return this.#seam !== undefined && this.#seams?.has(this.#seam, name) === true
  }

  deliverUnsafe(message: Message, delivery: Delivery): void {
    if (this.#takeUnsafe(message, delivery.qos, false)) this.#seams?.came(message)
  }

  close(): void {
    this.end(undefined)
  }

  /** Something waits that did not before, or the subscription has ended. */
  protected abstract changedUnsafe(): void

  /** Takes no more; `fault` is told after what waits. */
  protected end(fault: SubscriptionError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#fault = fault
    this.services.router.unsubscribeUnsafe(this.#subscription)
    this.services.counts.subscriptions -= 1
    this.#ended(this)
    this.changedUnsafe()
  }

  protected forget(): void {
    this.services.counts.queued -= this.queued
    this.#queue = []
    this.#head = 0
    this.#bytes = 0
  }

  /** The next message; undefined where none waits. */
  protected nextUnsafe(): ReceivedMessage | undefined {
    const { clock, counts } = this.services
    for (;;) {
      const message = this.#queue[this.#head]
      if (message === undefined) return undefined
      // What was handed out is not kept alive by its old place.
      this.#queue[this.#head] = undefined
      this.#head += 1
      this.#bytes -= message.sizeBytes
      counts.queued -= 1
      if (this.#head === this.#queue.length) {
        this.#queue.length = 0
        this.#head = 0
      } else if (this.#head >= COMPACT_AT && this.#head * 2 > this.#queue.length) {
        this.#queue.splice(0, this.#head)
        this.#head = 0
      }
      if (message.expiresAtMs === 0 || message.expiresAtMs > clock.nowMs()) {
        counts.delivered += 1
        return message
      }
      counts.expired += 1
    }
  }

  /** Why it ended, once. */
  protected takeFault(): SubscriptionError | undefined {
    const fault = this.#fault
    this.#fault = undefined
    return fault
  }

  /** Whether it is in the queue. */
  #takeUnsafe(message: Message, qosMax: number, retain: boolean): boolean {
    if (this.#isOver) return false
    const qos = message.qos < qosMax ? message.qos : qosMax
    const size = message.payloadEnd - message.payloadStart
    const waiting = this.queued
    if (waiting > 0 && (waiting >= this.#queueMessagesMax || this.#bytes + size > this.#queueBytesMax)) {
      this.#overflow(qos)
      return false
    }
    const received = new ReceivedMessage(message, qos, retain)
    this.#queue.push(received)
    this.#bytes += received.sizeBytes
    this.services.counts.queued += 1
    this.changedUnsafe()
    return true
  }

  #overflow(qos: number): void {
    this.dropped += 1
    this.services.counts.dropped += 1
    if (qos === 0 || this.#dropsAll) return
    this.services.counts.overflowed += 1
    const message = `${this.queued} messages wait for the program, and one of QoS ${qos} has come: it reads too slowly`
    this.end(new SubscriptionError({ filter: this.filter, reason: "overflow", message }))
  }
}
