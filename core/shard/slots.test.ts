import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { dealSlots, SLOT_CLIENT, SLOT_COUNT, SLOT_NAME, SLOT_TOPIC, slotOf } from "./slots.ts"

/** The hash once more in unbounded integers: FNV-1a (RFC 9923) over tenant, kind, part, then the name, and the mix at the end. */
function published(tenant: number, kind: number, name: string, part: number): number {
  const mask = 0xffffffffn
  const prime = 0x01000193n
  let hash = 0x811c9dc5n ^ BigInt(tenant)
  hash = ((hash * prime) & mask) ^ BigInt(kind)
  hash = ((hash * prime) & mask) ^ BigInt(part)
  hash = (hash * prime) & mask
  for (const byte of new TextEncoder().encode(name)) hash = ((hash ^ BigInt(byte)) * prime) & mask
  hash ^= hash >> 16n
  hash = (hash * 0x85ebca6bn) & mask
  hash ^= hash >> 13n
  return Number(hash % 1024n)
}

test("slots agree with the definition, for any name", () => {
  const kinds = fc.constantFrom(SLOT_CLIENT, SLOT_TOPIC, SLOT_NAME)
  fc.assert(
    fc.property(
      fc.nat(0x7fffffff),
      kinds,
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.nat(100_000),
      (tenant, kind, name, part) => {
        assert.equal(slotOf(tenant, kind, name, part), published(tenant, kind, name, part))
      }
    )
  )
})

test("names at and beyond the size of the scratch buffer", () => {
  for (const length of [1_364, 1_365, 1_366, 4_096, 4_097, 65_535]) {
    for (const character of ["a", "é", "長"]) {
      const name = character.repeat(length)
      assert.equal(slotOf(0, SLOT_CLIENT, name), published(0, SLOT_CLIENT, name, 0), `${length} ${character}`)
    }
  }
})

test("slots that must never change", () => {
  // Agreed between nodes: a change here moves the owner of what is stored.
  const rows = [
    slotOf(0, SLOT_CLIENT, ""),
    slotOf(0, SLOT_CLIENT, "client-1"),
    slotOf(0, SLOT_TOPIC, "telemetry", 0),
    slotOf(0, SLOT_TOPIC, "telemetry", 1),
    slotOf(0, SLOT_NAME, "sensors/room1"),
    slotOf(7, SLOT_NAME, "sensors/room1")
  ]
  assert.deepEqual(rows, [1010, 534, 0, 133, 1013, 794])
})

test("kinds, parts and tenants are apart, and names spread evenly", () => {
  const counts = new Uint32Array(SLOT_COUNT)
  for (let index = 0; index < 102_400; index++) {
    const slot = slotOf(0, SLOT_CLIENT, `device-${index}`)
    counts[slot] = (counts[slot] ?? 0) + 1
  }
  assert.ok(Math.min(...counts) > 50 && Math.max(...counts) < 160, `${Math.min(...counts)} to ${Math.max(...counts)}`)
  const slots = new Set<number>()
  for (const kind of [SLOT_CLIENT, SLOT_TOPIC, SLOT_NAME] as const) {
    for (let part = 0; part < 20; part++) slots.add(slotOf(0, kind, "one-name", part))
  }
  assert.ok(slots.size > 50)
})

test("slots are dealt in turn, to every shard about as many", () => {
  for (const shards of [1, 2, 3, 7, 64]) {
    const owners = dealSlots(shards)
    assert.equal(owners.length, SLOT_COUNT)
    const counts = new Array<number>(shards).fill(0)
    for (const owner of owners) counts[owner] = (counts[owner] ?? 0) + 1
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
  }
})
