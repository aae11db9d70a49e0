import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { payloadOf } from "../ingress/fakes.ts"
import { QUEUE_MESSAGE_PREFIX, QUEUE_NAME_PREFIX } from "../kv/key-prefixes.ts"
import { FAILED } from "../log/Engines.ts"
import { matches } from "../router/topic-filter.ts"
import { type LogBench, messageOf, openLog, settle } from "./fakes.ts"
import type { QueueSelection } from "./QueueLogs.ts"
import { offsetOfKey } from "./queue-rows.ts"

/** A message as the model has it: a plain array of these is the log. */
interface Kept {
  readonly offset: number
  readonly tenant: number
  readonly name: string
  readonly payload: string
  readonly qos: number
  readonly size: number
  isCommitted: boolean
}

const NAMES = ["a", "a/b", "a/c", "b", "b/b", "$s", "$s/b", "a/b/c"]
const FILTERS = ["#", "+", "a", "a/#", "a/+", "+/b", "b", "b/b", "$s/#", "$s", "a/b/c", "none", "+/+/+", "a/b"]

const selection = fc.record({
  tenant: fc.nat(1),
  filters: fc.oneof(
    fc.uniqueArray(fc.constantFrom(...FILTERS), { minLength: 1, maxLength: 4 }),
    fc.constantFrom(["a"], ["b/b"], ["a", "b"], FILTERS)
  )
})
const append = fc.record({
  kind: fc.constant("append" as const),
  name: fc.constantFrom(...NAMES),
  tenant: fc.constantFrom(0, 0, 0, 1),
  qos: fc.nat(2),
  length: fc.nat(60),
  times: fc.constantFrom(1, 2, 30)
})
const read = fc.record({
  kind: fc.constant("read" as const),
  selection,
  from: fc.nat(100),
  messagesMax: fc.integer({ min: 1, max: 8 }),
  bytesMax: fc.constantFrom(1, 400, 100_000),
  includeUncommitted: fc.boolean()
})
type ReadStep = typeof read extends fc.Arbitrary<infer Value> ? Value : never
const step = fc.oneof(
  { weight: 6, arbitrary: append },
  { weight: 4, arbitrary: read },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("count" as const), selection, from: fc.nat(100) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("commit" as const), share: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const), share: fc.nat(100) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("trim" as const), to: fc.nat(100) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(1, 600, 1_500) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) }
)

class Model {
  bench: LogBench
  kept: Array<Kept> = []
  /** The highest offset that was ever given, and the highest position that was ever trimmed to. */
  given = -1
  trimmedTo = 0
  lost: Array<readonly [number, number]> = []

  constructor(bench: LogBench) {
    this.bench = bench
    this.#listen()
  }

  #listen(): void {
    this.bench.log.onLost((from, end) => this.lost.push([from, end]))
  }

  /** A position somewhere between the first message and behind the last. */
  position(share: number): number {
    const { log } = this.bench
    const first = this.kept[0]?.offset ?? log.startOffset
    const spread = Math.floor(((log.endOffset + 2 - first) * share) / 100)
    const near = this.kept[Math.floor((this.kept.length * share) / 100)]
    return share % 2 === 0 && near !== undefined ? near.offset : first + spread
  }

  append(name: string, tenant: number, qos: number, length: number): void {
    const payload = "x".repeat(length)
    const message = messageOf(name, payload, { tenant, qos })
    const offset = this.bench.log.appendUnsafe(message)
    assert.ok(offset > this.given, "offsets rise")
    this.given = offset
    this.kept.push({ offset, tenant, name, payload, qos, size: message.sizeBytes, isCommitted: false })
  }

  /** What the journal has committed is committed; the log says so itself. */
  noteCommitted(): void {
    const { highWatermark } = this.bench.log
    for (const each of this.kept) each.isCommitted ||= each.offset < highWatermark
  }

  fail(share: number): void {
    const { journal, log } = this.bench
    const before = this.kept.filter((each) => !each.isCommitted)
    journal.fail(FAILED, Math.floor((journal.pending * share) / 100))
    const isLost = ({ offset }: Kept): boolean => this.lost.some(([from, end]) => offset >= from && offset < end)
    this.kept = this.kept.filter((each) => !isLost(each))
    this.noteCommitted()
    assert.ok(this.kept.every((each) => each.isCommitted))
    assert.ok(
      before.every((each) => each.isCommitted || isLost(each)),
      "each is committed or told to be lost"
    )
    assert.equal(log.endOffset, log.highWatermark)
  }

  async restart(): Promise<void> {
    const { store, simulation } = this.bench
    this.kept = this.kept.filter((each) => each.isCommitted)
    this.bench = await openLog(store, undefined, simulation)
    this.#listen()
  }

  wanted(position: number, { tenant, filters }: QueueSelection): ReadonlyArray<Kept> {
    const from = Math.max(position, this.bench.log.startOffset)
    return this.kept.filter(
      (each) => each.offset >= from && each.tenant === tenant && filters.some((filter) => matches(filter, each.name))
    )
  }

  async read(position: number, asked: ReadStep): Promise<void> {
    const { log } = this.bench
    const { selection, messagesMax, bytesMax, includeUncommitted } = asked
    let wanted = this.wanted(position, selection)
    const stop = wanted.findIndex((each) => !each.isCommitted && (!includeUncommitted || each.qos === 2))
    const isWhole = stop < 0
    if (stop >= 0) wanted = wanted.slice(0, stop)
    const seen: Array<string> = []
    let next = position
    for (let calls = 0; ; calls++) {
      assert.ok(calls < 500, "reading comes to an end")
      const result = log.read(next, selection, { messagesMax, bytesMax }, includeUncommitted)
      const isLater = result instanceof Promise
      const got = isLater ? await result : result
      assert.ok(!(isLater && got.isAtEnd))
      assert.ok(got.messages.length <= messagesMax)
      const bytes = got.messages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      assert.ok(got.messages.length <= 1 || bytes <= bytesMax)
      for (const message of got.messages) {
        assert.equal(message.queue, 3)
        assert.ok(message.queueOffset >= next && message.queueOffset < got.next)
        seen.push(`${message.queueOffset} ${message.tenant} ${message.qos} ${message.name} ${payloadOf(message)}`)
      }
      assert.ok(got.next >= next)
      const isStuck = !isLater && got.next === next && got.messages.length === 0
      next = got.next
      if (got.isAtEnd) {
        assert.ok(isWhole && next >= log.endOffset)
        break
      }
      if (isStuck) {
        assert.ok(!isWhole && next >= log.highWatermark)
        break
      }
    }
    assert.deepEqual(
      seen,
      wanted.map(({ offset, tenant, qos, name, payload }) => `${offset} ${tenant} ${qos} ${name} ${payload}`)
    )
  }

  async count(position: number, asked: QueueSelection): Promise<void> {
    const wanted = this.wanted(position, asked)
    let [next, messages, bytes] = [position, 0, 0]
    for (let calls = 0; ; calls++) {
      assert.ok(calls < 500)
      const got = await this.bench.log.count(next, asked, 7)
      assert.ok(got.messages <= 7)
      assert.ok(got.logMessages >= wanted.length, "the log holds what is counted")
      assert.equal(got.logBytes, this.bench.log.bytes)
      next = got.next
      messages += got.messages
      bytes += got.bytes
      if (got.isAtEnd) break
    }
    assert.deepEqual([messages, bytes], [wanted.length, wanted.reduce((sum, { size }) => sum + size, 0)])
  }

  trim(position: number): void {
    const { log } = this.bench
    this.trimmedTo = Math.max(this.trimmedTo, Math.min(position, log.highWatermark))
    log.trimTo(position)
  }

  /** With nothing left to do, the store holds what it should, and nothing else. */
  async settle(): Promise<void> {
    const { log, store } = this.bench
    log.trimTo(this.trimmedTo)
    log.housekeep()
    await settle(this.bench)
    this.noteCommitted()
    this.kept = this.kept.filter((each) => each.offset >= this.trimmedTo)
    const offsets = this.kept.map((each) => each.offset)
    const keysOf = (prefix: Uint8Array): ReadonlyArray<Uint8Array> =>
      store.rows.map((row) => row.key).filter((key) => prefix.every((byte, index) => key[index] === byte))
    assert.deepEqual(keysOf(QUEUE_MESSAGE_PREFIX).map(offsetOfKey), offsets)
    const named = keysOf(QUEUE_NAME_PREFIX)
      .map(offsetOfKey)
      .sort((left, right) => left - right)
    assert.deepEqual(named, offsets.slice(0, named.length), "the oldest messages, and no others, have rows by name")
    assert.equal(
      log.bytes,
      this.kept.reduce((sum, { size }) => sum + size, 0)
    )
    assert.equal(log.counts.dropped, 0)
    assert.ok(log.startOffset >= Math.min(this.trimmedTo, log.endOffset))
  }
}

test("a log does what a plain array does: appends, reads, counts, trims, failures, restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const model = new Model(await openLog())
      for (const each of steps) {
        const { log, journal, simulation } = model.bench
        if (each.kind === "append") {
          for (let times = 0; times < each.times; times++) model.append(each.name, each.tenant, each.qos, each.length)
        } else if (each.kind === "read") await model.read(model.position(each.from), each)
        else if (each.kind === "count") await model.count(model.position(each.from), each.selection)
        else if (each.kind === "commit") {
          journal.commit(Math.ceil((journal.pending * each.share) / 100))
          model.noteCommitted()
        } else if (each.kind === "fail") model.fail(each.share)
        else if (each.kind === "trim") model.trim(model.position(each.to))
        else if (each.kind === "time") {
          simulation.stall(each.ms)
          log.housekeep()
        } else if (each.kind === "settle") await model.settle()
        else await model.restart()
        assert.ok(log.startOffset <= log.highWatermark && log.highWatermark <= log.endOffset)
      }
      await model.settle()
      await model.restart()
      await model.settle()
      await model.read(0, {
        kind: "read",
        selection: { tenant: 0, filters: ["#", "$s/#"] },
        from: 0,
        messagesMax: 5,
        bytesMax: 100_000,
        includeUncommitted: false
      })
    }),
    { numRuns: 300 }
  )
})
