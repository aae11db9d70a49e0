import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { factsOf, messageOf } from "../../core/ingress/fakes.ts"
import { compareKeys } from "../../core/kv/KeyValueStore.ts"
import * as rows from "./session-rows.ts"

const NEVER = 4_294_967_295
const will = messageOf("t", "p", { qos: 1, publisher: "c", timestamp: 0 })
const kept = messageOf("t", "p", { qos: 2, timestamp: 0 })

/** docs/formats/state.md, "Session rows": what lies on disk changes with the format byte alone. */
const GOLDEN: ReadonlyArray<readonly [what: string, bytes: Uint8Array, hex: string]> = [
  ["sd key", rows.directoryKey(7, "é"), "736400000007c3a9"],
  ["ss key", rows.subscriptionKey(258, "a/+"), "73730000000000000102612f2b"],
  ["sp key", rows.positionsKey(1), "73700000000000000001"],
  ["si key", rows.flightKey(1, 0xabcd), "73690000000000000001abcd"],
  ["sr key", rows.receivedKey(4_294_967_296, 9), "737200000001000000000009"],
  ["sx key", rows.expiryKey(5, 6), "737800000000000000050000000000000006"],
  ["sn key", rows.numbersKey, "736e"],
  ["wl key", rows.willKey(3), "776c0000000000000003"],
  ["wd key", rows.willDueKey(5, 3), "776400000000000000050000000000000003"],
  [
    "session",
    rows.encodeSession({ number: 2, expiryInterval: NEVER, leftAtMs: 3, will: 4 }),
    "010000000000000002ffffffff00000000000000030000000000000004"
  ],
  [
    "subscription",
    rows.encodeSubscription({
      qos: 2,
      noLocal: true,
      retainAsPublished: true,
      identifier: 5,
      exclusive: false,
      since: [6, 7],
      asked: [],
      replay: false
    }),
    "010e000000050200000000000000060000000000000007"
  ],
  [
    "subscription by other names",
    rows.encodeSubscription({
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      identifier: 0,
      exclusive: true,
      since: [6],
      asked: ["a", "bc"],
      replay: true
    }),
    "01710000000001000000000000000600000002000000016100000002" + "6263"
  ],
  ["positions", rows.encodePositions([{ next: 9, low: 8 }]), "010100000000000000090000000000000008"],
  [
    "in flight",
    rows.encodeFlight({
      sequence: 1,
      qos: 2,
      retain: true,
      isReleased: true,
      identifiers: [4],
      queue: 0,
      offset: 5,
      message: undefined
    }),
    "0100000000000000010e0100000004000000010000000000000005"
  ],
  [
    "in flight and lost",
    rows.encodeFlight({
      sequence: 1,
      qos: 1,
      retain: false,
      isReleased: false,
      identifiers: [],
      queue: 1,
      offset: -1,
      message: undefined
    }),
    "0100000000000000010100000000000000000000000000"
  ],
  [
    "in flight with its message",
    rows.encodeFlight({
      sequence: 1,
      qos: 2,
      retain: false,
      isReleased: false,
      identifiers: [],
      queue: -1,
      offset: -1,
      message: kept
    }),
    "010000000000000001120000000000" +
      "0a" +
      "00".repeat(5 * 8 + 4 + 4) +
      "0000000174" +
      "0000000170" +
      "0000000000000000"
  ],
  ["received", rows.encodeReceived(1), "0100000002"],
  ["received here", rows.encodeReceived(-1), "0100000000"],
  ["expiry", rows.encodeClient(7, "c"), "01000000070000000163"],
  ["number", rows.encodeNumber(1_000), "0100000000000003e8"],
  [
    "will",
    rows.encodeWill({ dueAtMs: 1, delay: 2, messageExpiry: -1, user: "u", peerAddress: "a", message: will }),
    "01000000000000000100000002000000000000000000000001750000000161" +
      "0000000009" +
      "00".repeat(5 * 8 + 4) +
      "0000000163" +
      "0000000174" +
      "0000000170" +
      "0000000000000000"
  ]
]

for (const [what, bytes, hex] of GOLDEN) {
  test(`the bytes of a row: ${what}`, () => assert.equal(bytes.toHex(), hex))
}

const PLAIN = { noNullPrototype: true } as const
const number = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const word = fc.nat({ max: NEVER })
const identifier = fc.integer({ min: 1, max: 65_535 })

test("what is written is read", () => {
  fc.assert(
    fc.property(fc.record({ number, expiryInterval: word, leftAtMs: number, will: number }, PLAIN), (row) =>
      assert.deepEqual(rows.decodeSession(rows.encodeSession(row)), row)
    )
  )
  const since = fc.array(number, { maxLength: 64 })
  const subscription = fc.record(
    {
      qos: fc.nat({ max: 2 }),
      noLocal: fc.boolean(),
      retainAsPublished: fc.boolean(),
      identifier: fc.nat({ max: 268_435_455 }),
      exclusive: fc.boolean(),
      since,
      replay: fc.boolean(),
      asked: fc.array(fc.string(), { maxLength: 4 })
    },
    PLAIN
  )
  fc.assert(
    fc.property(subscription, (row) => {
      const bytes = rows.encodeSubscription(row)
      assert.deepEqual(rows.decodeSubscription(bytes), row)
      assert.equal(rows.qosOfSubscription(bytes), row.qos)
    })
  )
  fc.assert(
    fc.property(fc.array(fc.record({ next: number, low: number }, PLAIN), { maxLength: 64 }), (positions) =>
      assert.deepEqual(rows.decodePositions(rows.encodePositions(positions)), positions)
    )
  )
  const flight = fc.record(
    {
      sequence: number,
      qos: fc.integer({ min: 1, max: 2 }),
      retain: fc.boolean(),
      isReleased: fc.boolean(),
      identifiers: fc.array(word, { maxLength: 255 }),
      queue: fc.nat({ max: 1_023 }),
      offset: number,
      message: fc.constant(undefined)
    },
    PLAIN
  )
  fc.assert(fc.property(flight, (row) => assert.deepEqual(rows.decodeFlight(rows.encodeFlight(row)), row)))
  fc.assert(
    fc.property(fc.nat({ max: 65_536 + 1_024 }), (owner) =>
      assert.equal(rows.decodeReceived(rows.encodeReceived(owner)), owner)
    )
  )
  fc.assert(fc.property(number, (value) => assert.equal(rows.decodeNumber(rows.encodeNumber(value)), value)))
})

test("messages come back as they were, in flight and as a will", () => {
  const facts = { sequence: 1, qos: 2, retain: true, isReleased: false, identifiers: [1, 2], queue: -1, offset: -1 }
  const found = rows.decodeFlight(rows.encodeFlight({ ...facts, message: kept }))
  assert.deepEqual({ ...found, message: undefined }, { ...facts, message: undefined })
  assert.deepEqual(factsOf(found.message ?? assert.fail()), factsOf(kept))
  const row = { dueAtMs: 5, delay: 6, messageExpiry: 7, user: "ü", peerAddress: "::1" }
  const read = rows.decodeWill(rows.encodeWill({ ...row, message: will }))
  assert.deepEqual({ ...read, message: undefined }, { ...row, message: undefined })
  assert.deepEqual(factsOf(read.message), factsOf(will))
})

test("a flight whose message is lost knows no place, whatever log it was in", () => {
  const row = { sequence: 1, qos: 1, retain: false, isReleased: false, identifiers: [], queue: 3, message: undefined }
  const { queue, offset } = rows.decodeFlight(rows.encodeFlight({ ...row, offset: -1 }))
  assert.deepEqual([queue, offset], [-1, -1])
})

test("keys say whose they are, and come in the order of their numbers", () => {
  const name = fc.string({ unit: "binary", maxLength: 40 }).filter((text) => text.isWellFormed())
  fc.assert(
    fc.property(word, name, (tenant, clientIdentifier) =>
      assert.deepEqual(rows.ofDirectoryKey(rows.directoryKey(tenant, clientIdentifier)), { tenant, clientIdentifier })
    )
  )
  fc.assert(
    fc.property(number, name, (of, filter) =>
      assert.deepEqual(rows.ofSubscriptionKey(rows.subscriptionKey(of, filter)), { number: of, filter })
    )
  )
  fc.assert(
    fc.property(number, number, identifier, (one, other, at) => {
      const order = Math.sign(compareKeys(rows.flightKey(one, at), rows.flightKey(other, at)))
      assert.equal(order, Math.sign(one - other))
      assert.equal(rows.identifierOfKey(rows.flightKey(one, at)), at)
      assert.equal(Math.sign(compareKeys(rows.expiryKey(one, 1), rows.expiryKey(other, 1))), Math.sign(one - other))
      assert.equal(rows.numberAt(rows.expiryKey(one, other), 10), other)
    })
  )
})

test("the range of a session holds its rows and nobody else's", () => {
  const other = fc.nat({ max: Number.MAX_SAFE_INTEGER - 1 })
  fc.assert(
    fc.property(other, other, identifier, (mine, theirs, at) => {
      const { start, end } = rows.rangeOf("si", mine)
      const key = rows.flightKey(theirs, at)
      assert.equal(compareKeys(key, start) >= 0 && compareKeys(key, end) < 0, mine === theirs)
    })
  )
  const all = rows.rangeOf("sx")
  assert.ok(compareKeys(rows.expiryKey(0, 0), all.start) > 0)
  assert.ok(compareKeys(rows.expiryKey(Number.MAX_SAFE_INTEGER, 0), all.end) < 0)
  assert.ok(compareKeys(rows.keyAfter(all.start), rows.expiryKey(0, 0)) < 0)
})

test("a row of a format that this release does not know is refused, whichever it is", () => {
  const decoders: ReadonlyArray<readonly [(bytes: Uint8Array) => unknown, Uint8Array]> = [
    [rows.decodeSession, rows.encodeSession({ number: 1, expiryInterval: 1, leftAtMs: 0, will: 0 })],
    [rows.decodePositions, rows.encodePositions([])],
    [rows.decodeReceived, rows.encodeReceived(0)],
    [rows.decodeNumber, rows.encodeNumber(0)],
    [rows.decodeClient, rows.encodeClient(0, "")],
    [rows.decodeFlight, GOLDEN.find(([what]) => what === "in flight")?.[1] ?? assert.fail()],
    [rows.decodeSubscription, GOLDEN.find(([what]) => what === "subscription")?.[1] ?? assert.fail()],
    [rows.decodeWill, GOLDEN.find(([what]) => what === "will")?.[1] ?? assert.fail()]
  ]
  for (const [decode, bytes] of decoders) {
    for (const format of [0, 2, 255]) {
      const changed = bytes.slice()
      changed[0] = format
      assert.throws(() => decode(changed), new Error(`a session's row has format ${format}; this release knows 1`))
    }
  }
})
