import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { factsOf } from "../ingress/fakes.ts"
import { compareKeys } from "../kv/KeyValueStore.ts"
import { messageOf } from "./fakes.ts"
import {
  decodeNameValue,
  decodeRow,
  decodeState,
  encodeNameValue,
  encodeRow,
  encodeState,
  messageKey,
  nameKey,
  offsetOfKey,
  UnknownRow
} from "./queue-rows.ts"

const offsets = fc.oneof(fc.nat(300), fc.nat(Number.MAX_SAFE_INTEGER))
const encoder = new TextEncoder()

function keyOf(tenant: number, name: string, offset: number): Uint8Array {
  const bytes = encoder.encode(`<${name}>`)
  return nameKey(tenant, bytes, 1, bytes.length - 1, offset)
}

// The form on disk: docs/formats/state.md. What stands here must not change without another format byte.
test("rows as they lie on disk, byte by byte", () => {
  assert.equal(messageKey(2 ** 32 * 5 + 258).toHex(), "716d" + "0000000500000102")
  assert.equal(keyOf(7, "a/b", 258).toHex(), "716e" + "00000007" + "612f62" + "00" + "0000000000000102")
  assert.equal(encodeNameValue(515).toHex(), "01" + "00000203")
  assert.equal(
    encodeState({ reserved: 1_048_576, indexedTo: 5, indexedBytes: 700, indexedMessages: 3, lostTo: 0 }).toHex(),
    "01" + "0000000000100000" + "0000000000000005" + "00000000000002bc" + "0000000000000003"
  )
  const message = messageOf("a/b", "xyz", {
    qos: 1,
    retain: true,
    publisher: "p",
    expiresAtMs: 9,
    timestamp: 8,
    tenant: 7
  })
  message.headers = Uint8Array.of(9, 1, 2, 3, 4, 9)
  message.headersStart = 1
  message.headersEnd = 3
  message.headerCount = 1
  message.keyStart = 3
  message.keyEnd = 5
  message.partition = 2
  message.offset = 6
  message.queue = 0
  message.queueOffset = 258
  assert.equal(
    encodeRow(message, 10).toHex(),
    [
      "01", // format
      "000000000000000a", // appended at
      "00000007", // tenant
      "1d", // QoS 1, retain, gathered, key
      "0000000000000008", // timestamp
      "0000000000000009", // expires at
      "0000000000000003", // partition + 1
      "0000000000000007", // offset + 1
      "00000001", // queue + 1
      "0000000000000103", // queue offset + 1
      "0000000170", // publisher
      "00000003612f62", // topic name
      "0000000378797a", // payload
      "00000001", // headers
      "000000020102",
      "000000020304" // key
    ].join("")
  )
})

test("a row comes back as the message of its place, owned, with what it counts for", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.uint8Array(), offsets, fc.nat(2), (name, payload, offset, qos) => {
      const message = messageOf(name, payload, { qos })
      const value = encodeRow(message, 5)
      const row = decodeRow(4, offset, value)
      assert.deepEqual(factsOf(row.message), { ...factsOf(message), queue: 4, queueOffset: offset })
      assert.deepEqual([row.size, row.appendedAtMs], [message.sizeBytes, 5])
      value.fill(0)
      assert.equal(row.message.name, factsOf(message)["topic"])
      assert.equal(row.message.owned(), row.message)
    })
  )
})

test("keys order by offset, and by tenant, name and offset; they say their offset", () => {
  const place = fc.tuple(fc.nat(2), fc.constantFrom("a", "a/b", "a/", "b", "\u{1}", "ä"), offsets)
  fc.assert(
    fc.property(place, place, (left, right) => {
      assert.equal(offsetOfKey(messageKey(left[2])), left[2])
      assert.equal(offsetOfKey(keyOf(...left)), left[2])
      assert.equal(Math.sign(compareKeys(messageKey(left[2]), messageKey(right[2]))), Math.sign(left[2] - right[2]))
      if (left[0] !== right[0] || left[1] === right[1]) {
        const expected = left[0] === right[0] ? left[2] - right[2] : left[0] - right[0]
        assert.equal(Math.sign(compareKeys(keyOf(...left), keyOf(...right))), Math.sign(expected))
      } else {
        const inside = compareKeys(keyOf(left[0], left[1], 0), keyOf(...right)) <= 0
        const below = compareKeys(keyOf(...right), keyOf(left[0], left[1], Number.MAX_SAFE_INTEGER)) < 0
        assert.ok(!(inside && below), "a range over one name holds no other")
      }
    })
  )
})

test("state and values by name come back; another form is refused", () => {
  const state = { reserved: 2 ** 40, indexedTo: 7, indexedBytes: 2 ** 33, indexedMessages: 2, lostTo: 2 ** 34 }
  assert.deepEqual(decodeState(encodeState(state)), state)
  // Older rows do not say what was lost.
  assert.deepEqual(decodeState(encodeState(state).subarray(0, 33)), { ...state, lostTo: 0 })
  assert.equal(decodeNameValue(encodeNameValue(4_000_000_000)), 4_000_000_000)
  const newer = encodeRow(messageOf("a", ""), 1)
  newer[0] = 2
  assert.throws(() => decodeRow(0, 0, newer), UnknownRow)
  assert.throws(() => decodeState(new Uint8Array(0)), UnknownRow)
})
