import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { decodeGroup, encodeGroup, groupKey, ofGroupKey, ofTokenKey, tokenKey } from "./group-rows.ts"

const offset = fc.integer({ min: 0, max: 2 ** 53 - 1 })
const open = fc.uniqueArray(offset, { maxLength: 40 }).map((offsets) => offsets.sort((left, right) => left - right))
const position = fc.record({ next: offset, open }, { noNullPrototype: true })
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })

test("a group's row says what was put in", () => {
  const facts = {
    number: offset,
    positions: fc.array(position, { maxLength: 4 }),
    handed: fc.array(fc.record({ log: uint32, offset, shard: uint32 }, { noNullPrototype: true }), { maxLength: 10 })
  }
  const row = fc.record(facts, { noNullPrototype: true })
  fc.assert(fc.property(row, (each) => assert.deepEqual(decodeGroup(encodeGroup(each)), each)))
  const source = {
    log: uint32,
    topicId: fc.uuid(),
    partition: fc.nat(999),
    incarnation: fc.option(fc.nat(), { nil: undefined }),
    position
  }
  const sources = fc.array(fc.record(source, { noNullPrototype: true }), { maxLength: 5 })
  const replay = fc.record({ last: uint32, sources }, { noNullPrototype: true })
  fc.assert(
    fc.property(fc.record({ ...facts, replay }, { noNullPrototype: true }), (each) => {
      assert.deepEqual(decodeGroup(encodeGroup(each)), each)
    })
  )
})

test("a group stands by its tenant and name, a token by its message", () => {
  fc.assert(
    fc.property(uint32, fc.string({ unit: "binary" }), (tenant, text) => {
      const name = text.toWellFormed()
      assert.deepEqual(ofGroupKey(groupKey(tenant, name)), { tenant, name })
    })
  )
  fc.assert(
    fc.property(
      fc.record({ shard: uint32, number: offset, log: uint32, offset }, { noNullPrototype: true }),
      (token) => {
        assert.deepEqual(ofTokenKey(tokenKey(token)), token)
      }
    )
  )
})

test("the bytes of a row and of its keys, as docs/formats/state.md has them", () => {
  const row = { number: 7, positions: [{ next: 300, open: [5, 205] }], handed: [{ log: 0, offset: 205, shard: 1 }] }
  assert.equal(
    encodeGroup(row).toHex(),
    "01" +
      "0000000000000007" +
      "01" +
      "000000000000012c" +
      "00000002" +
      "05" +
      "c801" +
      "00000001" +
      "00000000" +
      "00000000000000cd" +
      "00000001"
  )
  assert.equal(groupKey(0, "g/t").toHex(), "736700000000672f74")
  assert.equal(
    tokenKey({ shard: 1, number: 7, log: 0, offset: 205 }).toHex(),
    "7374" + "00000001" + "0000000000000007" + "00000000" + "00000000000000cd"
  )
})
