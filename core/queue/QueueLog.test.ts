import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { BACKLOG, DISK_FULL, FAILED } from "../log/Engines.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { linesOf, ManualJournal, messageOf, OrderedStore, openLog, pause, SMALL_OPTIONS, settle } from "./fakes.ts"
import { QueueLog } from "./QueueLog.ts"
import { RESERVED_OFFSETS } from "./QueueUpkeep.ts"

const ALL = { tenant: 0, filters: ["#"] }
const MANY = { messagesMax: 1_000, bytesMax: 1_000_000 }

test("an appended message knows its place, is there at once for who asks, and committed when the journal says so", async () => {
  const { log, journal } = await openLog()
  const message = messageOf("a/b", "1", { qos: 1 })
  const offset = log.appendUnsafe(message)
  assert.deepEqual([message.queue, message.queueOffset], [3, offset])
  assert.deepEqual([log.startOffset, log.highWatermark, log.endOffset], [offset, offset, offset + 1])
  const before = log.read(offset, ALL, MANY, false)
  assert.ok(!(before instanceof Promise))
  assert.deepEqual([linesOf(before.messages), before.next, before.isAtEnd], [[], offset, false])
  const ahead = log.read(offset, ALL, MANY, true)
  assert.ok(!(ahead instanceof Promise))
  assert.deepEqual([linesOf(ahead.messages), ahead.next, ahead.isAtEnd], [[`${offset} a/b=1`], offset + 1, true])
  journal.commit()
  assert.equal(log.highWatermark, offset + 1)
  const after = log.read(offset, ALL, MANY, false)
  assert.ok(!(after instanceof Promise))
  assert.equal(after.messages[0], message.owned())
  assert.deepEqual([after.next, after.isAtEnd], [offset + 1, true])
})

test("after a restart the log goes on above every offset that it may have given", async () => {
  const first = await openLog()
  const offset = first.log.appendUnsafe(messageOf("a", "1"))
  first.journal.commit()
  const lost = first.log.appendUnsafe(messageOf("a", "2"))
  const second = await openLog(first.store)
  assert.ok(second.log.endOffset > lost)
  assert.equal(second.log.startOffset, offset)
  const next = second.log.appendUnsafe(messageOf("a", "3"))
  assert.equal(next, RESERVED_OFFSETS)
  second.journal.commit()
  const read = second.log.read(0, ALL, MANY, false)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual(linesOf(read.messages), [`${offset} a=1`, `${next} a=3`])
})

test("QoS 2 is not read before it is committed, and neither is what follows it", async () => {
  const { log, journal } = await openLog()
  const start = log.endOffset
  for (const [index, qos] of [1, 2, 1].entries()) log.appendUnsafe(messageOf("a", `${index}`, { qos }))
  const read = log.read(start, ALL, MANY, true)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual([linesOf(read.messages), read.next, read.isAtEnd], [[`${start} a=0`], start + 1, false])
  journal.commit(2)
  const more = log.read(read.next, ALL, MANY, true)
  assert.ok(!(more instanceof Promise))
  assert.deepEqual(linesOf(more.messages), [`${start + 1} a=1`, `${start + 2} a=2`])
})

test("what a failed journal takes with it is gone, told, and its offsets are not given again", async () => {
  const { log, journal } = await openLog()
  const kept = log.appendUnsafe(messageOf("a", "kept"))
  const told: Array<ReadonlyArray<number>> = []
  log.onLost((from, end) => told.push([from, end, log.endOffset, log.highWatermark]))
  log.appendUnsafe(messageOf("a", "lost"))
  log.appendUnsafe(messageOf("a", "lost too"))
  const { bytes } = log
  journal.fail(FAILED, 1)
  assert.deepEqual(told, [[kept + 1, kept + 3, kept + 1, kept + 1]])
  assert.deepEqual([log.generation, log.counts.lost], [1, 2])
  assert.ok(log.bytes < bytes)
  const next = log.appendUnsafe(messageOf("a", "after"))
  assert.equal(next, kept + 3)
  journal.commit()
  const read = log.read(0, { tenant: 0, filters: ["a"] }, MANY, true)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual(linesOf(read.messages), [`${kept} a=kept`, `${next} a=after`])
})

test("a journal that refuses and a full log refuse appends", async () => {
  const { log, journal } = await openLog(undefined, {
    bytesMax: 1_000,
    ageMsMax: 1e9,
    indexAfterMs: 1_000,
    residentBytesMax: 1_000
  })
  journal.refusal = -3
  assert.equal(log.appendUnsafe(messageOf("a", "1")), -3)
  journal.refusal = 0
  assert.ok(log.appendUnsafe(messageOf("a", "1".repeat(700))) >= 0)
  const message = messageOf("a", "1".repeat(300))
  assert.equal(log.appendUnsafe(message), BACKLOG)
  assert.deepEqual([message.queue, message.queueOffset, log.counts.refused], [-1, -1, 2])
})

test("a waiter is told once, when what it waits for is committed, never within the call", async () => {
  const { log, journal, simulation } = await openLog()
  const offset = log.appendUnsafe(messageOf("a", "1"))
  let told = 0
  const waiter = { queueAdvanced: () => (told += 1) }
  log.watch(offset, waiter)
  log.watch(offset + 1, waiter)
  log.watch(offset, waiter)()
  assert.equal(told, 0)
  journal.commit()
  assert.equal(told, 1)
  log.watch(offset, waiter)
  assert.equal(told, 1)
  simulation.run()
  assert.equal(told, 2)
  log.appendUnsafe(messageOf("a", "2"))
  journal.commit()
  assert.equal(told, 3)
})

test("what is taken before its time has no row by name; what waits longer has one and is found by it", async () => {
  const bench = await openLog()
  const { log, journal, store, simulation } = bench
  const start = log.endOffset
  for (let index = 0; index < 4; index++) log.appendUnsafe(messageOf("quick", `${index}`))
  journal.commit()
  log.housekeep()
  log.trimTo(start + 4)
  await settle(bench)
  assert.deepEqual([log.counts.named, log.counts.trimmed, store.size, log.bytes], [0, 4, 1, 0])
  for (let index = 0; index < 4; index++) log.appendUnsafe(messageOf("slow", `${index}`))
  journal.commit()
  simulation.stall(1_001)
  log.housekeep()
  await settle(bench)
  assert.deepEqual([log.counts.named, store.size], [4, 9])
  log.trimTo(start + 6)
  await settle(bench)
  assert.equal(store.size, 5)
})

test("what has left memory is read by name and row by row, and readers of one region share what is read", async () => {
  const bench = await openLog()
  const { log, journal, store } = bench
  const start = log.endOffset
  for (let index = 0; index < 200; index++) log.appendUnsafe(messageOf(`name/${index % 10}`, `${index}`))
  journal.commit()
  await settle(bench)
  assert.ok(log.memoryBytes <= 1_200, `${log.memoryBytes}`)
  for (const filters of [["name/3"], ["+/3"], ["name/3", "none"]]) {
    const selection = { tenant: 0, filters }
    const before = store.reads
    const reads = await Promise.all(
      [1, 2, 3].map(() => log.read(start, selection, { messagesMax: 5, bytesMax: 1e6 }, true))
    )
    for (const read of reads) {
      assert.deepEqual(
        linesOf(read.messages),
        [3, 13, 23, 33, 43].map((index) => `${start + index} name/3=${index}`)
      )
      assert.equal(read.isAtEnd, false)
      assert.equal(read.messages[0], reads[0]?.messages[0])
    }
    const reading = store.reads
    assert.ok(reading - before <= 8, `${reading - before}`)
    await log.read(start, selection, { messagesMax: 5, bytesMax: 1e6 }, true)
    assert.equal(store.reads, reading)
  }
  const other = await log.read(start, { tenant: 1, filters: ["name/3"] }, MANY, true)
  assert.deepEqual(other.messages, [])
})

test("a store that fails to read fails the read, and the next one is not told of it", async () => {
  const bench = await openLog()
  const { log, journal, store } = bench
  for (let index = 0; index < 50; index++) log.appendUnsafe(messageOf("a", `${index}`))
  journal.commit()
  await settle(bench)
  for (const filters of [["a"], ["#"]]) {
    store.failure = new Error("no disk")
    await assert.rejects(async () => log.read(0, { tenant: 0, filters }, MANY, true), /no disk/)
    store.failure = undefined
    assert.equal(
      (await log.read(0, { tenant: 0, filters }, { messagesMax: 3, bytesMax: 1e6 }, true)).messages.length,
      3
    )
  }
  store.failure = new Error("no disk")
  log.trimTo(10)
  await pause()
  assert.equal(log.counts.failures, 1)
  store.failure = undefined
  log.housekeep()
  await settle(bench)
  assert.equal(log.startOffset, 10)
})

test("bounds of bytes and of age remove the oldest, whoever wants them, and that is counted", async () => {
  const bench = await openLog(undefined, {
    bytesMax: 8_000,
    ageMsMax: 60_000,
    indexAfterMs: 1_000,
    residentBytesMax: 2_000
  })
  const { log, journal, simulation } = bench
  let refusedAt = 0
  while (log.appendUnsafe(messageOf("a", "1".repeat(71))) >= 0) refusedAt += 1
  assert.equal(refusedAt, 40)
  journal.commit()
  await settle(bench)
  log.housekeep()
  await settle(bench)
  assert.equal(log.bytes, 7_000)
  assert.deepEqual([log.counts.dropped, log.counts.trimmed, log.startOffset], [5, 0, 5])
  simulation.stall(59_999)
  log.housekeep()
  await settle(bench)
  assert.equal(log.startOffset, 5)
  simulation.stall(1)
  log.housekeep()
  await settle(bench)
  assert.deepEqual([log.startOffset, log.bytes, log.counts.dropped], [40, 0, 40])
  // Whoever comes back later is told, whatever was between.
  const { log: again } = await openLog(bench.store)
  const read = again.read(0, ALL, MANY, false)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual([read.lostTo, again.startOffset], [40, RESERVED_OFFSETS])
})

test("what nobody needed and offsets that were never given are no losses, also after restarts", async () => {
  const first = await openLog()
  for (const payload of ["1", "2"]) first.log.appendUnsafe(messageOf("a", payload))
  first.journal.commit()
  first.log.trimTo(2)
  await settle(first)
  const second = await openLog(first.store)
  assert.ok(second.log.startOffset > 2)
  second.log.appendUnsafe(messageOf("a", "3"))
  second.journal.commit()
  await settle(second)
  const third = await openLog(second.store)
  const read = third.log.read(2, ALL, MANY, false)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual([linesOf(read.messages).length, read.lostTo], [1, 0])
  assert.ok(read.startOffset > 2)
})

test("no offset is given before its reservation is synced, and one that fails is tried again", async () => {
  const store = new OrderedStore()
  const journal = new ManualJournal(store)
  const { clock } = new Simulation(1)
  const parts = { number: 0, journal, store, clock, turn: new TurnLoop(clock), seed: 5, options: SMALL_OPTIONS }
  const log = new QueueLog(parts)
  const opened = Effect.runPromise(log.open())
  const { promise, resolve } = Promise.withResolvers<void>()
  journal.synced = promise
  await pause()
  await pause()
  assert.equal(log.appendUnsafe(messageOf("a", "1")), BACKLOG)
  journal.commit()
  await pause()
  assert.equal(log.appendUnsafe(messageOf("a", "1")), BACKLOG)
  resolve()
  await opened
  assert.equal(log.appendUnsafe(messageOf("a", "1")), 0)
  journal.commit()

  const other = new QueueLog(parts)
  const reopened = Effect.runPromise(other.open())
  while (journal.pending === 0) await pause()
  journal.fail(FAILED)
  await reopened
  assert.equal(other.appendUnsafe(messageOf("a", "2")), BACKLOG)
  other.housekeep()
  journal.synced = Promise.reject(new Error("lost"))
  journal.commit()
  await pause()
  assert.deepEqual([other.appendUnsafe(messageOf("a", "2")), other.counts.failures], [BACKLOG, 2])
  journal.synced = Promise.resolve()
  other.housekeep()
  journal.commit()
  await pause()
  assert.equal(other.appendUnsafe(messageOf("a", "2")), RESERVED_OFFSETS)
})

test("more than one read's worth without rows by name is there after a restart", async () => {
  const roomy = { ...SMALL_OPTIONS, residentBytesMax: 1e9 }
  const { log, journal, store } = await openLog(undefined, roomy)
  for (let index = 0; index < 2_500; index++) log.appendUnsafe(messageOf("a", `${index}`))
  journal.commit()
  const again = await openLog(store, roomy)
  const read = again.log.read(0, ALL, { messagesMax: 10_000, bytesMax: 1e9 }, false)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual(
    read.messages.map(({ queueOffset }) => queueOffset),
    Array.from({ length: 2_500 }, (_, index) => index)
  )
})

test("one call looks at a bounded number of messages, and says where to go on", async () => {
  const { log, journal } = await openLog(undefined, { ...SMALL_OPTIONS, bytesMax: 1e9, residentBytesMax: 1e9 })
  for (let index = 0; index < 10_000; index++) log.appendUnsafe(messageOf(index === 9_000 ? "b/b" : "a", ""))
  journal.commit()
  const seen: Array<string> = []
  let next = 0
  let calls = 0
  for (let isAtEnd = false; !isAtEnd; calls++) {
    const read = log.read(next, { tenant: 0, filters: ["b/+"] }, MANY, true)
    assert.ok(!(read instanceof Promise))
    seen.push(...linesOf(read.messages))
    next = read.next
    isAtEnd = read.isAtEnd
  }
  assert.deepEqual([seen, next, calls], [["9000 b/b="], 10_000, 3])
})

test("names with more messages than a page has, far from each other, are merged in order", async () => {
  const bench = await openLog()
  const { log, journal } = bench
  const expected: Array<number> = []
  for (let index = 0; index < 1_500; index++) {
    const name = index % 2 === 0 ? "often" : index % 100 === 1 ? "seldom" : "other"
    if (name !== "other") expected.push(index)
    log.appendUnsafe(messageOf(name, ""))
    if (index % 100 === 0) {
      journal.commit()
      await settle(bench)
    }
  }
  await settle(bench)
  assert.ok(log.memoryBytes < 3_000)
  const selection = { tenant: 0, filters: ["seldom", "often"] }
  for (const messagesMax of [7, 10_000]) {
    const seen: Array<number> = []
    for (let next = 0; ; ) {
      const read = await log.read(next, selection, { messagesMax, bytesMax: 1e9 }, false)
      seen.push(...read.messages.map(({ queueOffset }) => queueOffset))
      next = read.next
      if (read.isAtEnd) break
    }
    assert.deepEqual(seen, expected)
  }
})

test("a closed log submits nothing of its own, also where it was about to", async () => {
  const bench = await openLog()
  const { log, journal, simulation } = bench
  for (let index = 0; index < 50; index++) log.appendUnsafe(messageOf("a", `${index}`))
  journal.commit()
  await settle(bench)
  log.trimTo(10)
  assert.equal(journal.pending, 0)
  log.close()
  await pause()
  simulation.stall(10_000)
  log.housekeep()
  log.trimTo(50)
  assert.equal(journal.pending, 0)
})

test("a log that was not opened takes nothing and changes nothing", async () => {
  const store = new OrderedStore()
  const journal = new ManualJournal(store)
  const { clock } = new Simulation(1)
  const log = new QueueLog({
    number: 0,
    journal,
    store,
    clock,
    turn: new TurnLoop(clock),
    seed: 5,
    options: SMALL_OPTIONS
  })
  log.housekeep()
  log.trimTo(5)
  assert.deepEqual([log.appendUnsafe(messageOf("a", "1")), journal.pending], [BACKLOG, 0])
})

test("while the disk has no room nothing is appended; what is there is read and trimmed", async () => {
  const bench = await openLog()
  const { log, room, journal } = bench
  const offset = log.appendUnsafe(messageOf("a", "1"))
  journal.commit()
  room.pressure = "high"
  assert.ok(log.appendUnsafe(messageOf("a", "2")) > offset)
  room.pressure = "full"
  assert.equal(log.appendUnsafe(messageOf("a", "3")), DISK_FULL)
  assert.equal(log.counts.refused, 1)
  journal.commit()
  const read = log.read(offset, ALL, MANY, false)
  assert.ok(!(read instanceof Promise))
  assert.deepEqual(linesOf(read.messages).length, 2)
  room.pressure = "ok"
  assert.ok(log.appendUnsafe(messageOf("a", "4")) > offset)
})
