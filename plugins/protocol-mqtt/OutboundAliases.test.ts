import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { decode, packetLength } from "../../tests/support/mqtt-decode.ts"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { OutboundAliases } from "./OutboundAliases.ts"
import { aliasedSize, writeAliased } from "./wire/publish-alias.ts"

/** A name is published: what stands for it on the wire. */
function send(aliases: OutboundAliases, name: string): string {
  const found = aliases.find(name)
  if (found < 0) aliases.set(name, -found)
  return found === 0 ? name : found < 0 ? `${name}=${-found}` : String(found)
}

test("a name is sent with an alias first, then as the alias; names that are too short or too long have none", () => {
  const aliases = new OutboundAliases(2)
  const wire = ["long/one", "long/one", "short", "short", "x".repeat(1_025), "long/two", "long/one", "long/two"]
  assert.deepEqual(
    wire.map((name) => send(aliases, name)),
    ["long/one=1", "1", "short", "short", "x".repeat(1_025), "long/two=2", "1", "2"]
  )
})

test("names that come once do not drive out those that come again and again", () => {
  const aliases = new OutboundAliases(4)
  const hot = ["hot/one", "hot/two", "hot/three"]
  let byAlias = 0
  for (let round = 0; round < 1_000; round++) {
    for (const name of hot) if (/^\d+$/.test(send(aliases, name))) byAlias += 1
    send(aliases, `cold/${round}`)
  }
  assert.ok(byAlias > 2_900, String(byAlias))
})

test("when other names come up they get the aliases of those that are not used any more", () => {
  for (const [max, count] of [
    [32, 2],
    [32, 20],
    [4, 3]
  ] as const) {
    const aliases = new OutboundAliases(max)
    for (let round = 0; round < 10; round++) for (let name = 0; name < max; name++) send(aliases, `before/${name}`)
    let byAlias = 0
    for (let round = 0; round < 1_000; round++) {
      for (let name = 0; name < count; name++) if (/^\d+$/.test(send(aliases, `after/${name}`))) byAlias += 1
    }
    assert.ok(byAlias > 0.95 * 1_000 * count, `${max} ${count}: ${byAlias}`)
  }
})

test("a client that follows the rules knows the name of every message, whatever is published", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(
        fc.nat({ max: 9 }).map((number) => `plant/line/${number}`),
        { maxLength: 200 }
      ),
      (max, names) => {
        const aliases = new OutboundAliases(max)
        const known = new Map<number, string>()
        for (const name of names) {
          const found = aliases.find(name)
          assert.ok(Math.abs(found) <= max)
          if (found > 0) assert.equal(known.get(found), name)
          else if (found < 0) {
            known.set(-found, name)
            aliases.set(name, -found)
          }
        }
      }
    )
  )
})

test("a frame with an alias says what the frame without it says, in its place or beside its name", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0 as const, 1 as const, 2 as const),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 1, max: 65_535 }),
      // Around the lengths at which a Variable Byte Integer takes one more byte.
      fc.constantFrom(0, 1, 90, 100, 110, 16_370, 16_380),
      fc.constantFrom(0, 60, 115, 118, 121),
      fc.constantFrom("a/b/c/d", `n/${"x".repeat(120)}`),
      (qos, retain, isKnown, alias, payloadLength, propertyLength, topic) => {
        const properties = propertyLength === 0 ? [] : [["contentType", "t".repeat(propertyLength)] as const]
        const id = qos === 0 ? {} : { id: 7 }
        const packet = { topic, payload: "p".repeat(payloadLength), qos, retain, properties, ...id }
        const plain = encode.publish(5, packet)
        const padded = new Uint8Array(plain.length + 7)
        padded.set(plain, 3)
        const size = aliasedSize(padded, 3, 3 + plain.length, qos, isKnown)
        const target = new Uint8Array(size + 2).fill(0xee)
        const end = writeAliased(padded, 3, 3 + plain.length, qos, target, 1, qos === 0 ? 0 : 9, alias, isKnown)
        assert.deepEqual([end, target[0], target[size + 1]], [1 + size, 0xee, 0xee])
        const frame = target.subarray(1, end)
        assert.equal(packetLength(frame), size)
        const aliased = { ...packet, topic: isKnown ? "" : topic, ...(qos === 0 ? {} : { id: 9 }) }
        const expected = encode.publish(5, { ...aliased, properties: [["topicAlias", alias], ...properties] })
        assert.deepEqual(decode(frame, 5), decode(expected, 5))
      }
    ),
    { numRuns: 400 }
  )
})
