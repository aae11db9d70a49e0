import assert from "node:assert/strict"
import { test } from "node:test"
import { BACKLOG, FAILED } from "../log/Engines.ts"
import { linesOf, messageOf, openLog, pause, settle } from "./fakes.ts"
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
})
