import assert from "node:assert/strict"
import { test } from "node:test"
import { Delivery, Message, Subscription } from "../../core/mod.ts"
import { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { TransientSession } from "./TransientSession.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What a session asks of its broker. */
class FakeBroker {
  nowMs = 1_000
  readonly counts = { queuedMessages: 0, droppedExpired: 0, droppedQueue: 0, droppedTooLarge: 0 }
  readonly settings = { queue_messages_max: 100, queue_bytes_max: 1_000_000 }
  /** By filter. */
  readonly routed = new Map<string, Subscription>()
  readonly budget = { awaitRoom: (): void => {} }
  readonly dropsExpired = Broker.prototype.dropsExpired
  held = new HeldMessages(10_000_000)
  readonly services = {
    clock: { nowMs: (): number => this.nowMs },
    router: {
      subscribeUnsafe: (subscription: Subscription): number => {
        this.routed.set(subscription.filter, subscription)
        return this.routed.size
      },
      unsubscribeUnsafe: ({ filter }: Subscription): boolean => this.routed.delete(filter),
      leaveUnsafe: (): void => this.routed.clear(),
      subscriptionOf: (_session: unknown, filter: string): Subscription | undefined => this.routed.get(filter),
      subscriptionCountOf: (): number => this.routed.size
    }
  }
}

/** What a session asks of its connection: notes what leaves. */
class FakeConnection {
  takesMore = true
  sizeMax = Number.POSITIVE_INFINITY
  readonly lines: Array<string> = []
  readonly inFlight: Array<number> = []
  sendPublish(
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    _nowMs: number,
    packetIdentifier = 0
  ): void {
    this.lines.push(
      `${payloadOf(message)} q${qos}${retain ? " r" : ""}${identifiers.length > 0 ? ` i${identifiers}` : ""}`
    )
    if (qos > 0) this.inFlight.push(packetIdentifier)
  }
  sendPubrel(packetIdentifier: number): void {
    this.lines.push(`pubrel ${packetIdentifier}`)
    this.inFlight.push(packetIdentifier)
  }
  fitsPacketSize(message: Message): boolean {
    return message.payloadEnd - message.payloadStart <= this.sizeMax
  }
}

function payloadOf(message: Message): string {
  return decoder.decode(message.payload.subarray(message.payloadStart, message.payloadEnd))
}

function messageOf(
  payload: string,
  facts: { qos?: number; retain?: boolean; publisher?: string; expiresAtMs?: number } = {}
): Message {
  const message = new Message()
  message.topic = encoder.encode("t")
  message.topicEnd = 1
  message.payload = encoder.encode(payload)
  message.payloadEnd = message.payload.length
  Object.assign(message, { qos: 2, ...facts })
  message.begin()
  return message
}

function make(limit = 3) {
  const broker = new FakeBroker()
  const session = new TransientSession(broker as unknown as Broker, 0, "me", 0, limit)
  const connect = (): FakeConnection => {
    const connection = new FakeConnection()
    session.connection = connection as unknown as Connection
    return connection
  }
  const send = (payload: string, qos = 1, facts = {}): void =>
    void session.send(messageOf(payload, { qos, ...facts }), qos, false, [], 0)
  return { broker, session, connect, send }
}

test("within the window messages leave at once; beyond it they wait and leave as identifiers come free", () => {
  const { broker, session, connect, send } = make()
  const connection = connect()
  for (const payload of ["1", "2", "3", "4", "5"]) send(payload)
  assert.deepEqual(connection.lines, ["1 q1", "2 q1", "3 q1"])
  assert.deepEqual([session.queueLength, broker.counts.queuedMessages], [2, 2])
  session.freed(connection.inFlight[1] ?? 0)
  assert.equal(connection.lines.at(-1), "4 q1")
  send("6")
  session.freed(connection.inFlight[0] ?? 0)
  session.freed(connection.inFlight[2] ?? 0)
  assert.deepEqual(connection.lines.slice(-2), ["5 q1", "6 q1"])
  assert.deepEqual([session.queueLength, broker.counts.queuedMessages], [0, 0])
})

test("QoS 0 does not wait for the window, and is not kept without a connection", () => {
  const { session, connect, send } = make()
  send("lost", 0)
  const connection = connect()
  for (const payload of ["1", "2", "3", "4"]) send(payload)
  send("now", 0)
  assert.equal(connection.lines.at(-1), "now q0")
  assert.equal(session.queueLength, 1)
})

test("what waits is bounded by count and by bytes; the newest goes, counted", () => {
  const { broker, session, connect, send } = make()
  connect().takesMore = false
  broker.settings.queue_messages_max = 2
  for (const payload of ["1", "2", "3"]) send(payload)
  assert.deepEqual([session.queueLength, broker.counts.droppedQueue], [2, 1])
  const bytes = make()
  bytes.connect().takesMore = false
  bytes.broker.settings.queue_bytes_max = 1_000
  bytes.send("x".repeat(600))
  bytes.send("y".repeat(600))
  assert.deepEqual([bytes.session.queueLength, bytes.broker.counts.droppedQueue], [1, 1])
})

test("what has expired while it waited is dropped, counted, and takes no identifier", () => {
  const { broker, session, connect, send } = make(1)
  const connection = connect()
  send("first")
  send("short", 1, { expiresAtMs: 2_000 })
  send("long", 1, { expiresAtMs: 9_000 })
  broker.nowMs = 2_000
  session.freed(connection.inFlight[0] ?? 0)
  connection.lines.shift()
  assert.deepEqual(connection.lines, ["long q1"])
  assert.deepEqual([broker.counts.droppedExpired, broker.counts.queuedMessages, session.window?.count], [1, 0, 1])
})

test("what is larger than the client takes is dropped as if it had been delivered", () => {
  const { broker, session, connect, send } = make()
  const connection = connect()
  connection.sizeMax = 3
  for (const payload of ["1", "large", "2"]) send(payload)
  assert.deepEqual(connection.lines, ["1 q1", "2 q1"])
  assert.deepEqual([broker.counts.droppedTooLarge, session.window?.count], [1, 2])
})

test("delivery: the lower QoS, retain as published, subscription identifiers, no local", () => {
  const { session, connect } = make()
  const connection = connect()
  const deliver = (message: Message, ...granted: ReadonlyArray<readonly [number, string, boolean, number]>): void => {
    const made = granted.map(
      ([qos, noLocal, asPublished, identifier]) => new Subscription(session, "t", qos, noLocal, asPublished, identifier)
    )
    for (const delivery of Delivery.gather(made)) session.deliverUnsafe(message, delivery)
  }
  deliver(messageOf("low", { qos: 0 }), [2, "", false, 0])
  deliver(messageOf("granted", { qos: 2 }), [1, "", false, 7])
  deliver(messageOf("retain", { qos: 0, retain: true }), [0, "", true, 0])
  deliver(messageOf("not", { qos: 0, retain: true }), [0, "", false, 0])
  deliver(messageOf("mine", { qos: 0, publisher: "me" }), [0, "me", false, 0])
  deliver(messageOf("theirs", { qos: 0, publisher: "you" }), [0, "me", false, 0])
  deliver(messageOf("both", { qos: 1, publisher: "me" }), [1, "me", false, 1], [0, "", false, 2])
  assert.deepEqual(connection.lines, ["low q0", "granted q1 i7", "retain q0 r", "not q0", "theirs q0", "both q0 i2"])
})

test("subscribing again replaces; the router has one of each filter; ending takes all of them off", () => {
  const { broker, session } = make()
  assert.equal(
    session.subscribe({
      filter: "a",
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      identifier: 0,
      exclusive: false
    }).isNew,
    true
  )
  const again = session.subscribe({
    filter: "a",
    qos: 2,
    noLocal: true,
    retainAsPublished: false,
    identifier: 0,
    exclusive: false
  })
  assert.deepEqual([again.isNew, again.subscription.noLocal, again.subscription.qos], [false, "me", 2])
  session.subscribe({ filter: "b", qos: 0, noLocal: false, retainAsPublished: false, identifier: 0, exclusive: false })
  assert.deepEqual([session.subscriptionCount, broker.routed.size], [2, 2])
  assert.equal(broker.routed.get("a"), again.subscription)
  assert.equal(session.unsubscribe("b"), true)
  assert.equal(session.unsubscribe("b"), false)
  session.end()
  assert.deepEqual([session.subscriptionCount, broker.routed.size], [0, 0])
})

test("what all sessions keep together is bounded: more is dropped and counted", () => {
  const { broker, session, connect, send } = make()
  connect().takesMore = false
  broker.held = new HeldMessages(700)
  send("a".repeat(400))
  send("b".repeat(400))
  send("c".repeat(400))
  assert.deepEqual([session.queueLength, broker.counts.droppedQueue], [2, 1])
  session.end()
  assert.equal(broker.held.used, 0)
})
