/**
 * Any history of the life of a session, on two shards: connections with and without a will that end in every way or are taken over, clean
 * starts, intervals of expiry that pass while the client is away or the node is down, or that a DISCONNECT changes, messages that expire,
 * retained messages that are set and cleared, crashes.
 *
 * Between two steps all is done that can be, so that what must come is known exactly: to the client, and to a watcher that keeps a session
 * for good. A will comes when it is due and at no other time; what waits comes once, in order; at the end nothing is left of the client.
 *
 * Source: MQTT 5.0 sections 3.1.2.4, 3.1.2.5, 3.1.2.11.2, 3.1.3.2.2, 3.1.4, 3.3.1.3, 3.3.2.3.3, 3.14.2.2.2.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ShardIngress } from "../../core/ingress/ShardIngress.ts"
import { matches } from "../../core/mod.ts"
import { encode, type Properties } from "../../tests/support/mqtt-packets.ts"
import { Broker } from "./Broker.ts"
import { TestClient } from "./fakes.ts"
import { FOR_EVER, type LifetimeStep, lifetimeStep, type Said, type Will } from "./lifetime-arbitraries.ts"
import { type Fault, replaced, testPlanted } from "./planted.ts"
import { Sessions } from "./Sessions.ts"
import { rangeOf } from "./session-rows.ts"
import { TestNode } from "./testing.ts"
import { Wills } from "./Wills.ts"

const WILL_NAME = "r/w"
/** How late the broker may notice what is due, ms; and after a start. */
const LATE_MS = 1_000
const LATE_AFTER_START_MS = 3_000
/** Between two looks at what has come while time passes, ms. */
const LOOK_MS = 250

interface Message {
  readonly name: string
  readonly payload: string
  readonly qos: number
  /** ms; infinite = never. */
  readonly expiresAtMs: number
}

/** A will whose connection has ended: it comes in this span, unless its session goes on before. */
interface Due {
  readonly message: Message
  readonly retain: boolean
  readonly fromMs: number
  untilMs: number
}

/** What there is of the client in the broker, and what it is to get. */
class Model {
  /** Undefined = it is not connected. */
  connection: { readonly will: Due | undefined; readonly expiry: number } | undefined
  session: { expiry: number; leftAtMs: number; readonly filters: Set<string>; owed: Array<Message> } | undefined
  /** Of its last connection; what is due and has not been seen yet may be one of an earlier one. */
  readonly due: Array<Due> = []
  readonly retained = new Map<string, Message>()
  /** What the client and the watcher have to have got since the last look, as lines. */
  expected: Array<string> = []
  watched: Array<string> = []

  /** A message is published: by a client, or as a will. */
  published(message: Message, retain: boolean, nowMs: number): void {
    if (retain && message.payload === "") this.retained.delete(message.name)
    else if (retain) this.retained.set(message.name, message)
    const { session } = this
    this.watched.push(lineOf(message, false))
    if (session === undefined || this.isOver(nowMs)) return
    if (![...session.filters].some((filter) => matches(filter, message.name))) return
    if (this.connection !== undefined) this.expected.push(lineOf(message, false))
    else session.owed.push(message)
  }

  /** Whether the time of its session is over. */
  isOver(nowMs: number): boolean {
    const { session } = this
    if (session === undefined) return true
    return session.leftAtMs !== 0 && session.expiry !== FOR_EVER && session.leftAtMs + session.expiry * 1_000 <= nowMs
  }

  /** Its connection ends without a DISCONNECT, or with one that wants the will; or its node does, and starts at `nowMs`. */
  left(nowMs: number, lateMs: number): void {
    const { connection, session } = this
    this.connection = undefined
    if (connection === undefined || session === undefined) return
    const { will } = connection
    if (will !== undefined) {
      const fromMs = nowMs + Math.min(will.fromMs, session.expiry * 1_000)
      this.due.push({ ...will, fromMs, untilMs: fromMs + lateMs })
    }
    session.leftAtMs = nowMs
    if (session.expiry === 0) this.session = undefined
  }

  /** The will of a connection that was kept for its session comes now at the latest, since that ends; or not at all, since it goes on. */
  comesBack(isClean: boolean, nowMs: number): boolean {
    const isPresent = !isClean && !this.isOver(nowMs)
    for (const each of this.due.filter(({ fromMs }) => fromMs > nowMs)) {
      if (isPresent) this.due.splice(this.due.indexOf(each), 1)
      else Object.assign(each, { fromMs: nowMs })
    }
    for (const each of this.due) each.untilMs = Math.min(each.untilMs, Math.max(each.fromMs, nowMs) + LATE_MS)
    return isPresent
  }
}

const lineOf = ({ name, payload, qos }: Message, retain: boolean): string =>
  `${name} ${payload} QoS ${qos}${retain ? " retained" : ""}`

class Play {
  readonly node = new TestNode()
  readonly model = new Model()
  readonly client = new TestClient(this.node, "client", 5)
  readonly watcher = new TestClient(this.node, "watcher", 5)
  readonly publisher = new TestClient(this.node, "publisher-1", 5)
  #wills = 0
  #messages = 0

  get nowMs(): number {
    return this.node.run.simulation.clock.nowMs()
  }

  async begin(): Promise<void> {
    await this.node.start()
    await this.#comeBack()
    this.watcher.send(encode.subscribe(5, 1, [{ filter: "#", qos: 2, retainHandling: 2 }]))
    await this.#look()
  }

  /** Those that are always there. */
  async #comeBack(): Promise<void> {
    for (const each of [this.watcher, this.publisher]) each.connect({ properties: [["sessionExpiry", FOR_EVER]] })
    await this.node.settle()
  }

  async step(step: LifetimeStep): Promise<void> {
    const { client, model, node } = this
    const isConnected = model.connection !== undefined
    switch (step.kind) {
      case "connect":
        await this.#connect(step.isClean, step.expiry, step.will)
        break
      case "cut":
        client.cut()
        model.left(this.nowMs, LATE_MS)
        break
      case "disconnect":
        if (isConnected) this.#disconnect(step.reason, step.expiry)
        break
      case "subscribe":
        if (isConnected) this.#subscribe(step.filter)
        break
      case "unsubscribe":
        if (!isConnected) break
        client.send(encode.unsubscribe(5, 1, [step.filter]))
        model.session?.filters.delete(step.filter)
        break
      case "publish":
        this.#publish(step.said)
        break
      case "pass":
        for (let left = step.ms; left > 0; left -= LOOK_MS) {
          await node.advance(Math.min(left, LOOK_MS))
          await this.#look()
        }
        break
      case "crash":
        node.crash(step.downMs)
        for (const each of [client, this.watcher, this.publisher]) each.wire = undefined
        await node.start()
        model.left(this.nowMs, LATE_AFTER_START_MS)
        for (const each of model.due) each.untilMs = Math.max(each.untilMs, this.nowMs + LATE_AFTER_START_MS)
        await this.#comeBack()
    }
    await this.#look()
  }

  async #connect(isClean: boolean, expiry: number, will: Will | undefined): Promise<void> {
    const { client, model } = this
    const { nowMs } = this
    // The connection that it takes the place of ends first.
    model.left(nowMs, LATE_MS)
    const isPresent = model.comesBack(isClean, nowMs)
    this.#wills += 1
    const message = { name: WILL_NAME, payload: `will-${this.#wills}`, qos: 1, expiresAtMs: Number.POSITIVE_INFINITY }
    const properties: Properties = [["sessionExpiry", expiry]]
    client.takeOver({
      clean: isClean,
      properties,
      ...(will !== undefined && {
        will: { topic: WILL_NAME, ...message, ...will, qos: 1, properties: [["willDelay", will.delay]] }
      })
    })
    const { session } = model
    model.session = {
      expiry,
      leftAtMs: 0,
      filters: isPresent && session !== undefined ? session.filters : new Set(),
      owed: []
    }
    // Wills that were due and not looked at yet come before it is back, or just when it comes.
    await this.#lookAtWatcher()
    const owed = [...(isPresent ? (session?.owed ?? []) : []), ...model.session.owed]
    model.session.owed = []
    for (const each of owed) if (each.expiresAtMs > nowMs) model.expected.push(lineOf(each, false))
    const due = will && { message, retain: will.retain, fromMs: will.delay * 1_000, untilMs: 0 }
    model.connection = { will: due, expiry }
    await this.#look()
    assert.equal(client.sessionPresent, isPresent, "Session Present")
  }

  #disconnect(reason: 0 | 4, wished: number | undefined): void {
    const { client, model, nowMs } = this
    const { connection, session } = model
    if (connection === undefined || session === undefined) return
    const expiry = connection.expiry === 0 ? undefined : wished
    client.send(encode.disconnect(5, reason, expiry === undefined ? [] : [["sessionExpiry", expiry]]))
    session.expiry = expiry ?? session.expiry
    if (reason === 0) model.connection = { ...connection, will: undefined }
    model.left(nowMs, LATE_MS)
  }

  #subscribe(filter: string): void {
    const { client, model, nowMs } = this
    client.send(encode.subscribe(5, 1, [{ filter, qos: 2 }]))
    model.session?.filters.add(filter)
    for (const message of model.retained.values()) {
      if (matches(filter, message.name) && message.expiresAtMs > nowMs) model.expected.push(lineOf(message, true))
    }
  }

  #publish({ name, qos, retain, clears, expiry }: Said): void {
    this.#messages += 1
    const payload = retain && clears ? "" : `${this.#messages}`
    const expiresAtMs = expiry === 0 ? Number.POSITIVE_INFINITY : this.nowMs + expiry * 1_000
    const properties: Properties = expiry === 0 ? [] : [["messageExpiry", expiry]]
    const id = (this.#messages % 1_000) + 1
    this.publisher.send(encode.publish(5, { topic: name, payload, qos, id, retain, properties }))
    if (qos === 2) this.publisher.send(encode.ack("pubrel", id))
    this.model.published({ name, payload, qos, expiresAtMs }, retain, this.nowMs)
  }

  /** Everything is carried out and read; what came is what had to. */
  async #look(): Promise<void> {
    await this.#lookAtWatcher()
    const { client, model } = this
    assert.deepEqual(linesOf(client.got.splice(0)), byName(model.expected), "what the client got")
    model.expected = []
    for (const { message, untilMs } of model.due) assert.ok(untilMs >= this.nowMs, `${message.payload} is late`)
  }

  async #lookAtWatcher(): Promise<void> {
    const { model, node, watcher } = this
    const all = [this.client, watcher, this.publisher]
    for (let idle = 0; idle < 2; ) {
      await node.settle()
      idle = all.some(({ unread }) => unread > 0) ? 0 : idle + 1
      for (const each of all) each.answer()
    }
    const seen = watcher.got.splice(0)
    for (const { payload } of seen) if (payload.startsWith("will-")) this.#seen(payload)
    assert.deepEqual(linesOf(seen), byName(model.watched), "what the watcher got")
    model.watched = []
  }

  /** A will has come. */
  #seen(payload: string): void {
    const { model, nowMs } = this
    const at = model.due.findIndex(({ message }) => message.payload === payload)
    const due = model.due[at] ?? assert.fail(`${payload} comes and is not due`)
    assert.ok(due.fromMs <= nowMs, `${payload} comes ${due.fromMs - nowMs} ms too early`)
    model.due.splice(at, 1)
    model.published(due.message, due.retain, nowMs)
  }

  /** It leaves for good; nothing of it stays. */
  async end(): Promise<void> {
    if (this.model.session?.expiry === FOR_EVER) {
      await this.step({ kind: "connect", isClean: true, expiry: 0, will: undefined })
    }
    await this.step({ kind: "cut" })
    await this.step({ kind: "pass", ms: 12_000 })
    assert.deepEqual(this.model.due, [], "wills that have not come")
    const rows = (prefix: string): number =>
      this.node.stores.reduce((sum, store) => {
        const { start, end } = rangeOf(prefix)
        return sum + store.range(start, end, 100).length
      }, 0)
    const left = Object.fromEntries(["sd", "ss", "sp", "si", "sr", "sx", "wl", "wd"].map((name) => [name, rows(name)]))
    assert.deepEqual(left, { sd: 2, ss: 1, sp: 2, si: 0, sr: 0, sx: 0, wl: 0, wd: 0 }, "rows that stay")
  }
}

/** Lines of one name in their order. */
function byName(lines: ReadonlyArray<string>): ReadonlyArray<string> {
  const name = (line: string): string => line.slice(0, line.indexOf(" "))
  return lines.toSorted((one, other) => (name(one) < name(other) ? -1 : name(one) > name(other) ? 1 : 0))
}

const linesOf = (got: TestClient["got"]): ReadonlyArray<string> =>
  byName(got.map(({ topic, payload, qos, retain }) => lineOf({ name: topic, payload, qos, expiresAtMs: 0 }, retain)))

const whatever = fc.asyncProperty(fc.array(lifetimeStep, { maxLength: 40, size: "max" }), async (steps) => {
  const play = new Play()
  await play.begin()
  for (const each of steps) await play.step(each)
  await play.end()
})

// RUNS=n and SEED=n try other histories; the same ones hold a change back or let it through.
const RUNS = Number(process.env["RUNS"] ?? 150)
const seed = Number(process.env["SEED"] ?? 4)

test("whatever becomes of its session: wills when they are due, what waits once, and nothing is left", async () => {
  await fc.assert(whatever, { numRuns: RUNS, seed })
})

/** Faults that these histories must find: each is planted, and what it was planted in is put back. */
const FAULTS: ReadonlyArray<Fault> = [
  [
    "a will that waits is published when its client is back",
    () => replaced(Wills.prototype, "cancel", Wills.prototype.publishNow)
  ],
  [
    "a will does not wait for its delay",
    () => {
      const { connectionEnded } = Wills.prototype
      return replaced(Wills.prototype, "connectionEnded", function atOnce(this: Wills, number, will, principal) {
        return connectionEnded.call(this, number, will, principal, 0)
      })
    }
  ],
  ["wills are not looked after", () => replaced(Wills.prototype, "timeout", () => 0)],
  ["sessions do not end by themselves", () => replaced(Sessions.prototype, "timeout", (nowMs) => nowMs + 500)],
  [
    "a DISCONNECT does not change when the session ends",
    () => {
      const { closeSession } = Broker.prototype
      return replaced(Broker.prototype, "closeSession", function asBefore(this: Broker, session, will, principal) {
        session.expiryInterval = session.connection?.client.sessionExpiry ?? session.expiryInterval
        closeSession.call(this, session, will, principal)
      })
    }
  ],
  [
    "messages do not expire",
    () => {
      const { publishUnsafe } = ShardIngress.prototype
      return replaced(ShardIngress.prototype, "publishUnsafe", function forEver(this: ShardIngress, message, who) {
        message.expiresAtMs = 0
        return publishUnsafe.call(this, message, who)
      })
    }
  ]
]

testPlanted(FAULTS, whatever, { numRuns: 1_000, seed })
