import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Principal } from "../access/Access.ts"
import { Simulation } from "../platform/simulated.ts"
import { matches } from "../router/topic-filter.ts"
import { joinIngress, messageOf, NotingSubscriber, payloadOf, subscribe } from "./fakes.ts"
import { type Removal, type Removals, RetainedRemovals } from "./RetainedRemovals.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }
/** More than may be on their way between two shards at once. */
const NAMES = Array.from({ length: 400 }, (_, index) => `plant/${index}`)

/** Two shards with their removals. */
function make() {
  const simulation = new Simulation(1)
  const { shards } = joinIngress(simulation, { defaults: { autoCreateMqtt: "off" } })
  const [here, there] = shards
  assert.ok(here !== undefined && there !== undefined)
  const removals = shards.map((shard) => {
    const ownerOf = (tenant: number, name: string): number => shard.resolutions.ownerOf(tenant, name)
    return new RetainedRemovals({ ...shard, ownerOf, clock: simulation.clock })
  })
  const [first] = removals
  assert.ok(first !== undefined)
  const retain = (name: string, payload: string): void => {
    here.ingress.publishUnsafe(messageOf(name, payload, { retain: true, qos: 1 }), PRINCIPAL)
  }
  const bind = (name: string, filter: string): void => {
    Effect.runFork(Effect.ignore(here.topics.create(0, { name, filter, partitions: 2 })))
  }
  const found = (): ReadonlyArray<string> =>
    shards
      .flatMap(({ retained }) => {
        const seen: Array<string> = []
        retained.match(0, "#", 0, (message) => seen.push(`${message.name}=${payloadOf(message)}`))
        retained.match(0, "$d/#", 0, (message) => seen.push(`${message.name}=${payloadOf(message)}`))
        return seen
      })
      .toSorted()
  /** What came of a removal, once everything has come to rest. */
  const remove = async (name: string, from = first): Promise<Removal> => {
    const heard: Array<Removal> = []
    from.remove(0, name, (removal) => heard.push(removal))
    await simulation.runAsync()
    assert.equal(heard.length, 1)
    return heard[0] ?? "none"
  }
  /** Begins on both shards; the answers as they come. */
  const removeMatching = (filter: string): Array<Removals> => {
    const heard: Array<Removals> = []
    for (const each of removals) each.removeMatching(0, filter, (outcome) => heard.push(outcome))
    return heard
  }
  return { simulation, shards, here, there, removals, first, retain, bind, found, remove, removeMatching }
}

const sum = (all: ReadonlyArray<Removals>): number => all.reduce((count, { removed }) => count + removed, 0)

test("a name is removed by its owner, whoever is asked, for good, and no subscriber hears of it", async () => {
  const { simulation, shards, removals, retain, found, remove } = make()
  const subscribers = shards.map((shard) => {
    const subscriber = new NotingSubscriber()
    subscribe(shard, subscriber, "#")
    return subscriber
  })
  await simulation.runAsync()
  for (const name of ["a", "b", "c", "d", "e"]) retain(name, "1")
  await simulation.runAsync()
  for (const [index, name] of ["a", "b", "c", "d"].entries()) {
    assert.equal(await remove(name, removals[index % 2]), "removed")
    assert.equal(await remove(name, removals[index % 2]), "none")
  }
  assert.deepEqual(found(), ["e=1"])
  assert.equal(
    shards.reduce((count, { store }) => count + [...store.values.keys()].filter((key) => key.endsWith("65")).length, 0),
    1
  )
  for (const { seen } of subscribers) assert.equal(seen.length, 5)
  retain("a", "2")
  await simulation.runAsync()
  assert.deepEqual(found(), ["a=2", "e=1"])
})

test("what was set and is not committed is removed as well; what comes behind the removal stays", async () => {
  const { simulation, here, removals, found } = make()
  const [first] = removals
  const name = NAMES.find((each) => here.resolutions.ownerOf(0, each) === 0) ?? assert.fail("a name of each shard")
  const heard: Array<Removal> = []
  here.retained.setUnsafe(messageOf(name, "1"))
  first?.remove(0, name, (removal) => heard.push(removal))
  assert.deepEqual([heard, found()], [[], []])
  here.retained.setUnsafe(messageOf(name, "2"))
  await simulation.runAsync()
  assert.deepEqual([heard, found()], [["removed"], [`${name}=2`]])
})

test("where the journal takes nothing, or loses it, the message stays, and that is said", async () => {
  const { simulation, shards, here, retain, found, remove, removeMatching } = make()
  for (const name of NAMES) retain(name, "1")
  await simulation.runAsync()
  for (const { journal } of shards) Object.defineProperty(journal, "refusal", { value: -3, configurable: true })
  for (const name of NAMES.slice(0, 4)) assert.equal(await remove(name), "refused")
  const refused = removeMatching("#")
  await simulation.runAsync()
  assert.deepEqual(
    refused.map(({ isRefused, removed }) => [isRefused, removed]),
    [
      [true, 0],
      [true, 0]
    ]
  )
  assert.equal(found().length, NAMES.length)
  for (const { journal } of shards) Object.defineProperty(journal, "refusal", { value: 0 })
  const name = NAMES.find((each) => here.resolutions.ownerOf(0, each) === 0) ?? ""
  here.journal.hold((commit) => {
    const { committed, issued } = here.journal.tickets
    here.journal.tickets.fail(committed + 1, issued, -3)
    here.store.apply = () => {}
    commit()
  })
  assert.equal(await remove(name), "refused")
  assert.equal(found().length, NAMES.length)
})

test("all that match are removed, and counted once; wildcards that begin a filter do not match $", async () => {
  for (const filter of ["#", "+/+", "plant/+", "plant/7", "$d/#", "+", "other/#"]) {
    const { simulation, retain, found, removeMatching } = make()
    const names = [...NAMES, "$d/1", "$d", "plant", "a/b/c"]
    for (const name of names) retain(name, "1")
    await simulation.runAsync()
    const heard = removeMatching(filter)
    await simulation.runAsync()
    const left = names.filter((name) => !matches(filter, name))
    assert.deepEqual(found(), left.map((name) => `${name}=1`).toSorted(), filter)
    assert.equal(heard.length, 2)
    assert.equal(sum(heard), names.length - left.length, filter)
  }
})

test("while names move what is removed stays so, wherever it was, and is counted", async () => {
  for (let steps = 0; steps < 60; steps += 2) {
    const { simulation, shards, retain, bind, found, removeMatching } = make()
    for (const name of NAMES) retain(name, "1")
    retain("stays", "1")
    await simulation.runAsync()
    const now = simulation.clock.monotonicMs()
    if (steps % 4 === 0) for (const { journal } of shards) journal.hold((commit) => simulation.clock.after(3, commit))
    bind("plants", "plant/#")
    for (let step = 0; step < steps; step++) await simulation.stepAsync(now + 4)
    const heard = removeMatching("plant/#")
    await simulation.runAsync()
    assert.equal(heard.length, 2)
    assert.deepEqual([found(), sum(heard)], [["stays=1"], NAMES.length], `after ${steps} steps`)
  }
})

test("a shard that others have names for is done when it has got and removed those", async () => {
  const { simulation, here, there, first, bind, found, retain } = make()
  for (const name of NAMES) retain(name, "1")
  await simulation.runAsync()
  const set = here.retained.setIfNewer.bind(here.retained)
  here.retained.setIfNewer = (_message, done) => done(false)
  bind("plants", "plant/#")
  const now = simulation.clock.monotonicMs()
  await simulation.runAsync(now + 50)
  const heard: Array<Removals> = []
  first.removeMatching(0, "plant/#", (removals) => heard.push(removals))
  await simulation.runAsync(now + 200)
  assert.deepEqual([heard, here.retained.count], [[], 0])
  const due = there.retained.count
  here.retained.setIfNewer = set
  await simulation.runAsync()
  const own = NAMES.filter((name) => here.resolutions.ownerOf(0, name) === 0)
  assert.deepEqual([found().length, here.retained.count, heard.length], [NAMES.length - own.length, 0, 1])
  assert.ok(due > there.retained.count)
})

test("few are under way at once, others have their turns meanwhile, and it can be stopped", async () => {
  const { simulation, here, first } = make()
  const names = Array.from({ length: 5_000 }, (_, index) => `n/${index}`)
  for (const name of names.filter((each) => here.resolutions.ownerOf(0, each) === 0)) {
    here.retained.setUnsafe(messageOf(name, "1"))
  }
  await simulation.runAsync()
  const before = here.retained.count
  let commitAll = (): void => {}
  here.journal.hold((commit) => {
    commitAll = commit
  })
  let outcome: Removals | undefined
  const stop = first.removeMatching(0, "#", (removals) => {
    outcome = removals
  })
  await simulation.runAsync()
  const underWay = before - here.retained.count
  assert.ok(underWay >= 1_000 && underWay < 1_100, `${underWay} under way`)
  commitAll()
  await simulation.runAsync()
  assert.ok(before - here.retained.count > underWay)
  stop()
  const stopped = here.retained.count
  commitAll()
  await simulation.runAsync()
  assert.deepEqual([here.retained.count, outcome], [stopped, undefined])
  here.journal.hold((commit) => commit())
  first.removeMatching(0, "#", (removals) => {
    outcome = removals
  })
  await simulation.runAsync()
  assert.deepEqual([here.retained.count, outcome], [0, { removed: stopped, isRefused: false }])
})

test("nothing is removed any more by a shard that closes", async () => {
  const { simulation, removals, retain, found, remove, removeMatching } = make()
  retain("a", "1")
  await simulation.runAsync()
  for (const each of removals) each.close()
  assert.equal(await remove("a"), "refused")
  const heard = removeMatching("#")
  await simulation.runAsync()
  assert.deepEqual([heard.map(({ isRefused }) => isRefused), found()], [[true, true], ["a=1"]])
})
