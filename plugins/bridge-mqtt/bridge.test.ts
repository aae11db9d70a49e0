/** The small parts of a bridge: names, waiting times, options. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { backoffMs } from "./backoff.ts"
import { batches } from "./batches.ts"
import { options } from "./Settings.ts"
import { TopicMap, type TopicRule } from "./TopicMap.ts"
import { OutBuffer } from "./wire/OutBuffer.ts"
import { writeSubscribe } from "./wire/requests.ts"

const encoder = new TextEncoder()
function mapped(rules: ReadonlyArray<Partial<TopicRule>>, name: string): string | undefined {
  const map = new TopicMap(rules.map((rule) => ({ filter: "#", qos: 1, from: "", to: "", ...rule })))
  const bytes = encoder.encode(name)
  const once = map.map(bytes, 0, bytes.length)
  const again = map.map(bytes, 0, bytes.length)
  assert.deepEqual(again, once)
  return once === undefined ? undefined : new TextDecoder().decode(once)
}

test("topic names: the prefix of one side for that of the other, by the first rule that is for them", () => {
  assert.equal(mapped([{ filter: "a/+", from: "site/", to: "far/" }], "site/a/b"), "far/a/b")
  assert.equal(mapped([{ filter: "a/+", from: "site/", to: "far/" }], "a/b"), undefined)
  assert.equal(mapped([{ filter: "#", to: "far/" }], "a"), "far/a")
  assert.equal(mapped([{ filter: "#", from: "far/" }], "far/a"), "a")
  const two = [
    { filter: "a/#", to: "one/" },
    { filter: "#", to: "two/" }
  ]
  assert.deepEqual([mapped(two, "a/b"), mapped(two, "b")], ["one/a/b", "two/b"])
  // "far/#" is for "far", too.
  assert.equal(mapped([{ filter: "#", from: "far/", to: "site/" }], "far"), "site")
  assert.equal(mapped([{ filter: "#", from: "far/", to: "" }], "far"), undefined)
  // Names of a broker's own are under no wildcard.
  assert.equal(mapped([{ filter: "#", to: "far/" }], "$SYS/a"), undefined)
  assert.equal(mapped([{ filter: "$SYS/#", to: "far/" }], "$SYS/a"), "far/$SYS/a")
  assert.equal(mapped([{ filter: "#", to: "f".repeat(65_535) }], "a"), undefined)
})

test("waiting: never less than the least, never more than the most, and drawn from a range that doubles", () =>
  fc.assert(
    fc.property(fc.nat(50), fc.integer({ min: 0, max: 0xffffffff }), (failures, drawn) => {
      const random = { uint32: () => drawn, fill: () => {} }
      const ms = backoffMs(1_000, 60_000, failures, random)
      assert.ok(ms >= 1_000 && ms <= Math.min(60_000, 2_000 * 2 ** failures))
      assert.ok(backoffMs(1_000, 60_000, failures + 1, random) >= ms)
    })
  ))

test("filters of several packets: in order, each within the size, and those that fit in none are told", () =>
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 40 }), { maxLength: 250 }), fc.nat(300), (filters, packetSizeMax) => {
      const { packets, tooLarge } = batches(filters, packetSizeMax, String)
      assert.deepEqual(
        packets.flat(),
        filters.filter((filter) => !tooLarge.includes(filter))
      )
      for (const some of packets) {
        const out = new OutBuffer()
        const wishes = some.map((filter) => ({ filter, qos: 2, retainHandling: 1 }))
        writeSubscribe(out, 5, 65_535, wishes)
        assert.ok(some.length > 0 && some.length <= 100 && out.length <= packetSizeMax)
      }
    })
  ))

const valid = { name: "b", remote: "far.example:1883", out: [{ filter: "a/#" }] }

test("options that are right", () => {
  for (const more of [
    {},
    { protocol: "3.1.1", username: "u", password: "p" },
    { password: "p" },
    { username: "ä".repeat(32_767), password: "p".repeat(65_535) },
    { in: [{ filter: "$SYS/#", local_prefix: "far/" }] },
    { tls: true, ca: "ca.pem", certificate: "c.pem", private_key: "k.pem", server_name: "other.example" },
    { out: [], in: [{ filter: "#", qos: 2, local_prefix: "far/", remote_prefix: "plant/" }] }
  ]) {
    assert.equal(v.safeParse(options, { bridge: [{ ...valid, ...more }] }).success, true, JSON.stringify(more))
  }
})

test("options that are wrong are refused", () => {
  for (const more of [
    { name: "" },
    { name: "a b" },
    { remote: "far.example" },
    { remote: "far.example:0" },
    { protocol: "3.1" },
    { protocol: "3.1.1", password: "p" },
    { password: "p", password_file: "f" },
    { ca: "ca.pem" },
    { tls: true, certificate: "c.pem" },
    { backoff_min_ms: 5_000, backoff_max_ms: 1_000 },
    { inflight_max: 0 },
    { inflight_max: 65_536 },
    { out: [] },
    { out: [{ filter: "a/#/b" }] },
    { out: [{ filter: "$share/g/a" }] },
    { out: [{ filter: "a", qos: 3 }] },
    { out: [{ filter: "#", local_prefix: "a" }] },
    { out: [{ filter: "a", remote_prefix: "+/" }] },
    { in: [{ filter: "a", local_prefix: "$delayed/1/" }] },
    // A second one would never count; prefixes make them the same, or something special.
    {
      out: [
        { filter: "d", remote_prefix: "one/" },
        { filter: "d", remote_prefix: "two/" }
      ]
    },
    { in: [{ filter: "b/c", remote_prefix: "a/" }, { filter: "a/b/c" }] },
    { in: [{ filter: "re/g/x", remote_prefix: "$sha", local_prefix: "a/" }] },
    { out: [{ filter: "re/g/x", local_prefix: "$sha" }] },
    // Names that this broker would not take.
    { in: [{ filter: "a/#", local_prefix: "$SYS/" }] },
    { in: [{ filter: "$SYS/#" }] },
    { username: "ä".repeat(32_768) },
    { password: "ä".repeat(32_768) },
    { unknown: 1 }
  ]) {
    assert.equal(v.safeParse(options, { bridge: [{ ...valid, ...more }] }).success, false, JSON.stringify(more))
  }
  assert.equal(v.safeParse(options, { bridge: [valid, valid] }).success, false)
})
