import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import { factsOf, messageOf } from "./fakes.ts"
import { Message } from "./Message.ts"

const bytes = fc.uint8Array({ maxLength: 60 })

/** Messages as protocols and Kafka producers make them; header bytes may be anything here. */
const message = fc
  .record({
    topic: fc.string({ unit: "binary", maxLength: 20 }),
    payload: bytes,
    headers: bytes,
    key: fc.option(bytes, { nil: undefined }),
    qos: fc.integer({ min: 0, max: 2 }),
    retain: fc.boolean(),
    gathered: fc.boolean(),
    headerCount: fc.nat(2 ** 31 - 1),
    tenant: fc.nat(0xffffffff),
    timestamp: fc.nat(Number.MAX_SAFE_INTEGER),
    expiresAtMs: fc.nat(Number.MAX_SAFE_INTEGER),
    publisher: fc.string({ maxLength: 10 }),
    partition: fc.integer({ min: -1, max: 100_000 }),
    offset: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER - 1 }),
    queue: fc.integer({ min: -1, max: 100_000 }),
    queueOffset: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER - 1 })
  })
  .map((made) => {
    const filled = messageOf(made.topic, made.payload, made)
    const { key } = made
    filled.headers = new Uint8Array(
      Buffer.concat([Uint8Array.of(7, 7), made.headers, key ?? Uint8Array.of(), Uint8Array.of(7)])
    )
    filled.headersStart = 2
    filled.headersEnd = 2 + made.headers.length
    filled.headerCount = made.headerCount
    if (key !== undefined) {
      filled.keyStart = filled.headersEnd
      filled.keyEnd = filled.headersEnd + key.length
    }
    filled.gathered = made.gathered
    filled.partition = made.partition
    filled.offset = made.offset
    filled.queue = made.queue
    filled.queueOffset = made.queueOffset
    return filled
  })

test("a message says the same on another shard, read from the middle of a frame", () => {
  fc.assert(
    fc.property(message, (original) => {
      const writer = new ByteWriter()
      writer.uint53(1)
      original.encode(writer)
      writer.uint8(255)
      const reader = new ByteReader().reset(writer.bytes.slice(0, writer.length), 8, writer.length)
      const decoded = new Message()
      decoded.wireFormat = 4
      decoded.decode(reader)
      // A lone surrogate cannot travel as UTF-8; the publisher is compared as what did.
      assert.deepEqual(factsOf(decoded), { ...factsOf(original), publisher: original.publisher.toWellFormed() })
      assert.equal(decoded.wireFormat, 0)
      assert.equal(reader.uint8(), 255)
    })
  )
})

test("a scratch that is decoded into again keeps nothing of what it held", () => {
  fc.assert(
    fc.property(message, message, (first, second) => {
      const scratch = new Message()
      for (const each of [first, second]) {
        const writer = new ByteWriter()
        each.encode(writer)
        scratch.name = "stale"
        scratch.decode(new ByteReader().reset(writer.bytes, 0, writer.length))
        assert.equal(scratch.name, factsOf(each)["topic"])
        assert.equal(factsOf(scratch)["key"], factsOf(each)["key"])
        assert.deepEqual(factsOf(scratch.owned()), factsOf(scratch))
      }
    })
  )
})

test("a time before 1970 travels as 1970", () => {
  const writer = new ByteWriter()
  messageOf("a", "", { timestamp: -5 }).encode(writer)
  const decoded = new Message()
  decoded.decode(new ByteReader().reset(writer.bytes, 0, writer.length))
  assert.equal(decoded.timestamp, 0)
})

test("an owned copy says the same, stays valid when the buffers are reused, and is one for all who ask", () => {
  fc.assert(
    fc.property(message, (original) => {
      const expected = factsOf(original)
      const copy = original.owned()
      assert.equal(original.owned(), copy)
      assert.equal(copy.owned(), copy)
      original.topic.fill(0)
      original.payload.fill(0)
      original.headers.fill(0)
      assert.deepEqual(factsOf(copy), expected)
      assert.equal(copy.name, expected["topic"])
      original.begin()
      assert.notEqual(original.owned(), copy)
    })
  )
})

test("no two messages have the same sequence, and begin gives a new one", () => {
  const scratch = messageOf("a", "1")
  const seen = new Set([scratch.sequence])
  seen.add(scratch.owned().sequence)
  scratch.begin()
  seen.add(scratch.sequence)
  seen.add(messageOf("a", "1").sequence)
  assert.equal(seen.size, 4)
})

test("begin forgets name and place", () => {
  const scratch = messageOf("a/b", "")
  assert.equal(scratch.name, "a/b")
  scratch.partition = 3
  scratch.offset = 9
  scratch.queue = 1
  scratch.queueOffset = 4
  scratch.topicEnd -= 2
  scratch.begin()
  assert.deepEqual([scratch.name, scratch.partition, scratch.offset], ["a", -1, -1])
  assert.deepEqual([scratch.queue, scratch.queueOffset], [-1, -1])
})

test("the size of an owned copy is at least what it holds", () => {
  fc.assert(
    fc.property(message, (original) => {
      const copy = original.owned()
      assert.ok(original.sizeBytes >= copy.topic.length)
      assert.equal(copy.sizeBytes, original.sizeBytes)
    })
  )
})

test("a large key counts too", () => {
  const produced = messageOf("a", "")
  produced.headers = new Uint8Array(50_000)
  produced.keyStart = 0
  produced.keyEnd = 50_000
  assert.ok(produced.sizeBytes >= produced.owned().topic.length)
})
