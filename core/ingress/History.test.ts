import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { crc32c } from "../log/crc32c.ts"
import { NOT_AVAILABLE, OUT_OF_RANGE, type ReadResult } from "../log/Logs.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import {
  ATTRIBUTES_POSITION,
  CONTROL,
  CRC_POSITION,
  GATHERED,
  writeBaseOffset,
  writeInt16,
  writeInt32
} from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { matches } from "../router/topic-filter.ts"
import { TopicDirectory } from "../topics/TopicDirectory.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { payloadOf, TELEMETRY } from "./fakes.ts"
import { type HistoryPlace, ShardHistory } from "./History.ts"

const encoder = new TextEncoder()
const plain: TopicInfo = { ...TELEMETRY, name: "sensors.room1", id: "2", filter: undefined } as unknown as TopicInfo

const at = (offset: number): HistoryPlace => ({ offset, incarnation: undefined })

const clock = { immediate: setImmediate, after: () => ({ cancel: () => {} }) } as unknown as Pick<
  ClockShape,
  "immediate" | "after"
>

/** A batch of [key, value] records at an offset. */
function batchAt(base: number, records: ReadonlyArray<readonly [string, string]>, bits: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const [key, value] of records) {
    const [keyBytes, valueBytes] = [encoder.encode(key), encoder.encode(value)]
    builder.append(5_000, keyBytes, 0, keyBytes.length, valueBytes, 0, valueBytes.length)
  }
  const bytes = builder.bytes.slice(0, builder.finish())
  writeBaseOffset(bytes, 0, base)
  writeInt16(bytes, ATTRIBUTES_POSITION, bits)
  writeInt32(bytes, CRC_POSITION, crc32c(bytes, ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

/** A partition of batches, read as many at once as is asked for. */
class Stored {
  readonly batches: Array<{ readonly base: number; readonly end: number; readonly bytes: Uint8Array }> = []
  end = 0
  start = 0
  atOnce = 1

  append(records: ReadonlyArray<readonly [string, string]>, bits: number): void {
    const bytes = batchAt(this.end, records, bits)
    this.batches.push({ base: this.end, end: this.end + records.length, bytes })
    this.end += records.length
  }

  read(_topic: TopicInfo, _partition: number, offset: number): ReadResult {
    const state = {
      logStartOffset: this.start,
      highWatermark: this.end,
      endOffset: this.end,
      leaderEpoch: 0,
      incarnation: 0
    }
    const isOut = offset < this.start || offset > this.end
    if (isOut) return { ...state, refusal: OUT_OF_RANGE, bytes: new Uint8Array(0) }
    const behind = this.batches.filter(({ end }) => end > offset).slice(0, this.atOnce)
    return { ...state, refusal: 0, bytes: Buffer.concat(behind.map(({ bytes }) => bytes)) }
  }
}

function make(): { readonly stored: Stored; readonly history: ShardHistory } {
  const directory = new TopicDirectory()
  directory.add(TELEMETRY)
  directory.add(plain)
  const stored = new Stored()
  return { stored, history: new ShardHistory(stored, directory, clock) }
}

test("each record that has a name which matches comes once, in order, whatever room there is, from any offset", async () => {
  const name = fc.constantFrom("d/1/t", "d/2/t", "d/3/x", "other")
  const records = fc.array(fc.tuple(name, fc.string({ maxLength: 3 })), { minLength: 1, maxLength: 5 })
  const batch = fc.record({ records, bits: fc.constantFrom(GATHERED, 0, CONTROL) })
  const asked = fc.record({
    filter: fc.constantFrom("d/+/t", "d/1/t", "#", "d/3/x"),
    from: fc.nat(30),
    messages: fc.integer({ min: 1, max: 4 }),
    atOnce: fc.integer({ min: 1, max: 3 })
  })
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { maxLength: 8 }), asked, async (batches, { filter, from, messages, atOnce }) => {
      const { stored, history } = make()
      const expected: Array<string> = []
      for (const { records: each, bits } of batches) {
        for (const [index, [key, value]] of each.entries()) {
          // A gathered record has its name as its key; another's key is a name where the topic is its home.
          const isNamed = bits === GATHERED || (bits === 0 && matches("d/+/t", key))
          const offset = stored.end + index
          if (isNamed && matches(filter, key) && offset >= from) expected.push(`${offset} ${key}=${value}`)
        }
        stored.append(each, bits)
      }
      stored.atOnce = atOnce
      const found: Array<string> = []
      let next = Math.min(from, stored.end)
      for (let steps = 0; ; steps++) {
        assert.ok(steps < 200, "it comes to an end")
        let count = 0
        const read = await history.read(TELEMETRY, 0, at(next), filter, { messages, bytes: 1_000_000 }, (message) => {
          count += 1
          // It may be refused, and comes again.
          if ((count + steps) % 5 === 4) return false
          found.push(`${message.offset} ${message.name}=${payloadOf(message)}`)
          return true
        })
        assert.ok(count <= messages + 1 && read.refusal === 0 && read.next >= next)
        next = read.next
        if (read.isAtEnd) break
      }
      assert.deepEqual(found, expected)
      assert.equal(next, stored.end)
    })
  )
})

test("a large message comes where there is any room; a foreign key travels along; what cannot be read is passed over and counted", async () => {
  const { stored, history } = make()
  stored.append([["key", "x".repeat(1_000)]], 0)
  stored.append([["broken", "y"]], 0)
  stored.append([["sensors/room1", "z"]], GATHERED)
  stored.batches[1]?.bytes.fill(255, 61)
  stored.atOnce = 3
  const found: Array<string> = []
  const visit = (message: { readonly name: string; readonly keyStart: number }): boolean => {
    found.push(`${message.name} ${message.keyStart >= 0}`)
    return true
  }
  const first = await history.read(plain, 0, at(0), "sensors/#", { messages: 9, bytes: 1 }, visit)
  assert.deepEqual([first.next, first.isAtEnd, found], [2, false, ["sensors/room1 true"]])
  const second = await history.read(plain, 0, at(first.next), "sensors/#", { messages: 9, bytes: 1 }, visit)
  assert.deepEqual([second.next, second.isAtEnd, found.length], [3, true, 2])
  assert.equal(history.unreadableCount, 1)
})

test("of a log that has begun anew nothing is read for an offset of the one before", async () => {
  const { stored, history } = make()
  stored.append([["sensors/room1", "a"]], GATHERED)
  const room = { messages: 9, bytes: 9 }
  const read = await history.read(plain, 0, { offset: 0, incarnation: 5 }, "#", room, () =>
    assert.fail("it is another")
  )
  assert.deepEqual([read.refusal, read.next, read.logStartOffset, read.incarnation], [OUT_OF_RANGE, 0, 0, 0])
  const same = await history.read(plain, 0, { offset: 0, incarnation: 0 }, "#", room, () => true)
  assert.deepEqual([same.refusal, same.next], [0, 1])
})

test("what the partition refuses is told with its bounds", async () => {
  const { stored, history } = make()
  stored.append([["sensors/room1", "a"]], GATHERED)
  const read = await history.read(plain, 0, at(2), "#", { messages: 1, bytes: 1 }, () => assert.fail("nothing is read"))
  assert.deepEqual(read, {
    refusal: OUT_OF_RANGE,
    next: 2,
    isAtEnd: false,
    logStartOffset: 0,
    highWatermark: 1,
    endOffset: 1,
    incarnation: 0
  })
  stored.read = () => ({
    refusal: NOT_AVAILABLE,
    logStartOffset: -1,
    highWatermark: -1,
    endOffset: -1,
    leaderEpoch: -1,
    incarnation: 0,
    bytes: new Uint8Array(0)
  })
  const gone = await history.read(plain, 0, at(0), "#", { messages: 1, bytes: 1 }, () => assert.fail("nothing is read"))
  assert.equal(gone.refusal, NOT_AVAILABLE)
})
