import assert from "node:assert/strict"
import { test } from "node:test"
import { Flapping, WATCHED_MAX } from "./Flapping.ts"

function make(connectionsMax = 3, windowMs = 1_000) {
  const banned: Array<string> = []
  return {
    banned,
    flapping: new Flapping(
      { windowMs, connectionsMax },
      (client) => `key of ${client}`,
      (client) => banned.push(client)
    )
  }
}

test("as many connections as are allowed in a window are none too many; one more is, and bans once", () => {
  const { banned, flapping } = make()
  for (const atMs of [0, 10, 999]) assert.ok(!flapping.isOneTooMany("a", atMs))
  assert.ok(!flapping.isOneTooMany("b", 999))
  assert.ok(flapping.isOneTooMany("a", 999))
  // Until the blacklist has it, it is refused here.
  for (const atMs of [1_000, 3_000, 5_998]) assert.ok(flapping.isOneTooMany("a", atMs))
  assert.deepEqual([banned, flapping.found], [["a"], 1])
  assert.ok(!flapping.isOneTooMany("a", 6_000))
})

test("a window begins with its first connection", () => {
  const { banned, flapping } = make()
  for (let atMs = 0; atMs < 60_000; atMs += 334) flapping.isOneTooMany("a", atMs)
  assert.deepEqual(banned, [])
  for (let atMs = 60_000; atMs < 61_000; atMs += 200) flapping.isOneTooMany("a", atMs)
  assert.deepEqual(banned, ["a"])
})

test("what the blacklist has is its affair: taken off there, the client begins anew", () => {
  const { flapping } = make()
  for (let count = 0; count < 4; count++) flapping.isOneTooMany("a", 0)
  flapping.settled("key of a")
  for (let count = 0; count < 3; count++) assert.ok(!flapping.isOneTooMany("a", 10))
  assert.ok(flapping.isOneTooMany("a", 10))
})

test("clients are forgotten with their windows, and no more are counted than is allowed", () => {
  const { flapping } = make()
  for (let each = 0; each < 1_000; each++) flapping.isOneTooMany(`c${each}`, each)
  for (let each = 0; each < 600; each++) flapping.isOneTooMany("later", 10_000)
  assert.ok(flapping.watchedCount <= 1, `${flapping.watchedCount}`)
  for (let each = 0; each < 1_000; each++) flapping.isOneTooMany(`e${each}`, 12_000)
  flapping.sweep(12_999)
  assert.equal(flapping.watchedCount, 1_000)
  flapping.sweep(13_000)
  assert.equal(flapping.watchedCount, 0)
  for (let each = 0; each < WATCHED_MAX + 1_000; each++) flapping.isOneTooMany(`d${each}`, 20_000)
  assert.ok(flapping.watchedCount <= WATCHED_MAX + 2)
})
