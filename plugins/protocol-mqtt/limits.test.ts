import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import type { Connection } from "./Connection.ts"
import { ConnectLimits } from "./ConnectLimits.ts"
import { Listener } from "./Listener.ts"
import { PublishRate } from "./PublishRate.ts"
import { options } from "./Settings.ts"
import { TokenBucket } from "./TokenBucket.ts"

const NONE = {
  connections_max: 1_000,
  connections_per_address_max: 0,
  connections_per_user_max: 0,
  connect_rate_max: 0
}
const connections = Array.from({ length: 8 }, () => ({}) as Connection)
const [a, b, c] = connections as [Connection, Connection, Connection]

test("a bucket: whatever is asked for and when, the rate holds over any time, and all is let through in the end", () => {
  const asks = fc.array(fc.record({ count: fc.integer({ min: 1, max: 50 }), afterMs: fc.nat(400) }), { maxLength: 60 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), asks, (rate, steps) => {
      const bucket = new TokenBucket(rate)
      let nowMs = 1
      let spent = 0
      for (const { count, afterMs } of steps) {
        nowMs += afterMs
        for (let wait = bucket.take(count, nowMs); wait > 0; wait = bucket.take(count, nowMs)) nowMs += wait
        // What was begun last may go beyond the bound.
        assert.ok(spent <= rate + (rate * (nowMs - 1)) / 1_000 + 1e-6, `${spent} after ${nowMs} ms`)
        spent += count
      }
    })
  )
})

test("a bucket: what must be spent is, and paid for by waiting", () => {
  const bucket = new TokenBucket(10)
  assert.equal(bucket.spend(5, 1_000), 0)
  assert.equal(bucket.spend(15, 1_000), 1_000)
  assert.equal(bucket.waitMs(1_500), 500)
  assert.ok(bucket.waitMs(2_000) <= 1)
  assert.equal(bucket.waitMs(2_101), 0)
})

test("connections are counted by address and user, and taken back once", () => {
  const limits = new ConnectLimits({ ...NONE, connections_per_address_max: 2, connections_per_user_max: 1 })
  const admit = (connection: Connection, address: string, user: string, isReplacing = false): number =>
    limits.admit(connection, address, user, 0, isReplacing, 1)
  assert.equal(admit(a, "10.0.0.1", "anna"), 0)
  assert.equal(admit(b, "10.0.0.2", "anna"), 0x97)
  assert.equal(admit(b, "10.0.0.1", ""), 0)
  assert.equal(admit(c, "10.0.0.1", ""), 0x97)
  // It takes the place of one that is there.
  assert.equal(admit(c, "10.0.0.1", "anna", true), 0)
  assert.deepEqual(limits.refused, { total: 0, address: 1, user: 1, rate: 0 })
  for (const connection of [a, a, b, c, c]) limits.leave(connection)
  assert.equal(limits.countedCount, 0)
  assert.equal(admit(a, "10.0.0.1", "anna"), 0)
})

test("the total and the rate", () => {
  const total = new ConnectLimits({ ...NONE, connections_max: 2 })
  assert.equal(total.admit(a, "x", "", 1, false, 1), 0)
  assert.equal(total.admit(b, "x", "", 2, false, 1), 0x97)
  assert.equal(total.admit(b, "x", "", 2, true, 1), 0)
  assert.equal(total.countedCount, 0)
  const rate = new ConnectLimits({ ...NONE, connect_rate_max: 2 })
  const codes = [1, 1, 1, 600].map((nowMs) => rate.admit(a, "x", "", 0, false, nowMs))
  assert.deepEqual(codes, [0, 0, 0x9f, 0])
  assert.equal(rate.refused.rate, 1)
})

test("a listener: its own number and rate, over which no other listener has a say", () => {
  const settings = v.parse(options, { publish_rate_max: 7, packet_size_max: 4_096 })
  const table = { transport: "tcp", address: "127.0.0.1:1", packet_size_max: 2_048, certificate: undefined } as const
  const few = Listener.own(settings, { ...table, connections_max: 2 }, 4)
  const other = Listener.own(settings, table, 5)
  const common = Listener.common(settings)
  assert.equal(new Set([few, other, common].map(({ service }) => service)).size, 3)
  const { publish_rate_max, packet_size_max, certificate } = few.settings
  assert.deepEqual([publish_rate_max, packet_size_max, certificate], [7, 2_048, ""])
  assert.equal(common.settings.packet_size_max, 4_096)
  assert.deepEqual([few.admit(a, undefined, 1), few.admit(b, undefined, 1)], [0, 0])
  assert.equal(few.admit(c, undefined, 1), 0x97)
  // A client that came through another listener before is one more here.
  assert.equal(few.admit(c, other as never, 1), 0x97)
  assert.equal(few.admit(c, a, 1), 0)
  for (const connection of [a, a, c]) few.leave(connection)
  assert.deepEqual([few.countedCount, few.refused], [1, 2])
  for (const connection of connections) assert.equal(other.admit(connection, undefined, 1), 0)
  assert.equal(other.countedCount, 0)
  const slow = Listener.own(settings, { ...table, connect_rate_max: 1 }, 6)
  assert.deepEqual([slow.admit(a, undefined, 1), slow.admit(b, undefined, 1)], [0, 0x9f])
})

test("publishing: messages and bytes, and no limit where none is set", () => {
  assert.equal(PublishRate.of({ publish_rate_max: 0, publish_bytes_rate_max: 0 }), undefined)
  const messages =
    PublishRate.of({ publish_rate_max: 10, publish_bytes_rate_max: 0 }) ?? assert.fail("there is a limit")
  for (let number = 0; number < 9; number++) assert.equal(messages.spend(1_000_000, 5), 0)
  assert.ok(messages.spend(1, 5) > 0)
  const bytes =
    PublishRate.of({ publish_rate_max: 0, publish_bytes_rate_max: 1_000 }) ?? assert.fail("there is a limit")
  assert.equal(bytes.spend(900, 5), 0)
  assert.equal(bytes.spend(1_100, 5), 1_000)
  assert.deepEqual([bytes.isHeld(1_004), bytes.isHeld(1_005)], [true, false])
})
