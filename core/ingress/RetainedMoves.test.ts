import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Principal } from "../access/Access.ts"
import { Simulation } from "../platform/simulated.ts"
import { type IngressShard, joinIngress, messageOf, payloadOf } from "./fakes.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }
const NAMES = Array.from({ length: 40 }, (_, index) => `plant/${index}`)
/** In the key of a retained message. */
const PLANT = new TextEncoder().encode("plant/").toHex()

/** Two shards that hold retained messages on names which nothing binds yet. */
function make() {
  const simulation = new Simulation(1)
  const parts = joinIngress(simulation, { defaults: { autoCreateMqtt: "off" } })
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined)
  const retain = (name: string, payload: string): void => {
    here.ingress.publishUnsafe(messageOf(name, payload, { retain: true, qos: 1 }), PRINCIPAL)
  }
  const bind = (name: string, filter: string): void => {
    Effect.runFork(Effect.ignore(here.topics.create(0, { name, filter, partitions: 2 })))
  }
  /** Keys of retained messages, for good, on a shard. */
  const keys = ({ store }: IngressShard): ReadonlyArray<string> =>
    [...store.values.keys()].filter((key) => key.includes(PLANT))
  const found = (): ReadonlyArray<string> =>
    parts.shards
      .flatMap(({ retained }, shard) => {
        const seen: Array<string> = []
        retained.match(0, "#", 0, (message) => seen.push(`${shard} ${message.name}=${payloadOf(message)}`))
        return seen
      })
      .toSorted()
  const expected = (payloadFor = (name: string): string => `of ${name}`): ReadonlyArray<string> =>
    NAMES.map((name) => `${here.resolutions.ownerOf(0, name)} ${name}=${payloadFor(name)}`).toSorted()
  return { simulation, ...parts, here, there, retain, bind, keys, found, expected }
}

test("after a binding each retained message goes to its new owner, and is on disk somewhere all the while", async () => {
  const { simulation, here, there, retain, bind, keys, found, expected } = make()
  for (const name of NAMES) retain(name, `of ${name}`)
  await simulation.runAsync()
  const before = keys(here)
  assert.deepEqual(found(), expected())
  bind("plants", "plant/#")
  do {
    assert.equal(new Set([...keys(here), ...keys(there)]).size, NAMES.length)
  } while (await simulation.stepAsync())
  assert.deepEqual(found(), expected())
  assert.notDeepEqual(keys(here).toSorted(), before.toSorted())
  assert.equal(keys(here).length + keys(there).length, NAMES.length)
  Effect.runFork(Effect.ignore(here.topics.delete(0, "plants")))
  await simulation.runAsync()
  assert.deepEqual(found(), expected())
  assert.deepEqual(keys(here).toSorted(), before.toSorted())
})

test("a binding that goes while messages move takes them back, those under way too", async () => {
  for (let steps = 0; steps < 40; steps++) {
    const { simulation, here, retain, bind, found, expected } = make()
    for (const name of NAMES) retain(name, `of ${name}`)
    await simulation.runAsync()
    bind("plants", "plant/#")
    for (let step = 0; step < steps; step++) await simulation.stepAsync()
    Effect.runFork(Effect.ignore(here.topics.delete(0, "plants")))
    await simulation.runAsync()
    assert.deepEqual(found(), expected(), `after ${steps} steps`)
  }
})

test("what the new owner has of a name is not replaced by what moves", async () => {
  const { simulation, shards, retain, bind, found, expected } = make()
  for (const name of NAMES) retain(name, `of ${name}`)
  await simulation.runAsync()
  // Straight into the new owner's: as where a publisher was faster.
  bind("plants", "plant/#")
  for (const { topics, resolutions, retained } of shards) {
    topics.onChange(() => {
      for (const name of NAMES) {
        const isHome = resolutions.homeOf(0, name).home !== undefined
        const owner = shards[resolutions.ownerOf(0, name)]
        if (isHome && owner?.retained === retained) retained.setUnsafe(messageOf(name, "newer", { retain: true }))
      }
    })
  }
  await simulation.runAsync()
  assert.deepEqual(
    found(),
    expected(() => "newer")
  )
})

test("a move that was cut off is taken up at the next start; one that the other shard refuses is tried again", async () => {
  const { simulation, shards, here, there, retain, bind, found, expected, keys } = make()
  bind("plants", "plant/#")
  await simulation.runAsync()
  for (const name of NAMES) retain(name, `of ${name}`)
  await simulation.runAsync()
  // As a crash leaves them: messages of the one owner are still, or again, the other's as well.
  for (const [shard, other] of [
    [here, there],
    [there, here]
  ] as const) {
    for (const name of NAMES) {
      if (shard.resolutions.ownerOf(0, name) !== shards.indexOf(shard)) {
        shard.retained.setUnsafe(messageOf(name, `of ${name}`, { retain: true }))
        const found = other.retained.find(0, name)
        if (name.endsWith("3") && found !== undefined) other.retained.forget(0, name, found.entry)
      }
    }
  }
  await simulation.runAsync()
  assert.ok(keys(here).length + keys(there).length > NAMES.length)
  const add = there.retained.addThen.bind(there.retained)
  let refused = 0
  there.retained.addThen = (message, done) => {
    refused += 1
    if (refused > 5) add(message, done)
    else done(false)
  }
  for (const { ingress } of shards) ingress.resume()
  await simulation.runAsync()
  assert.deepEqual(found(), expected())
  assert.equal(keys(here).length + keys(there).length, NAMES.length)
  assert.ok(refused > 5)
})
