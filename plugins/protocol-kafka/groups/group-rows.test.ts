/** Rows of groups: bytes that must not change, what comes back, ranges that hold one group alone. */
import { deepStrictEqual, equal, ok, throws } from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { compareKeys } from "../../../core/mod.ts"
import {
  decodeGroup,
  decodeOffset,
  encodeGroup,
  encodeOffset,
  groupKey,
  offsetKey,
  offsetKeys,
  ofGroupKey,
  ofOffsetKey
} from "./group-rows.ts"

const TOPIC_ID = "00112233-4455-6677-8899-aabbccddeeff"
const OFFSET = { offset: 258, leaderEpoch: 3, metadata: "m", committedAtMs: 5, expiresAtMs: 0 }
const MEMBER = {
  ...{ id: "id", instanceId: "i", clientId: "c", clientHost: "/h", sessionTimeoutMs: 6, rebalanceTimeoutMs: 7 },
  protocols: [{ name: "p", metadata: Uint8Array.of(1, 2) }],
  assignment: Uint8Array.of(3)
}
const GROUP = { emptySinceMs: 9, generation: 4, protocolType: "t", protocolName: null, leader: "id", members: [MEMBER] }

test("golden bytes", () => {
  equal(groupKey({ tenant: 1, id: "g" }).toHex(), "6b670000000167")
  const key = offsetKey({ tenant: 1, id: "g" }, { topicId: TOPIC_ID, partition: 2 })
  equal(key.toHex(), "6b6f0000000100016700112233445566778899aabbccddeeff00000002")
  equal(encodeOffset(OFFSET).toHex(), "0100000000000001020000000400000000000000050000000000000000000000016d")
  equal(
    encodeGroup(GROUP).toHex(),
    [
      "01 0000000000000009 00000004 01 00000001 74 00 01 00000002 6964 00000001",
      "00000002 6964 01 00000001 69 00000001 63 00000002 2f68 00000006 00000007",
      "00000001 00000001 70 00000002 0102 00000001 03"
    ]
      .join("")
      .replaceAll(" ", "")
  )
})

test("what is written is read", () => {
  deepStrictEqual(decodeGroup(encodeGroup(GROUP)), GROUP)
  for (const offset of [0, -1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    deepStrictEqual(decodeOffset(encodeOffset({ ...OFFSET, offset, leaderEpoch: -1 })), {
      ...OFFSET,
      offset,
      leaderEpoch: -1
    })
  }
})

test("a format of a later release is refused by its name", () => {
  throws(() => decodeGroup(Uint8Array.of(2)), /a group's row has format 2; this release knows 1/)
  throws(() => decodeOffset(Uint8Array.of(9)), /a committed offset's row has format 9/)
})

test("keys name any group id, and the offsets of one group are in its range alone", () => {
  const ids = fc.oneof(fc.constantFrom("", "g", "g\0", "gg", "\uffff"), fc.string({ unit: "grapheme", maxLength: 8 }))
  fc.assert(
    fc.property(ids, ids, fc.nat(3), fc.nat(), (id, other, tenant, partition) => {
      const name = { tenant, id: id.toWellFormed() }
      const stranger = { tenant: 1, id: other.toWellFormed() }
      deepStrictEqual(ofGroupKey(groupKey(name)), name)
      const place = { topicId: TOPIC_ID, partition }
      deepStrictEqual(ofOffsetKey(offsetKey(name, place)), { group: name, place })
      const { key, end } = offsetKeys(name)
      const isIn = (candidate: Uint8Array): boolean =>
        compareKeys(key, candidate) <= 0 && compareKeys(candidate, end) < 0
      ok(isIn(offsetKey(name, place)))
      equal(isIn(offsetKey(stranger, place)), stranger.tenant === tenant && stranger.id === name.id)
    })
  )
})
