/** For tests: messages made of text, and everything between protocols and storage on several shards. */

import { type AccessShape, allowAll } from "../access/Access.ts"
import { assert } from "../assert.ts"
import { StorageRoom } from "../budget/StorageBudget.ts"
import { MemoryJournal } from "../journal/MemoryJournal.ts"
import type { KeyValue, KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { Simulation } from "../platform/simulated.ts"
import { type Delivery, type Subscriber, Subscription } from "../router/Delivery.ts"
import { Resolutions } from "../router/Resolutions.ts"
import { ShardRouter } from "../router/Router.ts"
import { type JoinedTopics, type JoinTopicsOptions, joinTopics, type TopicsShard } from "../topics/fakes.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { Message } from "./Message.ts"
import { ProducedBatches } from "./ProducedBatches.ts"
import { Retained } from "./Retained.ts"
import { RETAINED_LIMITS } from "./retained-limits.ts"
import { type QueueAppender, ShardIngress } from "./ShardIngress.ts"
import { Tokens } from "./Tokens.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A topic of one partition that stores what matches a filter. */
export const TELEMETRY: TopicInfo = {
  tenant: 0,
  name: "telemetry",
  id: "1",
  partitions: 1,
  engine: "memory",
  mode: "memory",
  origin: "manifest",
  filter: "d/+/t"
}

export interface MessageFacts {
  readonly qos?: number
  readonly retain?: boolean
  readonly publisher?: string
  readonly expiresAtMs?: number
  readonly timestamp?: number
  readonly tenant?: number
}

/** A message as a protocol fills it in; topic and payload lie in the middle of larger buffers. */
export function messageOf(topic: string, payload: string | Uint8Array, facts: MessageFacts = {}): Message {
  const message = new Message()
  const name = encoder.encode(`<${topic}>`)
  const body = typeof payload === "string" ? encoder.encode(payload) : payload
  const padded = new Uint8Array(body.length + 5)
  padded.set(body, 3)
  message.topic = name
  message.topicStart = 1
  message.topicEnd = name.length - 1
  message.payload = padded
  message.payloadStart = 3
  message.payloadEnd = 3 + body.length
  message.qos = facts.qos ?? 0
  message.retain = facts.retain ?? false
  message.publisher = facts.publisher ?? ""
  message.expiresAtMs = facts.expiresAtMs ?? 0
  message.timestamp = facts.timestamp ?? 1_700_000_000_000
  message.tenant = facts.tenant ?? 0
  message.begin()
  return message
}

export function payloadOf(message: Message): string {
  return decoder.decode(message.payload.subarray(message.payloadStart, message.payloadEnd))
}

/** Everything that a message says, as plain values that can be compared. */
export function factsOf(message: Message): Record<string, unknown> {
  const { headers, keyStart, keyEnd } = message
  return {
    tenant: message.tenant,
    topic: decoder.decode(message.topic.subarray(message.topicStart, message.topicEnd)),
    payload: message.payload.subarray(message.payloadStart, message.payloadEnd).toHex(),
    headers: headers.subarray(message.headersStart, message.headersEnd).toHex(),
    headerCount: message.headerCount,
    key: keyStart < 0 ? undefined : headers.subarray(keyStart, keyEnd).toHex(),
    gathered: message.gathered,
    qos: message.qos,
    retain: message.retain,
    timestamp: message.timestamp,
    expiresAtMs: message.expiresAtMs,
    publisher: message.publisher,
    partition: message.partition,
    offset: message.offset,
    queue: message.queue,
    queueOffset: message.queueOffset
  }
}

/** A key-value store in a Map, by the hexadecimal digits of the keys, which order as the keys do. */
export class MapStore implements KeyValueStoreShape {
  readonly values = new Map<string, Uint8Array>()
  get size(): number {
    return this.values.size
  }
  get(key: Uint8Array): Uint8Array | undefined {
    return this.values.get(key.toHex())
  }
  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    return [...this.values]
      .filter(([key]) => key >= start.toHex() && key < end.toHex())
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .slice(0, limit)
      .map(([key, value]) => ({ key: Uint8Array.fromHex(key), value }))
  }
  rangeLater(start: Uint8Array, end: Uint8Array, limit: number): Promise<ReadonlyArray<KeyValue>> {
    return Promise.resolve(this.range(start, end, limit))
  }
  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    for (const { key, value } of writes) {
      if (value === undefined) this.values.delete(key.toHex())
      else this.values.set(key.toHex(), value.slice())
    }
  }
}

/** A journal in memory that can be made to take its time. */
export class SlowJournal extends MemoryJournal {
  #later: ((commit: () => void) => void) | undefined

  /** From now on what a turn submitted is committed when `later` calls what it is given. */
  hold(later: (commit: () => void) => void): void {
    this.#later = later
  }

  override endTurn(): void {
    if (this.#later === undefined) super.endTurn()
    else this.#later(() => super.endTurn())
  }
}

export interface IngressShard extends TopicsShard {
  readonly journal: SlowJournal
  readonly port: LinkPort
  readonly router: ShardRouter
  readonly resolutions: Resolutions
  readonly retained: Retained
  readonly ingress: ShardIngress
  readonly produced: ProducedBatches
  readonly store: MapStore
  readonly queueLog: NotingQueueLog
  readonly tokens: Tokens
  readonly room: StorageRoom
}

/** A queue log that notes what it was given. */
export class NotingQueueLog implements QueueAppender {
  readonly seen: Array<string> = []
  /** What an append is answered with; 0 = it is taken. */
  refusal = 0
  readonly #number: number
  constructor(number: number) {
    this.#number = number
  }
  appendUnsafe(message: Message): number {
    if (this.refusal < 0) return this.refusal
    message.queue = this.#number
    message.queueOffset = this.seen.length
    this.seen.push(`${message.publisher} ${message.name}=${payloadOf(message)}`)
    return message.queueOffset
  }
}

/** Everything between protocols and storage, on two shards or more of one simulation. */
export function joinIngress(
  simulation: Simulation,
  options: JoinTopicsOptions & { readonly access?: AccessShape } = {}
): Omit<JoinedTopics, "shards"> & { readonly shards: ReadonlyArray<IngressShard> } {
  const { clock } = simulation
  const topicShards = joinTopics(simulation, options)
  const shards = topicShards.shards.map(({ topics, engine }, index) => {
    const joined = topicShards.joined.all[index]
    assert(joined !== undefined, "every shard is joined")
    const { port, turn } = joined
    const store = new MapStore()
    const journal = new SlowJournal(turn, store)
    const resolutions = new Resolutions(topics, 1)
    const router = new ShardRouter(port, 2, (name) => resolutions.invalidate(name))
    resolutions.join(router)
    const retained = new Retained(journal, store, 3, RETAINED_LIMITS)
    const access = options.access ?? allowAll
    const queueLog = new NotingQueueLog(index)
    const tokens = new Tokens(journal, store)
    const room = new StorageRoom()
    const parts = { port, router, resolutions, topics, retained, queueLog, tokens, journal, room, access, clock }
    const ingress = new ShardIngress(parts)
    const produced = new ProducedBatches(topics, router, resolutions, queueLog, journal, clock)
    return {
      topics,
      engine,
      port,
      router,
      resolutions,
      retained,
      ingress,
      produced,
      journal,
      room,
      store,
      queueLog,
      tokens
    }
  })
  return { ...topicShards, shards }
}

/** A subscriber that notes "publisher topic=payload" and how it was delivered. */
export class NotingSubscriber implements Subscriber {
  readonly seen: Array<string> = []
  readonly deliveries: Array<{ readonly message: Message; readonly delivery: Delivery }> = []
  deliverUnsafe(message: Message, delivery: Delivery): void {
    this.seen.push(`${message.publisher} ${message.name}=${payloadOf(message)}`)
    this.deliveries.push({ message: message.owned(), delivery })
  }
}

/** Subscribes `subscriber` on a shard, QoS 2, nothing left out; with the ticket to wait for. */
export function subscribe(
  shard: IngressShard,
  subscriber: Subscriber,
  filter: string
): { readonly subscription: Subscription; readonly ticket: number } {
  const subscription = new Subscription(subscriber, filter, 2, "", true, 0)
  return { subscription, ticket: shard.router.subscribeUnsafe(subscription) }
}
