import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Principal } from "../access/Access.ts"
import { Simulation } from "../platform/simulated.ts"
import { type IngressShard, joinIngress, messageOf, payloadOf } from "./fakes.ts"
import { UNSETTLED_MS } from "./RetainedMoves.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }
/** More than may be on their way at once. */
const NAMES = Array.from({ length: 150 }, (_, index) => `plant/${index}`)
/** In the key of a retained message. */
const PLANT = new TextEncoder().encode("plant/").toHex()

/** Two shards that hold retained messages on names which nothing binds yet. */
function make() {
  const simulation = new Simulation(1)
  const parts = joinIngress(simulation, { defaults: { autoCreateMqtt: "off" } })
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined)
  const retain = (name: string, payload: string, shard = here): void => {
    shard.ingress.publishUnsafe(messageOf(name, payload, { retain: true, qos: 1 }), PRINCIPAL)
  }
  const bind = (name: string, filter: string): void => {
    Effect.runFork(Effect.ignore(here.topics.create(0, { name, filter, partitions: 2 })))
  }
  const unbind = (name: string): void => {
    Effect.runFork(Effect.ignore(here.topics.delete(0, name)))
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
  return { simulation, ...parts, here, there, retain, bind, unbind, keys, found, expected }
}

test("after a binding each retained message goes to its new owner, and is on disk somewhere all the while", async () => {
  const { simulation, here, there, retain, bind, unbind, keys, found, expected } = make()
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
  unbind("plants")
  await simulation.runAsync()
  assert.deepEqual(found(), expected())
  assert.deepEqual(keys(here).toSorted(), before.toSorted())
})

test("a binding that goes while messages move takes them back, those too whose commit is under way", async () => {
  for (let steps = 0; steps < 60; steps++) {
    const { simulation, shards, retain, bind, unbind, found, expected } = make()
    for (const name of NAMES) retain(name, `of ${name}`)
    await simulation.runAsync()
    const now = simulation.clock.monotonicMs()
    // Odd runs have journals that take their time.
    if (steps % 2 === 1) for (const { journal } of shards) journal.hold((commit) => simulation.clock.after(3, commit))
    bind("plants", "plant/#")
    for (let step = 0; step < steps; step++) await simulation.stepAsync(now + 4)
    unbind("plants")
    if (steps % 3 === 0) {
      await simulation.runAsync(now + 5)
      bind("again", "plant/+")
    }
    await simulation.runAsync()
    assert.deepEqual(found(), expected(), `after ${steps} steps`)
  }
})

test("what is cleared while it has yet to move stays cleared, whoever clears it; notes of that go after a while", async () => {
  for (const by of [0, 1]) {
    const { simulation, shards, retain, bind, found, keys } = make()
    for (const name of NAMES) retain(name, `of ${name}`)
    await simulation.runAsync()
    const shard = shards[by] ?? assert.fail("two shards")
    let isFirst = true
    shard.topics.onChange(() => {
      if (isFirst) for (const name of NAMES) retain(name, "", shard)
      isFirst = false
    })
    bind("plants", "plant/#")
    const now = simulation.clock.monotonicMs()
    for (let ms = 0; ms < 2 * UNSETTLED_MS; ms += 1_000) {
      await simulation.runAsync(now + ms)
      for (const { ingress } of shards) ingress.housekeep()
      if (ms !== 5_000) continue
      assert.deepEqual(found(), [])
      assert.ok(shards.flatMap(keys).length > 0, "what the other shard may have is older")
    }
    await simulation.runAsync()
    assert.deepEqual([found(), shards.flatMap(keys)], [[], []])
    retain("plant/1", "")
    await simulation.runAsync()
    assert.deepEqual(shards.flatMap(keys), [])
  }
})

test("a newer message is not lost to an older one that never moved, when its names come back", async () => {
  const { simulation, shards, retain, bind, unbind, found, expected } = make()
  for (const name of NAMES) retain(name, "1")
  await simulation.runAsync()
  const restore = shards.map(({ retained }) => {
    const set = retained.setIfNewer.bind(retained)
    retained.setIfNewer = (_message, done) => done(false)
    return (): void => void (retained.setIfNewer = set)
  })
  bind("plants", "plant/#")
  await simulation.runAsync(simulation.clock.monotonicMs() + 100)
  for (const name of NAMES) retain(name, "2")
  await simulation.runAsync(simulation.clock.monotonicMs() + 50)
  for (const each of restore) each()
  unbind("plants")
  await simulation.runAsync()
  assert.deepEqual(
    found(),
    expected(() => "2")
  )
})

test("clearings are noted as long as anything is left to move", async () => {
  const { simulation, shards, retain, bind, found } = make()
  for (const name of NAMES) retain(name, "1")
  await simulation.runAsync()
  const restore = shards.map(({ retained }) => {
    const set = retained.setIfNewer.bind(retained)
    retained.setIfNewer = (_message, done) => done(false)
    return (): void => void (retained.setIfNewer = set)
  })
  bind("plants", "plant/#")
  const start = simulation.clock.monotonicMs()
  const pass = async (ms: number): Promise<void> => {
    for (let at = simulation.clock.monotonicMs() + 1_000; at <= start + ms; at += 1_000) {
      await simulation.runAsync(at)
      for (const { ingress } of shards) ingress.housekeep()
    }
  }
  await pass(3 * UNSETTLED_MS)
  for (const name of NAMES) retain(name, "")
  await pass(4 * UNSETTLED_MS)
  for (const each of restore) each()
  await pass(7 * UNSETTLED_MS)
  assert.deepEqual(found(), [])
  assert.ok(shards.every(({ retained }) => retained.clearedCount === 0 && !retained.notesCleared))
})

test("names that begin with a dollar sign move, too", async () => {
  const { simulation, shards, retain, bind } = make()
  const names = Array.from({ length: 20 }, (_, index) => `$x/${index}`)
  for (const name of names) retain(name, "1")
  await simulation.runAsync()
  bind("dollars", "$x/#")
  await simulation.runAsync()
  for (const [index, { retained, resolutions }] of shards.entries()) {
    retained.match(0, "$x/#", 0, ({ name }) => assert.equal(resolutions.ownerOf(0, name), index))
  }
})

test("a subscriber that comes while names move gets each, and the newest last", async () => {
  const sorts = new Set<string>()
  for (let steps = 0; steps < 60; steps += 3) {
    const { simulation, shards, retain, bind } = make()
    for (const name of NAMES) retain(name, "old")
    await simulation.runAsync()
    const there = shards[1] ?? assert.fail("two shards")
    const seen = new Map<string, string>()
    let isNewThere = false
    const subscribe = (): void => {
      // What is published while names are bound waits for that, and then comes live.
      there.retained.match(0, "#", 0, (message) => {
        isNewThere ||= payloadOf(message) === "new"
      })
      there.ingress.replayRetained(0, "#", (message) => void seen.set(message.name, payloadOf(message)))
    }
    there.topics.onChange(() => {
      for (const name of NAMES) if (there.resolutions.ownerOf(0, name) === 1) retain(name, "new", there)
      if (steps === 0) subscribe()
    })
    bind("plants", "plant/#")
    for (let step = 0; step < steps; step++) await simulation.stepAsync()
    if (steps > 0) subscribe()
    await simulation.runAsync()
    const expected = NAMES.map((name) => [name, there.resolutions.ownerOf(0, name) === 1 ? "new" : "old"])
    sorts.add(isNewThere ? "late" : "early")
    // Who comes before gets what there was then, of names that move meanwhile too.
    if (isNewThere) assert.deepEqual([...seen].toSorted(), expected.toSorted(), `after ${steps} steps`)
    else assert.equal(seen.size, NAMES.length, `after ${steps} steps`)
  }
  assert.equal(sorts.size, 2)
})

test("while another shard takes nothing its asks stay few, however often bindings change", async () => {
  const { simulation, shards, retain, bind, found, expected } = make()
  for (const name of NAMES) retain(name, `of ${name}`)
  await simulation.runAsync()
  let asks = 0
  const restore = shards.map(({ retained }) => {
    const set = retained.setIfNewer.bind(retained)
    retained.setIfNewer = (_message, done) => {
      asks += 1
      done(false)
    }
    return (): void => void (retained.setIfNewer = set)
  })
  const start = simulation.clock.monotonicMs()
  for (let binding = 0; binding < 10; binding++) {
    bind(`topic-${binding}`, binding === 0 ? "plant/#" : `other/${binding}/#`)
    await simulation.runAsync(start + 1_000 * (binding + 1))
  }
  await simulation.runAsync(start + 60_000)
  // At most once for each binding, and then every eight seconds.
  assert.ok(asks <= NAMES.length * (10 + 12), String(asks))
  for (const each of restore) each()
  await simulation.runAsync()
  assert.deepEqual(found(), expected())
})

test("nothing is begun once the shard is closed", async () => {
  const { simulation, shards, retain, bind } = make()
  for (const name of NAMES) retain(name, "1")
  await simulation.runAsync()
  for (const { retained } of shards) retained.setIfNewer = (_message, done) => done(false)
  bind("plants", "plant/#")
  await simulation.runAsync(simulation.clock.monotonicMs() + 100)
  for (const { ingress, retained } of shards) {
    ingress.close()
    retained.find = () => assert.fail("the store is closed")
  }
  await simulation.runAsync()
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
        if (name.endsWith("3") && found !== undefined) other.retained.forget(0, name, found.entry, () => {})
      }
    }
  }
  await simulation.runAsync()
  assert.ok(keys(here).length + keys(there).length > NAMES.length)
  const set = there.retained.setIfNewer.bind(there.retained)
  let refused = 0
  there.retained.setIfNewer = (message, done) => {
    refused += 1
    if (refused > 5) set(message, done)
    else done(false)
  }
  for (const { ingress } of shards) ingress.resume()
  await simulation.runAsync()
  assert.deepEqual(found(), expected())
  assert.equal(keys(here).length + keys(there).length, NAMES.length)
  assert.ok(refused > 5)
})
