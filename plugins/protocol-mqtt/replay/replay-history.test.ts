/**
 * Any history of a replay on two shards: messages that are stored and committed, retention, a client that answers when it likes, leaves and comes
 * back, journals that fail, crashes. What it has seen in the end is a gap-free suffix of what was stored, from the place that it asked for: what is
 * missing was taken by retention before it was its turn, up to where the log began then. QoS 2 once, QoS 1 at least once, each in order. So it is
 * with a name that no topic stores, whose history is in a queue log, for a session that is away needs it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ShardHistory } from "../../../core/ingress/History.ts"
import { ShardLogs } from "../../../core/log/ShardLogs.ts"
import { matches } from "../../../core/router/topic-filter.ts"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { Flights } from "../Flights.ts"
import { TestClient } from "../fakes.ts"
import { befall, JOURNAL_STEPS, LOSS_STEP, type NodeStep, TIME_STEPS, toTheEnd } from "../history-arbitraries.ts"
import { type Fault, replaced, testPlanted } from "../planted.ts"
import { Session } from "../Session.ts"
import { rangeOf } from "../session-rows.ts"
import { TestNode } from "../testing.ts"
import { type StoredPartition, storedTopics, topicOf } from "./fakes.ts"
import { LogTail } from "./LogTail.ts"
import { Replay } from "./Replay.ts"
import { Replays } from "./Replays.ts"
import { appends, befallTopic, STORE_STEP, type StoredStep, trims } from "./stored-arbitraries.ts"

const NAMES = ["t/0", "t/1", "t/2", "t/3"]
const UNSTORED = "u/x"
const EXPIRY_S = 200
const KEPT = { properties: [["sessionExpiry", EXPIRY_S]] } as const

type Step =
  | NodeStep
  | StoredStep
  /** By a client that sends it until it is taken, on the name that no topic stores. */
  | { readonly kind: "send"; readonly qos: 1 | 2 }
  | { readonly kind: "answer"; readonly count: number }
  | { readonly kind: "cut" }
  | { readonly kind: "connect" }

const append = appends(NAMES)
const send = fc.record({ kind: fc.constant("send" as const), qos: fc.constantFrom(1 as const, 2 as const) })
const trim = trims(3)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: append },
  { weight: 5, arbitrary: send },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("answer" as const), count: fc.integer({ min: 1, max: 9 }) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "connect" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("connect" as const) }) },
  { weight: 2, arbitrary: STORE_STEP },
  { weight: 2, arbitrary: trim },
  ...JOURNAL_STEPS,
  LOSS_STEP,
  ...TIME_STEPS
)

const history = fc.record({
  steps: fc.array(step, { maxLength: 70, size: "max" }),
  /** What is stored, and taken by retention, before anybody asks for it. */
  before: fc.array(
    fc.oneof({ weight: 6, arbitrary: append }, { weight: 2, arbitrary: send }, { weight: 1, arbitrary: trim }),
    { maxLength: 20 }
  ),
  partitions: fc.constantFrom(1, 3),
  /** A part of what is stored then is an offset where there is one partition. */
  from: fc.oneof(fc.constantFrom("earliest", "latest"), fc.double({ min: 0, max: 1, noNaN: true })),
  filter: fc.constantFrom("t/+", "#", "t/1"),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  isKept: fc.boolean(),
  window: fc.constantFrom(1, 3, 100),
  batchesAtOnce: fc.constantFrom(1, 3)
})
type History = typeof history extends fc.Arbitrary<infer T> ? T : never

/** What a session that ends with its connection cannot go through and still be asked for anything. */
const ENDS: ReadonlySet<string> = new Set(["cut", "connect", "crash"])
/** After these the rows may say less than what has left. */
const LOSES: ReadonlySet<string> = new Set(["crash", "lose"])

/** One run: a topic, a client that replays it, and what is known of both. */
async function begin({ window, partitions, batchesAtOnce, isKept, before, from, filter, qos }: History) {
  const topic = topicOf("stored", "t/+", partitions)
  const stored = storedTopics([topic])
  stored.engine.batchesAtOnce = batchesAtOnce
  const node = new TestNode({ inflight_max: window }, stored)
  await node.start()
  const sent = new Map<string, number>()
  const all = (): ReadonlyArray<StoredPartition> => stored.engine.of(topic)
  const publisher = new TestClient(node, "publisher-1")
  const holder = new TestClient(node, "holder")
  for (const each of [publisher, holder]) each.connect()
  await node.settle()
  holder.send(encode.subscribe(4, 1, [{ filter: UNSTORED, qos: 2 }]))
  await node.settle()
  holder.cut()
  const unstored: Array<{ readonly payload: string; readonly qos: number }> = []
  const act = async (each: Extract<Step, { kind: "send" }> | StoredStep): Promise<void> => {
    if (!publisher.isConnected) publisher.connect()
    publisher.answer()
    if (each.kind === "send") {
      const payload = `u${unstored.length}`
      if (publisher.publish(UNSTORED, payload, each.qos)) unstored.push({ payload, qos: each.qos })
    } else befallTopic(node, stored, topic, sent, each)
    await node.settle()
  }
  for (const each of before) {
    await act(each)
    publisher.answer()
    await node.settle()
  }
  const unstoredBefore = unstored.length
  const client = new TestClient(node, "reader", 5)
  client.window = window
  const connect = (): void => client.connect(isKept ? KEPT : { clean: true })
  connect()
  await node.settle()
  client.answer()
  // A log is closed before it is asked for: what is gathered by then is stored.
  const first = all()[0] ?? assert.fail("a topic has a partition")
  const isOffset = typeof from === "number" && partitions === 1 && filter !== "#"
  const asked = isOffset ? Math.floor(first.logStartOffset + (first.highWatermark - first.logStartOffset) * from) : 0
  const word = typeof from === "string" ? from : isOffset ? `${asked}` : "earliest"
  const places = all().map(({ logStartOffset, highWatermark }) =>
    word === "latest" ? highWatermark : isOffset ? asked : logStartOffset
  )
  client.send(encode.subscribe(5, 1, [{ filter, qos }], [["userProperty", ["manifold-from", word]]]))
  await node.settle()
  assert.ok(client.wire?.received.some((packet) => packet.type === "suback" && packet.codes[0] === qos))
  const isAll = word === "earliest"
  const ofUnstored = { publisher, unstored, from: isAll ? 0 : unstoredBefore }
  return { node, client, connect, sent, act, all, places, ofUnstored }
}

/** QoS 0 messages that were on their way to a client when it left. */
function lostOf(client: TestClient, lost: Set<string>): void {
  const { received = [] } = client.wire ?? {}
  for (const packet of received.slice(received.length - client.unread)) {
    if (packet.type === "publish" && packet.qos === 0) lost.add(new TextDecoder().decode(packet.payload))
  }
}

/** What the client has seen of one partition is what it had to see. */
function check(seen: ReadonlyArray<Seen>, partition: StoredPartition, place: number, run: Outcome): void {
  const { filter, lost, sent, qos, isLossy, isUndisturbed } = run
  const truth = partition.truth.filter(({ offset, name }) => offset >= place && matches(filter, name))
  const offsets = new Map(truth.map(({ payload, offset }) => [payload, offset]))
  const qosOf = (payload: string): number => Math.min(qos, sent.get(payload) ?? 0)
  const own = seen.filter(({ payload }) => offsets.has(payload))
  for (const { payload, qos: by } of own) assert.equal(by, qosOf(payload), `the QoS of ${payload}`)
  const copies = (payload: string): number => own.filter((each) => each.payload === payload).length
  for (const { payload } of truth) {
    const count = copies(payload)
    const isOnce = qosOf(payload) === 2 || isUndisturbed || (qosOf(payload) === 0 && !isLossy)
    if (isOnce) assert.ok(count <= 1, `QoS ${qosOf(payload)} message ${payload} comes ${count} times`)
  }
  // QoS 0 waits for nothing that the others wait for.
  for (const isAcknowledged of [false, true]) {
    const firsts = [...new Set(own.map(({ payload }) => payload))].filter(
      (payload) => qosOf(payload) > 0 === isAcknowledged && (isAcknowledged || !isLossy)
    )
    const order = firsts.map((payload) => offsets.get(payload) ?? -1)
    if (!run.isReordered)
      assert.deepEqual(
        order,
        [...order].sort((one, other) => one - other),
        "in order"
      )
  }
  const missing = truth.filter(({ payload }) => copies(payload) === 0 && !lost.has(payload))
  for (const { offset, payload } of missing) {
    const end = partition.trims.filter((each) => each > offset).sort((one, other) => one - other)[0]
    assert.ok(end !== undefined, `message ${payload} at ${offset} is missing though no retention took it`)
    if (isLossy) continue
    const within = truth.filter((each) => each.offset > offset && each.offset < end && copies(each.payload) > 0)
    assert.deepEqual(within, [], `a gap begins at ${offset} and ends before ${end}`)
  }
}

/** The same of what no topic stores. */
function checkUnstored(
  seen: ReadonlyArray<Seen>,
  { unstored, from }: Pick<Awaited<ReturnType<typeof begin>>["ofUnstored"], "unstored" | "from">,
  { filter, lost, qos, isLossy, isUndisturbed, isReordered }: Outcome
): void {
  const truth = filter === "#" ? unstored : []
  const firsts = new Set<string>()
  for (const { payload } of seen) if (payload.startsWith("u")) firsts.add(payload)
  for (const [index, { payload, qos: sentAs }] of truth.entries()) {
    const copies = seen.filter((each) => each.payload === payload)
    const by = Math.min(qos, sentAs)
    assert.ok(index >= from || copies.length === 0, `${payload} is from before the place that was asked for`)
    if (index < from) continue
    assert.ok(copies.length > 0 || lost.has(payload), `${payload}, which no topic stores, comes`)
    const isOnce = by === 2 || isUndisturbed || (by === 0 && !isLossy)
    if (isOnce) assert.ok(copies.length <= 1, `QoS ${by} message ${payload} comes ${copies.length} times`)
    assert.ok(copies.every((copy) => copy.qos === by))
  }
  const order = [...firsts].map((payload) => Number(payload.slice(1)))
  const isOrdered = !isReordered && !(isLossy && qos === 0)
  if (isOrdered)
    assert.deepEqual(
      order,
      [...order].sort((one, other) => one - other),
      "in order"
    )
}

type Seen = TestClient["got"][number]

interface Outcome {
  readonly filter: string
  readonly qos: number
  readonly lost: ReadonlySet<string>
  readonly sent: ReadonlyMap<string, number>
  readonly isLossy: boolean
  readonly isUndisturbed: boolean
  readonly isReordered: boolean
}

/** Any history, and what must hold at its end. */
const whatever = fc.asyncProperty(history, async (made) => {
  const { node, client, connect, sent, act, all, places, ofUnstored } = await begin(made)
  const { publisher } = ofUnstored
  const steps = made.isKept ? made.steps : made.steps.filter(({ kind }) => !ENDS.has(kind))
  const lost = new Set<string>()
  const leave = (): void => {
    lostOf(client, lost)
    client.cut()
  }
  for (const each of steps) {
    if (each.kind === "append" || each.kind === "send" || each.kind === "store" || each.kind === "trim") await act(each)
    else if (each.kind === "answer") client.answer(each.count)
    else if (each.kind === "cut") leave()
    else if (each.kind === "connect") {
      leave()
      connect()
    } else {
      if (each.kind === "crash") lostOf(client, lost)
      await befall(node, each, [client, publisher])
    }
    await node.settle()
  }
  await act({ kind: "store", isAutomatic: true })
  await toTheEnd(node, [client, publisher], (each) => (each === client ? connect() : publisher.connect()), 400)
  assert.equal(publisher.unfinished, 0, "the publisher has been told of everything")
  const known = new Set(all().flatMap(({ truth }) => truth.map(({ payload }) => payload)))
  for (const { payload } of client.got) {
    assert.ok(known.has(payload) || payload.startsWith("u"), `${payload} was not stored when it was seen`)
  }
  const isLossy = steps.some(({ kind }) => LOSES.has(kind))
  const isUndisturbed = !steps.some(({ kind }) => ENDS.has(kind) || LOSES.has(kind))
  const isReordered = steps.some(({ kind }) => kind === "lose")
  const run = { ...made, lost, sent, isLossy, isUndisturbed, isReordered }
  checkUnstored(client.got, ofUnstored, run)
  for (const [index, partition] of all().entries()) {
    check(client.got, partition, places[index] ?? 0, run)
    const late = client.got.filter(({ payload }) =>
      partition.truth.some((each) => each.payload === payload && each.offset < (places[index] ?? 0))
    )
    assert.deepEqual(late, [], "nothing comes from before the place that was asked for")
  }
  for (const { broker } of node.shards) assert.equal(broker.held.used, 0, "nothing is kept that was read")
  // Its session ends, with the connection, by another one's wish, or of its age.
  const isAged = made.isKept && made.window === 1
  if (made.isKept && !isAged) client.connect({ clean: true })
  await node.settle()
  client.cut()
  await node.advance(isAged ? (EXPIRY_S + 5) * 1_000 : 1_000)
  const wanted = node.shards.reduce((sum, { router }) => sum + router.wantCount, 0)
  assert.equal(wanted, node.shards.length, "nothing is wanted but by the one who is away, as each shard knows")
  const { start, end } = rangeOf("sc")
  assert.ok(
    node.shards.every(({ store }) => store.range(start, end, 1).length === 0),
    "no place is kept"
  )
})

// RUNS=n and SEED=n try other histories; the same ones hold a change back or let it through.
const RUNS = Number(process.env["RUNS"] ?? 300)
const seed = Number(process.env["SEED"] ?? 4)

test("whatever happens: what is seen is a gap-free suffix of what is stored", async () => {
  await fc.assert(whatever, { numRuns: RUNS, seed })
})

/** Faults that these histories must find: each is planted, and what it was planted in is put back. */
const FAULTS: ReadonlyArray<Fault> = [
  ["where a replay is is not kept", () => replaced(Replays.prototype, "collect", () => {})],
  [
    "its row says that one more has left",
    () => {
      const { takeMoved } = Replay.prototype
      return replaced(Replay.prototype, "takeMoved", function ahead(this: Replay) {
        return takeMoved.call(this).map((place) => ({ ...place, offset: place.offset + 1 }))
      })
    }
  ],
  ["what is in flight is not kept", () => replaced(Flights.prototype, "collect", () => {})],
  ["a replay does not hear of what matches", () => replaced(LogTail.prototype, "hear", () => false)],
  [
    "what was on its way when a filter became known is not waited for",
    () => replaced(LogTail.prototype, "answered", () => {})
  ],
  ["a replay is not told that its log has more", () => replaced(ShardLogs.prototype, "watch", () => () => {})],
  [
    "a reading goes on behind the record that had no room",
    () => {
      const { read } = ShardHistory.prototype
      return replaced(ShardHistory.prototype, "read", async function beyond(this: ShardHistory, ...asked) {
        const found = await read.apply(this, asked)
        return found.isAtEnd || found.refusal !== 0 ? found : { ...found, next: found.next + 1 }
      })
    }
  ],
  [
    "what retention has left is passed over with what it took",
    () => {
      const { read } = ShardHistory.prototype
      return replaced(ShardHistory.prototype, "read", async function beyond(this: ShardHistory, ...asked) {
        const found = await read.apply(this, asked)
        return found.refusal === 0 ? found : { ...found, logStartOffset: found.highWatermark }
      })
    }
  ],
  [
    "the client's window is not looked at",
    () => replaced(Session.prototype, "retainedRoom", () => ({ messages: 100, bytes: 100_000 }))
  ],
  ["what was read ahead stays when the connection ends", () => replaced(Replays.prototype, "detach", () => {})]
]

testPlanted(FAULTS, whatever, { numRuns: 3_000, seed })
