/**
 * The broker as the program that runs it sees it: publish, subscribe and read without a socket. It stands on the node's first
 * shard and reaches the others as any protocol does.
 *
 * Invariants
 *  - The program's messages pass the ingress, the access rules and the router like everybody's; nothing here knows a short cut.
 *  - No code of the program runs within a call of the broker's: not in a publish, not in a delivery.
 *  - After the end every promise has settled, every subscription is over and nothing waits.
 */
import {
  ALLOW,
  checkTopicFilter,
  DESCRIBE,
  type Mode,
  parseShared,
  SUBSCRIBE,
  TicketFifo,
  TOPIC_REFUSALS
} from "../../core/mod.ts"
import { PublishError, SubscriptionError } from "./errors.ts"
import { type HandlerOptions, HandlerSubscription, type MessageHandler } from "./HandlerSubscription.ts"
import type { Inbox, SubscribeOptions } from "./Inbox.ts"
import { MessageStream } from "./MessageStream.ts"
import { Publisher } from "./Publisher.ts"
import type { Lines } from "./PublishLine.ts"
import { type ReadOptions, type ReadStep, RecordReader } from "./RecordReader.ts"
import type { Closable, Services } from "./Services.ts"
import { type PublishOptions, readProperties, SinglePublishes } from "./SinglePublishes.ts"
import type { StoredRecord } from "./StoredRecord.ts"

/** A topic as the program sees it. */
export interface TopicDescription {
  readonly name: string
  readonly partitions: number
  readonly engine: string
  readonly mode: Mode
  /** The topic filter of its binding; undefined = the default binding of its name. */
  readonly filter: string | undefined
}

const READ_BYTES_MAX = 1_048_576
/** Characters of a filter in a message for a person. */
const SHOWN_MAX = 80

export class Face implements Lines {
  /** No more is taken. */
  isClosed = false
  readonly busy = new Set<Closable>()
  readonly #services: Services
  readonly #singles: SinglePublishes
  readonly #inboxes = new Set<Inbox>()
  readonly #joining = new Map<number, () => void>()
  readonly #joined: TicketFifo
  #lastJoin = 0
  #whenSettled: (() => void) | undefined

  constructor(services: Services) {
    this.#services = services
    this.#singles = new SinglePublishes(services, this)
    this.#joined = new TicketFifo({ released: (_outcome, join) => this.#tellJoined(join), releasedAll: () => {} })
  }

  publish(topicName: string, payload: Uint8Array | string, options: PublishOptions = {}): Promise<void> {
    return this.#singles.publish(topicName, payload, options)
  }

  publisher(topicName: string, options: PublishOptions = {}): Publisher {
    const properties = readProperties(topicName, options)
    if (properties instanceof PublishError) throw properties
    return new Publisher(this.#services, this, topicName, properties, options.qos ?? 1, options.retain ?? false)
  }

  async subscribe(filter: string, handler: MessageHandler, options: HandlerOptions = {}): Promise<HandlerSubscription> {
    this.#checkFilter(filter)
    const subscription = new HandlerSubscription(this.#services, filter, handler, options, this.#ended)
    await this.#join(subscription, options)
    return subscription
  }

  async messages(filter: string, options: SubscribeOptions = {}): Promise<MessageStream> {
    this.#checkFilter(filter)
    const stream = new MessageStream(this.#services, filter, options, this.#ended)
    await this.#join(stream, options)
    return stream
  }

  async *read(topic: string, partition = 0, options: ReadOptions = {}): AsyncGenerator<StoredRecord, void> {
    yield* RecordReader.open(this.#services, this, topic, partition).records(options)
  }

  async readStep(topic: string, partition: number, offset: number, bytesMax = READ_BYTES_MAX): Promise<ReadStep> {
    return await RecordReader.open(this.#services, this, topic, partition).step(offset, bytesMax)
  }

  topics(): ReadonlyArray<TopicDescription> {
    const { topics, principal, access } = this.#services
    return topics
      .list(principal.tenant)
      .filter(({ name }) => access.checkUnsafe(principal, DESCRIBE, name) === ALLOW)
      .map(({ name, partitions, engine, mode, filter }) => ({ name, partitions, engine, mode, filter }))
  }

  /** Calls `settled` when no message waits for its acknowledgement, maybe at once; from now on none is taken. */
  stopTaking(settled: () => void): void {
    this.isClosed = true
    this.#whenSettled = settled
    this.settled()
  }

  settled(): void {
    if (this.#services.counts.pending === 0) this.#whenSettled?.()
  }

  /** Hands out what waits for handlers, then ends everything; whoever still waits is told. */
  end(): void {
    this.#services.dispatcher.endTurn()
    for (const inbox of [...this.#inboxes]) inbox.close()
    // The errors that subscriptions ended with before.
    this.#services.dispatcher.endTurn()
    for (const waiting of [...this.busy]) waiting.close()
    this.#singles.close()
    for (const join of [...this.#joining.keys()]) this.#tellJoined(join)
    this.busy.clear()
  }

  readonly #ended = (inbox: Inbox): void => {
    this.#inboxes.delete(inbox)
  }

  #checkFilter(filter: string): void {
    const { access, principal } = this.#services
    const refuse = (reason: SubscriptionError["reason"], message: string): never => {
      throw new SubscriptionError({ filter, reason, message })
    }
    if (this.isClosed) refuse("closed", "the broker is closed")
    const refusal = checkTopicFilter(filter)
    if (refusal !== 0)
      refuse("topic-filter", `"${filter.slice(0, SHOWN_MAX)}" ${TOPIC_REFUSALS[refusal] ?? "is no topic filter"}`)
    if (parseShared(filter) !== undefined) refuse("shared", "shared subscriptions are not part of this release")
    const isAllowed = access.checkUnsafe(principal, SUBSCRIBE, filter) === ALLOW
    if (!isAllowed) refuse("not-authorized", "access rules forbid it")
  }

  /** Settles when every shard knows the subscription: it gets every message that is published from then on. */
  async #join(inbox: Inbox, { retained = true }: SubscribeOptions): Promise<void> {
    this.#inboxes.add(inbox)
    const ticket = inbox.joinUnsafe(retained)
    const { tickets } = this.#services.router
    if (ticket > tickets.committed) {
      await new Promise<void>((resolve) => {
        const join = ++this.#lastJoin
        this.#joining.set(join, resolve)
        this.#joined.push(tickets, ticket, join, 0)
      })
    }
    if (inbox.isOver)
      throw new SubscriptionError({ filter: inbox.filter, reason: "closed", message: "the broker is closed" })
    if (retained) inbox.replayRetained()
  }

  #tellJoined(join: number): void {
    this.#joining.get(join)?.()
    this.#joining.delete(join)
  }
}
