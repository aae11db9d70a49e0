import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import fc from "fast-check"
import { payloadOf } from "../ingress/fakes.ts"
import { Message } from "../ingress/Message.ts"
import { type JoinedShards, joinShards } from "../link/fakes.ts"
import { CHANNEL_DELIVER } from "../link/LinkPort.ts"
import { FAILED } from "../log/Engines.ts"
import { Simulation } from "../platform/simulated.ts"
import { matches } from "../router/topic-filter.ts"
import { linesOf, ManualJournal, messageOf, OrderedStore, SMALL_OPTIONS } from "./fakes.ts"
import { QueueLog } from "./QueueLog.ts"
import type { QueueCount, QueueRead, QueueReceiver, QueueSelection } from "./QueueLogs.ts"
import { REMOTE_QUEUE_BYTES_MAX, ShardQueueLogs } from "./ShardQueueLogs.ts"

const OPTIONS = { ...SMALL_OPTIONS, bytesMax: 10_000_000 }

interface QueueShard {
  readonly store: OrderedStore
  readonly journal: ManualJournal
  readonly log: QueueLog
  readonly logs: ShardQueueLogs
}

interface Joined {
  readonly simulation: Simulation
  readonly joined: JoinedShards
  readonly here: QueueShard
  readonly there: QueueShard
}

async function join(seed = 1): Promise<Joined> {
  const simulation = new Simulation(seed)
  const joined = joinShards(simulation)
  const make = async (number: number): Promise<QueueShard> => {
    const shard = joined.all[number] ?? joined.here
    const store = new OrderedStore()
    const journal = new ManualJournal(store)
    const { clock } = simulation
    const log = new QueueLog({ number, journal, store, clock, turn: shard.turn, seed: 5, options: OPTIONS })
    const logs = new ShardQueueLogs(shard.port, log)
    const opened = Effect.runPromise(log.open())
    while (journal.pending === 0) await Promise.resolve()
    journal.commit()
    await opened
    return { store, journal, log, logs }
  }
  return { simulation, joined, here: await make(0), there: await make(1) }
}

const MANY = { messagesMax: 1_000, bytesMax: 1_000_000 }

/** Notes what it got. */
function noting<Result>(): QueueReceiver<Result> & { readonly results: Array<Result>; readonly errors: Array<string> } {
  const results: Array<Result> = []
  const errors: Array<string> = []
  return { results, errors, received: (result) => results.push(result), failed: (error) => errors.push(error.message) }
}

test("a log is read, counted and asked for its end from its own shard at once, and from another over the Link", async () => {
  const { simulation, here, there } = await join()
  assert.deepEqual([here.logs.count, here.logs.local, there.logs.local], [2, 0, 1])
  const start = there.log.endOffset
  for (let index = 0; index < 3; index++) {
    there.log.appendUnsafe(messageOf("a/b", `${index}`, { qos: 1, publisher: "p", tenant: 7 }))
  }
  there.journal.commit()
  const selection = { tenant: 7, filters: ["a/+"] }
  for (const { logs } of [there, here]) {
    const read = noting<QueueRead>()
    const count = noting<QueueCount>()
    const end = noting<number>()
    logs.read(1, start, selection, { messagesMax: 2, bytesMax: 1_000 }, true, read)
    logs.countWaiting(1, start, selection, 10, count)
    logs.end(1, end)
    if (logs === there.logs) assert.equal(read.results.length + count.results.length + end.results.length, 3)
    await simulation.runAsync()
    const [result] = read.results
    assert.deepEqual(linesOf(result?.messages ?? []), [`${start} a/b=0`, `${start + 1} a/b=1`])
    const [message] = result?.messages ?? []
    assert.deepEqual([message?.queue, message?.publisher, message?.qos, message?.tenant], [1, "p", 1, 7])
    assert.deepEqual([result?.next, result?.isAtEnd, result?.highWatermark], [start + 2, false, start + 3])
    assert.deepEqual([result?.startOffset, result?.endOffset], [start, start + 3])
    assert.equal(count.results[0]?.messages, 3)
    assert.deepEqual(end.results, [start + 3])
  }
  const ends = here.logs.ends()
  await simulation.runAsync()
  assert.deepEqual(await ends, [here.log.endOffset, start + 3])
})

test("an answer to another shard is bounded, and a store that cannot be read is told as such", async () => {
  const { simulation, here, there } = await join()
  const start = there.log.endOffset
  for (let index = 0; index < 5; index++) {
    there.log.appendUnsafe(messageOf("a", new Uint8Array(REMOTE_QUEUE_BYTES_MAX / 3)))
  }
  const read = noting<QueueRead>()
  const limits = { messagesMax: 10, bytesMax: 1e9 }
  here.logs.read(1, start, { tenant: 0, filters: ["a"] }, limits, true, read)
  await simulation.runAsync()
  assert.equal(read.results[0]?.messages.length, 2)
  for (let index = 0; index < 40; index++) there.log.appendUnsafe(messageOf("a", `${index}`))
  there.journal.commit()
  await simulation.runAsync()
  there.journal.commit()
  await simulation.runAsync()
  there.store.failure = new Error("no disk")
  for (const { logs } of [here, there]) {
    const failed = noting<QueueRead>()
    const counted = noting<QueueCount>()
    logs.read(1, start, { tenant: 0, filters: ["a"] }, MANY, true, failed)
    logs.countWaiting(1, start, { tenant: 0, filters: ["#"] }, 10, counted)
    await simulation.runAsync()
    assert.deepEqual([failed.errors, counted.errors], [["no disk"], ["no disk"]])
  }
})

test("watches reach across shards, once, and can be taken back", async () => {
  const { simulation, here, there } = await join()
  const offset = there.log.endOffset
  let told = 0
  const waiter = { queueAdvanced: () => (told += 1) }
  here.logs.watch(1, offset, waiter)
  here.logs.watch(1, offset + 1, waiter)
  const cancel = here.logs.watch(1, offset, waiter)
  await simulation.runAsync()
  cancel()
  await simulation.runAsync()
  there.log.appendUnsafe(messageOf("a", ""))
  there.journal.commit()
  await simulation.runAsync()
  assert.equal(told, 1)
  here.logs.watch(1, offset, waiter)
  await simulation.runAsync()
  assert.equal(told, 2)
})

test("a log is trimmed to what all shards have said that they need, not before each has said it", async () => {
  const { simulation, here, there } = await join()
  const start = there.log.endOffset
  for (let index = 0; index < 4; index++) there.log.appendUnsafe(messageOf("a", `${index}`))
  there.journal.commit()
  const trimmedTo = async (): Promise<number> => {
    await simulation.runAsync()
    there.journal.commit()
    await simulation.runAsync()
    return there.log.startOffset - start
  }
  there.logs.need(1, start + 3)
  assert.equal(await trimmedTo(), 0)
  here.logs.need(1, start + 1)
  assert.equal(await trimmedTo(), 1)
  here.logs.need(1, Number.POSITIVE_INFINITY)
  assert.equal(await trimmedTo(), 3)
  there.logs.need(1, Number.POSITIVE_INFINITY)
  assert.equal(await trimmedTo(), 4)
})

test("every shard is told what a failed journal took", async () => {
  const { simulation, here, there } = await join()
  const told: Array<ReadonlyArray<number>> = []
  here.logs.onLost((log, from, end) => told.push([0, log, from, end]))
  there.logs.onLost((log, from, end) => told.push([1, log, from, end]))
  const offset = there.log.appendUnsafe(messageOf("a", ""))
  there.journal.fail(FAILED)
  assert.deepEqual(told, [[1, 1, offset, offset + 1]])
  await simulation.runAsync()
  assert.deepEqual(told[1], [0, 1, offset, offset + 1])
})

/** A session that reads until it is at the end, and takes what comes live from then on. */
class Reader {
  readonly seen: Array<string> = []
  position: number
  readonly #logs: ShardQueueLogs
  readonly #log: number
  readonly #selection: QueueSelection
  readonly #includeUncommitted: boolean
  #isLive = false
  #isReading = false
  #limit: number

  constructor(logs: ShardQueueLogs, log: number, position: number, filters: ReadonlyArray<string>, ahead: boolean) {
    this.#logs = logs
    this.#log = log
    this.position = position
    this.#selection = { tenant: 0, filters }
    this.#includeUncommitted = ahead
    this.#limit = 1 + (position % 4)
  }

  /** Begins anew, as a session that was taken over; not while it reads. */
  again(): void {
    if (!this.#isReading) this.#read()
  }

  #read(): void {
    this.#isLive = false
    this.#isReading = true
    const limits = { messagesMax: this.#limit, bytesMax: 100_000 }
    this.#logs.read(this.#log, this.position, this.#selection, limits, this.#includeUncommitted, {
      received: (read) => {
        for (const message of read.messages) this.#take(message)
        this.position = read.next
        this.#isLive = read.isAtEnd
        this.#isReading = !read.isAtEnd
        if (read.isAtEnd) return
        if (read.next < read.highWatermark) this.#read()
        else this.#logs.watch(this.#log, read.next, { queueAdvanced: () => this.#read() })
      },
      failed: (error) => assert.fail(error.message)
    })
  }

  /** Called for each message that the owner routes, in its place. */
  deliver(message: Message): void {
    if (!this.#isLive || !this.#selection.filters.some((filter) => matches(filter, message.name))) return
    assert.ok(message.queueOffset >= this.position, "what comes live was not read before")
    this.#take(message)
    this.position = message.queueOffset + 1
  }

  #take(message: Message): void {
    this.seen.push(`${message.queueOffset} ${message.name} ${payloadOf(message)}`)
  }
}

test("reading until the end and then taking what comes live sees every message once, in order, on both shards", async () => {
  const names = ["a", "a/b", "b", "c"]
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("publish" as const), name: fc.nat(3), times: fc.nat(6) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("run" as const), steps: fc.nat(12) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit" as const), share: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("again" as const), reader: fc.nat(7) }) }
  )
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 80, size: "max" }), async (seed, steps) => {
      const { simulation, joined, here, there } = await join(seed)
      const start = there.log.endOffset
      const all: Array<{ readonly name: string; readonly line: string }> = []
      const wanted = [["a"], ["#"], ["a/#", "c"], ["+"]]
      const near = wanted.map((filters, index) => new Reader(there.logs, 1, start, filters, index % 2 === 0))
      const far = wanted.map((filters, index) => new Reader(here.logs, 1, start, filters, index % 2 === 0))
      const scratch = new Message()
      joined.here.port.handle(CHANNEL_DELIVER, (_from, reader) => {
        scratch.decode(reader)
        for (const each of far) each.deliver(scratch)
      })
      const publish = (name: string): void => {
        const message = messageOf(name, `${all.length}`, { qos: 1 })
        const offset = there.log.appendUnsafe(message)
        all.push({ name, line: `${offset} ${name} ${all.length}` })
        const outbox = joined.there.port.begin(0, CHANNEL_DELIVER)
        message.encode(outbox)
        joined.there.port.end(outbox)
        for (const each of near) each.deliver(message)
      }
      for (const each of steps) {
        if (each.kind === "publish") for (let times = 0; times < each.times; times++) publish(names[each.name] ?? "a")
        else if (each.kind === "commit") there.journal.commit(Math.ceil((there.journal.pending * each.share) / 100))
        else if (each.kind === "run") {
          for (let left = each.steps; left > 0; left--) {
            simulation.step()
            await Promise.resolve()
          }
        } else [...near, ...far][each.reader]?.again()
      }
      for (const each of [...near, ...far]) each.again()
      for (let round = 0; round < 40; round++) {
        there.journal.commit()
        await simulation.runAsync()
      }
      for (const [index, each] of [...near, ...far].entries()) {
        const filters = wanted[index % wanted.length] ?? []
        assert.deepEqual(
          each.seen,
          all.filter(({ name }) => filters.some((filter) => matches(filter, name))).map(({ line }) => line)
        )
      }
    }),
    { numRuns: 150 }
  )
})
