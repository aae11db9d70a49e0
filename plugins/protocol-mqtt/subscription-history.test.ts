/**
 * Any history of a session whose subscriptions change in the midst of traffic, on two shards: SUBSCRIBE, the same filter again with another
 * QoS, UNSUBSCRIBE, filters that overlap, clean starts, connections that another one of the same client takes the place of, late packets
 * of those, journals that wait, crashes.
 *
 * What was published and acknowledged while a subscription stood comes: QoS 1 at least once, QoS 2 once, in order, one copy with the highest
 * QoS that was granted. Nothing is lost because a subscription is replaced [MQTT-3.8.4-4]. What was published when none stood does not come.
 *
 * Source: MQTT 5.0 sections 3.1.4, 3.3.4, 3.8.4, 3.10.4, 4.6.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { matches } from "../../core/mod.ts"
import type { Decoded } from "../../tests/support/mqtt-decode.ts"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { Connection } from "./Connection.ts"
import { type Got, TestClient } from "./fakes.ts"
import { befall, toTheEnd } from "./history-arbitraries.ts"
import { KeptSubscriptions } from "./KeptSubscriptions.ts"
import { PastSubscriptions } from "./PastSubscriptions.ts"
import { type Fault, replaced, testPlanted } from "./planted.ts"
import { SESSION_TAKEN_OVER } from "./reasons.ts"
import { Sessions } from "./Sessions.ts"
import { FILTERS, NAMES, type SubscriptionHistory, subscriptionHistory } from "./subscription-arbitraries.ts"
import { TestNode } from "./testing.ts"

const KEPT = { properties: [["sessionExpiry", 4_294_967_295]] } as const

/** Packets of a connection that another one has taken the place of. */
const LATE_PACKETS: ReadonlyArray<(id: number) => Uint8Array> = [
  (id) => encode.ack("puback", id),
  (id) => encode.ack("pubrec", id),
  (id) => encode.ack("pubrel", id),
  (id) => encode.ack("pubcomp", id),
  (id) => encode.publish(5, { topic: "t/0", payload: "late", qos: 2, id }),
  (id) => encode.subscribe(5, id, [{ filter: "#", qos: 0 }]),
  (id) => encode.unsubscribe(5, id, FILTERS),
  () => encode.disconnect(5, 0, [["sessionExpiry", 0]])
]

/** One SUBSCRIBE as its client sees it, by moments; 0 = not yet. */
interface Asked {
  readonly filter: string
  readonly qos: number
  readonly askedAt: number
  /** SUBACK was read, on the connection that asked. */
  grantedAt: number
  /** UNSUBSCRIBE, or the next SUBSCRIBE of the filter, was sent. */
  leftAt: number
  /** The SUBSCRIBE that replaces it. */
  heir: Asked | undefined
  /** That was answered. */
  goneAt: number
}

interface Sent {
  readonly name: string
  readonly payload: string
  readonly qos: number
  readonly sentAt: number
  /** Its acknowledgement was read. */
  doneAt: number
}

/** Whether a subscription stands, or one that replaces it: whichever of them the broker has. */
function stands({ leftAt, heir }: Asked): boolean {
  return leftAt === 0 || (heir !== undefined && heir.qos > 0 && stands(heir))
}

/** What the subscriber may and must get. */
class Model {
  now = 1
  readonly sent: Array<Sent> = []
  /** Messages that must come, with the filters that they are for. */
  readonly #owed = new Map<Sent, ReadonlyArray<Asked>>()
  /** Messages that a subscription stood for when they were sent for the first time: what comes of them comes in order. */
  readonly #ordered = new Set<string>()
  /** Those of the session, and of one that a clean start may have ended. */
  #asked: Array<Asked> = []
  readonly #ended: Array<Asked> = []
  /** Requests that are not answered, by packet identifier. */
  readonly #requests = new Map<number, () => void>()
  /** A clean start was sent and not answered: the session is the old one or a new one. */
  #isUncertain = false
  /** The last CONNECT was a clean start. */
  #isClean = false
  hasCrashed = false
  #lastId = 0

  published(name: string, qos: number): string {
    const payload = `${this.sent.length}`
    this.sent.push({ name, payload, qos, sentAt: this.now, doneAt: 0 })
    return payload
  }

  /** The publisher reads that it was taken. */
  done(payload: string): void {
    const message = this.sent.find((each) => each.payload === payload)
    if (message === undefined || message.doneAt !== 0) return
    message.doneAt = this.now
    const standing = this.#asked.filter(
      (each) =>
        each.qos > 0 &&
        each.grantedAt !== 0 &&
        each.grantedAt < message.sentAt &&
        matches(each.filter, message.name) &&
        stands(each)
    )
    if (standing.length === 0) return
    this.#owed.set(message, standing)
    this.#ordered.add(message.payload)
  }

  subscribing(filter: string, qos: number): number {
    const standing = this.#asked.filter((each) => each.filter === filter && each.leftAt === 0)
    const before = this.#leaving(filter)
    const made: Asked = { filter, qos, askedAt: this.now, grantedAt: 0, leftAt: 0, heir: undefined, goneAt: 0 }
    for (const each of standing) each.heir = made
    this.#asked.push(made)
    return this.#request(() => {
      for (const each of before) each.goneAt = this.now
      made.grantedAt = this.now
    })
  }

  unsubscribing(filter: string): number {
    const before = this.#leaving(filter)
    return this.#request(() => {
      for (const each of before) each.goneAt = this.now
    })
  }

  /** A CONNECT is sent. */
  connecting(isClean: boolean): void {
    this.#requests.clear()
    this.#isClean = isClean
    if (!isClean) return
    this.#isUncertain = true
    this.#owed.clear()
    for (const each of this.#asked) each.leftAt = each.leftAt || this.now
  }

  crashed(): void {
    this.#requests.clear()
    this.hasCrashed = true
    // What was asked when it was published is forgotten: it comes where the filter has been subscribed to ever since.
    for (const [message, asked] of this.#owed) if (!asked.some(stands)) this.#owed.delete(message)
  }

  /** The subscriber reads a packet. */
  took(packet: Decoded): void {
    if (packet.type === "suback" || packet.type === "unsuback") {
      const answered = this.#requests.get(packet.id) ?? assert.fail(`${packet.type} ${packet.id} answers nothing`)
      this.#requests.delete(packet.id)
      answered()
    } else if (packet.type === "connack") {
      assert.ok(packet.sessionPresent || this.#isUncertain, "the session is still there")
      assert.ok(!packet.sessionPresent || !this.#isClean, "a clean start begins a new session")
      if (!packet.sessionPresent) {
        for (const each of this.#asked) each.goneAt = this.now
        this.#ended.push(...this.#asked)
        this.#asked = []
      }
      this.#isUncertain = false
    }
  }

  /** A message has come that the subscriber did not have before. */
  came({ payload, topic, qos, dup }: Got, times: number): void {
    const message = this.sent.find((each) => each.payload === payload) ?? assert.fail(`${payload} was never published`)
    const asked = [...this.#asked, ...this.#ended].filter(({ filter }) => matches(filter, topic))
    const may = asked.filter(
      ({ askedAt, goneAt }) =>
        (goneAt === 0 || goneAt > message.sentAt) && (message.doneAt === 0 || askedAt < message.doneAt)
    )
    const what = `${payload}, QoS ${message.qos}, came with QoS ${qos}${dup ? ", again" : ""}`
    assert.ok(may.length > 0, `${what}, for no subscription`)
    assert.ok(qos <= Math.min(message.qos, Math.max(...may.map((each) => each.qos))), `${what}, which is too high`)
    const owed = this.#owed.get(message)
    // Where nothing changed from its publication to its acknowledgement it is known what was to be made of it.
    const isSettled = owed !== undefined && may.length === owed.length && may.every((each) => owed.includes(each))
    const isClear = isSettled && !this.hasCrashed
    if (isClear) assert.equal(qos, Math.min(message.qos, Math.max(...owed.map((each) => each.qos))), what)
    if (qos === 2) assert.equal(times, 1, `${what}, and had come before`)
  }

  /** All has been read. */
  over(got: ReadonlyArray<Got>): void {
    const payloads = new Set(got.map(({ payload }) => payload))
    for (const [{ payload, qos }, asked] of this.#owed) {
      const filters = asked.map((each) => `${each.filter} QoS ${each.qos}`)
      assert.ok(payloads.has(payload), `${payload}, QoS ${qos}, does not come, for ${filters.join()}`)
    }
    for (const name of NAMES) {
      const came = got.filter(({ topic, payload }) => topic === name && this.#ordered.has(payload))
      const first = [...new Set(came.map(({ payload }) => Number(payload)))]
      const ordered = first.toSorted((left, right) => left - right)
      assert.deepEqual(first, ordered, `in order on ${name}`)
    }
  }

  #leaving(filter: string): ReadonlyArray<Asked> {
    const before = this.#asked.filter((each) => each.filter === filter && each.goneAt === 0)
    for (const each of before) each.leftAt = each.leftAt || this.now
    return before
  }

  #request(answered: () => void): number {
    this.#lastId = (this.#lastId % 60_000) + 1
    this.#requests.set(this.#lastId, answered)
    return this.#lastId
  }
}

async function play({ window, steps }: SubscriptionHistory): Promise<void> {
  const node = new TestNode({ inflight_max: window })
  await node.start()
  const model = new Model()
  const subscriber = new TestClient(node, "subscriber", 5)
  const publisher = new TestClient(node, "publisher-1", 5)
  subscriber.window = window
  const clients = [subscriber, publisher]
  const client = (index: number): TestClient => clients[index] ?? assert.fail("there are two")
  let discarded = 0
  const connect = (each: TestClient, isClean = false, isCut = true): void => {
    if (each === subscriber) model.connecting(isClean)
    // What it knew of the session is discarded with the CONNECT: it takes anew what comes of it all the same, after a crash.
    if (each === subscriber && isClean) discarded = subscriber.got.length
    if (isCut) each.cut()
    each.takeOver({ ...KEPT, clean: isClean })
  }
  connect(subscriber, true)
  connect(publisher)
  await node.settle()
  for (const each of clients) each.answer()
  subscriber.onPacket = (packet) => model.took(packet)
  subscriber.send(encode.subscribe(5, model.subscribing("t/#", 2), [{ filter: "t/#", qos: 2 }]))
  await node.settle()
  subscriber.answer()
  let seen = 0
  let done = 0
  const look = (): void => {
    for (; done < publisher.done.length; done++) model.done(publisher.done[done] ?? "")
    for (; seen < subscriber.got.length; seen++) {
      const got = subscriber.got[seen] ?? assert.fail("it is there")
      // A copy of a lower QoS may have come, as was asked before a crash that took that back, or has forgotten it.
      const copies = subscriber.got
        .slice(discarded, seen + 1)
        .filter(({ payload, qos }) => payload === got.payload && (qos === 2 || !model.hasCrashed))
      model.came(got, copies.length)
    }
  }
  const publish = (name: string, qos: 1 | 2): void => {
    if (publisher.unfinished < 8) publisher.publish(name, model.published(name, qos), qos)
  }
  for (const each of steps) {
    model.now += 1
    switch (each.kind) {
      case "publish":
        publish(each.name, each.qos)
        break
      case "answer":
        client(each.who).answer(each.count)
        break
      case "cut":
        client(each.who).cut()
        break
      case "connect":
      case "take-over":
        connect(client(each.who), false, each.kind === "connect")
        break
      case "clean":
        connect(subscriber, true)
        break
      case "late":
        client(each.who).former?.sendLate(LATE_PACKETS[each.packet]?.(each.id) ?? assert.fail("there is one"))
        break
      case "subscribe":
        if (!subscriber.isConnected || subscriber.sessionPresent === undefined) break
        if (each.crossing !== undefined) publish(each.crossing, 1)
        model.now += 1
        subscriber.send(encode.subscribe(5, model.subscribing(each.filter, each.qos), [{ ...each, retainHandling: 2 }]))
        if (each.isCut) subscriber.cut()
        break
      case "unsubscribe":
        if (!subscriber.isConnected || subscriber.sessionPresent === undefined) break
        subscriber.send(encode.unsubscribe(5, model.unsubscribing(each.filter), [each.filter]))
        break
      case "crash":
        model.crashed()
        for (const one of clients) one.former = undefined
        await befall(node, each, clients)
        break
      default:
        await befall(node, each, clients)
    }
    await node.settle()
    look()
    assert.ok(subscriber.former?.isClosed !== false, "a connection that another one took the place of is ended")
  }
  model.now += 1
  await toTheEnd(node, clients, (each) => connect(each))
  look()
  assert.equal(publisher.unfinished, 0, "the publisher has been told of everything")
  model.over(subscriber.got)
}

const whatever = fc.asyncProperty(subscriptionHistory, play)

// RUNS=n and SEED=n try other histories; the same ones hold a change back or let it through.
const RUNS = Number(process.env["RUNS"] ?? 150)
const seed = Number(process.env["SEED"] ?? 4)

test("whatever becomes of its subscriptions and connections: all that was for them, once, and nothing else", async () => {
  await fc.assert(whatever, { numRuns: RUNS, seed })
})

/** Faults that these histories must find: each is planted, and what it was planted in is put back. */
const FAULTS: ReadonlyArray<Fault> = [
  [
    "a connection goes on when another one has taken its place",
    () => {
      const { close } = Connection.prototype
      return replaced(Connection.prototype, "close", function goesOn(this: Connection, code) {
        if (code !== SESSION_TAKEN_OVER) close.call(this, code)
      })
    }
  ],
  [
    "what was published for a subscription that was taken off, and not read yet, is forgotten",
    () => replaced(PastSubscriptions.prototype, "add", () => {})
  ],
  [
    "of filters that overlap one decides, not the highest QoS",
    () => {
      const { deliveryOf } = KeptSubscriptions.prototype
      return replaced(KeptSubscriptions.prototype, "deliveryOf", function lowest(this: KeptSubscriptions, message) {
        const delivery = deliveryOf.call(this, message)
        return delivery === undefined
          ? undefined
          : Object.assign(Object.create(delivery), { qos: Math.min(1, delivery.qos) })
      })
    }
  ],
  [
    "what waits is still read for a filter that was taken off",
    () => replaced(KeptSubscriptions.prototype, "remove", () => {})
  ],
  [
    "a clean start is none",
    () => {
      const { open } = Sessions.prototype
      return replaced(Sessions.prototype, "open", function goOn(this: Sessions, request) {
        open.call(this, { ...request, connect: { ...request.connect, cleanStart: false } })
      })
    }
  ]
]

testPlanted(FAULTS, whatever, { numRuns: 2_000, seed })
