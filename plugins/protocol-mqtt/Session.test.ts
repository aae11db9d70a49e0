import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Delivery, Message, type Subscription } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { AWAITS_PUBREC } from "./OutboundWindow.ts"
import { Session } from "./Session.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What a session asks of its broker. */
class FakeBroker {
  nowMs = 1_000
  readonly counts = { queuedMessages: 0, droppedExpired: 0, droppedQueue: 0, droppedTooLarge: 0 }
  readonly settings = { queue_messages_max: 100, queue_bytes_max: 1_000_000 }
  readonly routed = new Set<Subscription>()
  readonly budget = { awaitRoom: (): void => {} }
  held = new HeldMessages(10_000_000)
  readonly services = {
    clock: { nowMs: (): number => this.nowMs },
    router: {
      subscribeUnsafe: (subscription: Subscription): number => {
        this.routed.add(subscription)
        return this.routed.size
      },
      unsubscribeUnsafe: (subscription: Subscription): boolean => this.routed.delete(subscription)
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
  resendPublish({ message, qos }: { message: Message; qos: number }, packetIdentifier: number): void {
    this.lines.push(`${payloadOf(message)} q${qos} dup`)
    this.inFlight.push(packetIdentifier)
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

function make(expiryInterval = 60, limit = 3) {
  const broker = new FakeBroker()
  const session = new Session(broker as unknown as Broker, 0, "me", expiryInterval, limit)
  const connect = (): FakeConnection => {
    const connection = new FakeConnection()
    session.connection = connection as unknown as Connection
    return connection
  }
  const send = (payload: string, qos = 1, facts = {}): void =>
    session.send(messageOf(payload, { qos, ...facts }), qos, false, [], 0)
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

test("without a connection a session that lives on keeps what comes, one that ends with its connection does not", () => {
  const lasting = make(60)
  lasting.send("kept")
  const connection = lasting.connect()
  lasting.session.resend(connection as unknown as Connection)
  assert.deepEqual(connection.lines, ["kept q1"])
  const ending = make(0)
  ending.send("gone")
  assert.deepEqual([ending.session.queueLength, ending.broker.counts.queuedMessages], [0, 0])
})

test("what waits is bounded by count and by bytes; the newest goes, counted", () => {
  const { broker, session, send } = make()
  broker.settings.queue_messages_max = 2
  for (const payload of ["1", "2", "3"]) send(payload)
  assert.deepEqual([session.queueLength, broker.counts.droppedQueue], [2, 1])
  const bytes = make()
  bytes.broker.settings.queue_bytes_max = 1_000
  bytes.send("x".repeat(600))
  bytes.send("y".repeat(600))
  assert.deepEqual([bytes.session.queueLength, bytes.broker.counts.droppedQueue], [1, 1])
})

test("what has expired while it waited is dropped, counted, and takes no identifier", () => {
  const { broker, session, connect, send } = make()
  send("short", 1, { expiresAtMs: 2_000 })
  send("long", 1, { expiresAtMs: 9_000 })
  broker.nowMs = 2_000
  const connection = connect()
  session.resend(connection as unknown as Connection)
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

test("after a resumption: in flight again in order, PUBREL where PUBREC had come, then what waited", () => {
  const { session, connect, send } = make(60, 4)
  const before = connect()
  send("1", 2)
  send("2", 2)
  send("3")
  send("4")
  send("5")
  const [one = 0, , three = 0] = before.inFlight
  assert.equal(session.window?.stateOf(one), AWAITS_PUBREC)
  session.released(one)
  session.freed(three)
  const after = connect()
  session.resend(after as unknown as Connection)
  assert.deepEqual(after.lines, [`pubrel ${one}`, "2 q2 dup", "4 q1 dup", "5 q1 dup"])
})

test("a new connection with a smaller window gets no more at once than it allows, and the rest in order", () => {
  const { session, connect, send } = make(60, 5)
  connect()
  for (const payload of ["1", "2", "3", "4", "5", "6"]) send(payload)
  session.limitWindow(2)
  const after = connect()
  session.resend(after as unknown as Connection)
  assert.deepEqual(after.lines, ["1 q1 dup", "2 q1 dup"])
  send("7")
  for (let next = 0; next < after.inFlight.length; next++) {
    session.freed(after.inFlight[next] ?? 0)
    assert.ok(after.inFlight.length - next - 1 <= 2)
  }
  assert.deepEqual(
    after.lines.map((line) => line[0]),
    ["1", "2", "3", "4", "5", "6", "7"]
  )
})

test("a PUBCOMP for what an earlier connection had released makes no room beyond the smaller window", () => {
  const { session, connect, send } = make(60, 5)
  const before = connect()
  for (const payload of ["1", "2", "3", "4"]) send(payload, 2)
  for (const identifier of before.inFlight.slice(0, 2)) session.released(identifier)
  session.limitWindow(1)
  const after = connect()
  session.resend(after as unknown as Connection)
  const [one = 0, two = 0] = before.inFlight
  assert.deepEqual(after.lines, [`pubrel ${one}`, `pubrel ${two}`])
  session.freed(one)
  session.freed(two)
  assert.deepEqual(after.lines.slice(2), ["3 q2 dup"])
  session.freed(before.inFlight[2] ?? 0)
  assert.deepEqual(after.lines.slice(2), ["3 q2 dup", "4 q2 dup"])
})

test("what is acknowledged before it was sent again is not sent again, and makes no room that is not there", () => {
  const { session, connect, send } = make(60, 5)
  const before = connect()
  for (const payload of ["1", "2", "3", "4"]) send(payload)
  session.limitWindow(1)
  const after = connect()
  session.resend(after as unknown as Connection)
  session.freed(before.inFlight[2] ?? 0)
  assert.deepEqual(after.lines, ["1 q1 dup"])
  session.freed(before.inFlight[0] ?? 0)
  session.freed(before.inFlight[1] ?? 0)
  assert.deepEqual(after.lines, ["1 q1 dup", "2 q1 dup", "4 q1 dup"])
})

test("delivery: the lower QoS, retain as published, subscription identifiers, no local", () => {
  const { session, connect } = make()
  const connection = connect()
  const deliver = (message: Message, ...granted: ReadonlyArray<readonly [number, string, boolean, number]>): void => {
    const made = granted.map(([qos, noLocal, asPublished, identifier]) =>
      Delivery.subscription(session, "t", qos, noLocal, asPublished, identifier)
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
  assert.equal(session.subscribe("a", 0, false, false, 0).isNew, true)
  const again = session.subscribe("a", 2, true, false, 0)
  assert.deepEqual([again.isNew, again.subscription.noLocal, again.subscription.qos], [false, "me", 2])
  session.subscribe("b", 0, false, false, 0)
  assert.deepEqual([session.subscriptionCount, broker.routed.size], [2, 2])
  assert.ok(broker.routed.has(again.subscription))
  assert.equal(session.unsubscribe("b"), true)
  assert.equal(session.unsubscribe("b"), false)
  session.end()
  assert.deepEqual([session.subscriptionCount, broker.routed.size], [0, 0])
})

test("any history of sending, acknowledging, leaving and coming back: in order, at least once, nothing made up", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant("send" as const) },
    { weight: 4, arbitrary: fc.constant("ack" as const) },
    { weight: 1, arbitrary: fc.constant("leave" as const) },
    { weight: 1, arbitrary: fc.constant("come" as const) },
    { weight: 1, arbitrary: fc.constant("block" as const) },
    { weight: 1, arbitrary: fc.constant("drain" as const) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), fc.integer({ min: 1, max: 5 }), (steps, limit) => {
      const { broker, session, connect, send } = make(60, limit)
      let connection: FakeConnection | undefined
      let sent = 0
      let acknowledged = 0
      const come = (): void => {
        connection = connect()
        session.resend(connection as unknown as Connection)
      }
      const ack = (): void => {
        const identifier = connection?.inFlight.shift()
        if (identifier === undefined) return
        acknowledged += 1
        session.freed(identifier)
      }
      const check = (): void => {
        assert.equal(broker.counts.queuedMessages, session.queueLength)
        if (connection === undefined) return
        const numbers = connection.lines.map((line) => Number.parseInt(line, 10))
        // Each connection starts at the first message that was not acknowledged, and leaves none out.
        for (const [index, number] of numbers.entries()) assert.equal(number, (numbers[0] ?? 0) + index)
        assert.ok(connection.inFlight.length <= limit)
      }
      for (const kind of steps) {
        if (kind === "send" && sent < 90) send(String(sent++))
        else if (kind === "ack") ack()
        else if (kind === "leave") {
          connection = undefined
          session.connection = undefined
        } else if (kind === "come") come()
        else if (kind === "drain") session.drain()
        else if (connection !== undefined) connection.takesMore = !connection.takesMore
        check()
      }
      come()
      while ((connection?.inFlight.length ?? 0) > 0) {
        ack()
        check()
      }
      assert.equal(acknowledged, sent)
      assert.equal(session.queueLength, 0)
    }),
    { numRuns: 300 }
  )
})

test("what is in flight to a session that lives on is bounded by bytes too; all is given back", () => {
  const { broker, session, connect, send } = make(60, 100)
  broker.settings.queue_bytes_max = 1_000
  const connection = connect()
  // Each is about 500 bytes: the third finds the bound reached and waits.
  for (const payload of ["a", "b", "c"]) send(payload.repeat(400))
  assert.equal(connection.lines.length, 2)
  assert.equal(session.queueLength, 1)
  assert.ok(broker.held.used > 1_200)
  session.freed(connection.inFlight[0] ?? 0)
  assert.equal(connection.lines.length, 3)
  session.freed(connection.inFlight[1] ?? 0)
  session.freed(connection.inFlight[2] ?? 0)
  assert.equal(broker.held.used, 0)
  send("d".repeat(400))
  send("e".repeat(400), 2)
  session.released(connection.inFlight[4] ?? 0)
  session.end()
  assert.equal(broker.held.used, 0)
})

test("what all sessions keep together is bounded: more is dropped and counted", () => {
  const { broker, session, send } = make()
  broker.held = new HeldMessages(700)
  send("a".repeat(400))
  send("b".repeat(400))
  send("c".repeat(400))
  assert.deepEqual([session.queueLength, broker.counts.droppedQueue], [2, 1])
  session.end()
  assert.equal(broker.held.used, 0)
})
