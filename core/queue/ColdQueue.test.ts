import assert from "node:assert/strict"
import { test } from "node:test"
import { linesOf, messageOf, OrderedStore, openLog, SMALL_OPTIONS, settle } from "./fakes.ts"
import type { QueueLog } from "./QueueLog.ts"
import type { QueueReadLimits, QueueSelection } from "./QueueLogs.ts"

/** As a session reads. */
const LIMITS: QueueReadLimits = { messagesMax: 256, bytesMax: 262_144 }
const WILD: QueueSelection = { tenant: 0, filters: ["a/#"] }
const OPTIONS = { ...SMALL_OPTIONS, bytesMax: 1_000_000_000 }
/** What is read beside the messages: rows by name, and where a page goes over the end of its block, what follows in it once more. */
const BESIDE_BYTES = 1_100_000

/** A log whose messages, of these topics and sizes, lie in the store only. */
async function coldLog(
  messages: ReadonlyArray<readonly [topic: string, bytes: number]>
): Promise<{ log: QueueLog; store: OrderedStore; start: number }> {
  const store = new OrderedStore()
  const bench = await openLog(store, OPTIONS)
  const { log } = bench
  const start = log.endOffset
  for (const [index, [topic, bytes]] of messages.entries()) {
    // Numbered, and else zeros.
    const payload = new Uint8Array(bytes)
    payload.set(new TextEncoder().encode(String(index)))
    log.appendUnsafe(messageOf(topic, payload, { qos: 1 }))
    await settle(bench)
  }
  // What stays in memory is the last one at most.
  log.appendUnsafe(messageOf("end", new Uint8Array(2_000), { qos: 1 }))
  await settle(bench)
  store.reads = 0
  store.bytesRead = 0
  return { log, store, start }
}

/** Everything that matches from `position` on, as far as the store has to be read for it. */
async function readOn(
  log: QueueLog,
  position: number,
  selection: QueueSelection,
  limits = LIMITS
): Promise<{ numbers: ReadonlyArray<number>; largest: number }> {
  const numbers: Array<number> = []
  let largest = 0
  for (let from = position; ; ) {
    const read = await log.read(from, selection, limits, false)
    for (const line of linesOf(read.messages)) numbers.push(Number.parseInt(line.slice(line.indexOf("=") + 1), 10))
    largest = Math.max(largest, read.messages.length)
    if (read.isAtEnd) return { numbers, largest }
    assert.ok(read.next > from, "a read gets on")
    from = read.next
  }
}

const numbersTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

for (const [count, bytes] of [
  [40, 900_000],
  [90, 300_000],
  [9, 4_000_000]
] as const) {
  test(`${count} messages of ${bytes} bytes are read once each, however few of them the cache holds`, async () => {
    const { log, store, start } = await coldLog(numbersTo(count).map(() => ["a/b", bytes]))
    assert.deepEqual((await readOn(log, start, WILD)).numbers, numbersTo(count))
    assert.ok(store.bytesRead <= count * bytes + BESIDE_BYTES, `${store.bytesRead} bytes were read`)
    const { bytesRead } = store
    const counted = await countAll(log, start, WILD)
    assert.equal(counted, count)
    // What was left of them in the cache lies at their end: it is of no use to who begins at the beginning.
    assert.ok(store.bytesRead - bytesRead <= count * bytes + BESIDE_BYTES, `${store.bytesRead} bytes were read in all`)
    store.bytesRead = 0
    assert.deepEqual((await readOn(log, start, { tenant: 0, filters: ["a/b"] })).numbers, numbersTo(count))
    assert.ok(store.bytesRead <= count * bytes + BESIDE_BYTES, `${store.bytesRead} bytes were read by name`)
  })
}

async function countAll(log: QueueLog, position: number, selection: QueueSelection): Promise<number> {
  let messages = 0
  for (let from = position; ; ) {
    const counted = await log.count(from, selection, Number.MAX_SAFE_INTEGER)
    messages += counted.messages
    if (counted.isAtEnd) return messages
    from = counted.next
  }
}

test("what the log holds is told without reading it", async () => {
  const { log, store, start } = await coldLog(numbersTo(10).map(() => ["a/b", 900_000]))
  const told = await log.count(start, WILD, 0)
  const { bytes, logMessages, logBytes, ...place } = told
  assert.deepEqual([place, bytes, store.reads], [{ messages: 0, next: start, isAtEnd: false }, 0, 0])
  // The last one is in memory, and may have its row by name already.
  assert.ok(logMessages >= 11 && logMessages <= 12, `${logMessages} messages`)
  assert.equal(logBytes, log.bytes)
})

test("one message is fetched without the next one", async () => {
  const { log, store, start } = await coldLog(numbersTo(10).map(() => ["a/b", 900_000]))
  const one = { messagesMax: 1, bytesMax: 1 }
  const { messages, next } = await log.read(start, WILD, one, false)
  assert.deepEqual([messages.length, next], [1, start + 1])
  assert.equal(store.reads, 1)
})

test("small messages between large ones of another name are read by their name without most of these", async () => {
  const large = 300_000
  const { log, store, start } = await coldLog(
    numbersTo(120).map((index) => (index % 3 === 0 ? ["a/small", 500] : ["a/large", large]))
  )
  const { numbers, largest } = await readOn(log, start, { tenant: 0, filters: ["a/small"] })
  assert.deepEqual(
    numbers,
    numbersTo(40).map((index) => index * 3)
  )
  assert.equal(largest, 40)
  assert.ok(store.bytesRead < 4 * large, `${store.bytesRead} bytes were read`)
})
