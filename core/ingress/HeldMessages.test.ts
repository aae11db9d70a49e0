/** Messages whose topic the meta store has yet to agree on, or whose log is being opened: through the ingress of two shards. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import fc from "fast-check"
import type { Principal } from "../access/Access.ts"
import { storedIn } from "../log/fakes.ts"
import { partitionForKey } from "../log/murmur2.ts"
import { MetaStoreError } from "../meta/MetaStore.ts"
import { Simulation } from "../platform/simulated.ts"
import { SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { topicOfName } from "../topics/default-binding.ts"
import { type IngressShard, joinIngress, messageOf, NotingSubscriber, payloadOf, subscribe } from "./fakes.ts"
import { HELD_MESSAGES_MAX, HeldMessages } from "./HeldMessages.ts"
import { ACCEPTED, ACCEPTED_PENDING, HELD_UP, REFUSED_QUOTA } from "./Ingress.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }

/** Shards, a name whose topic the second coordinates (and another stores, where it has more partitions), and a meta store that takes its time. */
function make(partitions = 1, shards = 2) {
  const simulation = new Simulation(1)
  const defaults = {
    autoCreateMqtt: "default" as const,
    forName: () => ({ partitions, engine: "memory", mode: "memory" as const })
  }
  const parts = joinIngress(simulation, { defaults, shards })
  const ownerOf = (each: string, partition: number): number =>
    slotOf(0, SLOT_TOPIC, topicOfName(each) ?? "", partition) % shards
  const partitionOf = (each: string): number => {
    const key = new TextEncoder().encode(each)
    return partitionForKey(key, 0, key.length, partitions)
  }
  const isFitting = (each: string): boolean =>
    ownerOf(each, 0) === 1 && (partitions === 1 || ownerOf(each, partitionOf(each)) !== 1)
  const name = Array.from({ length: 99 }, (_, at) => `a/${at}`).find(isFitting) ?? ""
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined)
  parts.meta.delayMs = 50
  const outcomes: Array<string> = []
  const publish = (shard: IngressShard, payload: string, qos = 1): void => {
    const message = messageOf(name, payload, { publisher: "p", qos })
    const outcome = shard.ingress.publishUnsafe(message, PRINCIPAL)
    if (outcome !== ACCEPTED_PENDING) {
      outcomes.push(`${payload} ${outcome}`)
      return
    }
    const { pendingStream: stream, pendingTicket: ticket } = shard.ingress
    const waiter = {
      ticketsCommitted: (): void => {
        if (stream.committed < ticket) stream.wait(waiter)
        else outcomes.push(`${payload} ${stream.takeOutcome(ticket)}`)
      }
    }
    stream.wait(waiter)
  }
  const stored = (): ReadonlyArray<string> => {
    for (const { topics } of parts.shards) for (const log of topics.logs()) log.seal()
    return parts.shards.flatMap(({ engine }) => [...engine.partitions.values()].flatMap(storedIn))
  }
  return { simulation, ...parts, here, there, name, publish, outcomes, stored }
}

test("the first messages of a name are acknowledged when their topic is agreed on, in order, from either shard", async () => {
  const { simulation, here, there, name, publish, outcomes, stored, meta } = make()
  const subscriber = new NotingSubscriber()
  subscribe(there, subscriber, name)
  for (const payload of ["1", "2", "3"]) publish(there, payload)
  await simulation.runAsync(10)
  publish(here, "4", 0)
  publish(here, "5")
  await simulation.runAsync(30)
  assert.deepEqual([outcomes, stored(), subscriber.deliveries.length], [[], [], 0])
  await simulation.runAsync()
  assert.deepEqual(outcomes, ["1 0", "2 0", "3 0", "4 0", "5 0"])
  assert.deepEqual(
    stored(),
    ["1", "2", "3", "4", "5"].map((payload, offset) => `${offset} ${name}=${payload}`)
  )
  assert.deepEqual(
    subscriber.deliveries.map(({ message }) => payloadOf(message)),
    ["1", "2", "3", "4", "5"]
  )
  assert.equal([...meta.entries.keys()].filter((key) => key.startsWith("topics/")).length, 1)
  publish(there, "6")
  await simulation.runAsync()
  assert.equal(outcomes.at(-1), "6 0")
})

test("what comes in the very moment of the agreement stays behind what waited", async () => {
  const { simulation, there, here, publish, outcomes, stored, name, shards } = make()
  publish(there, "1")
  publish(there, "2")
  there.topics.onChange(() => publish(there, "late"))
  await simulation.runAsync()
  publish(here, "after")
  await simulation.runAsync()
  assert.equal(shards.length, 2)
  assert.deepEqual(
    stored().map((each) => each.slice(each.indexOf(" ") + 1)),
    ["1", "2", "late", "after"].map((payload) => `${name}=${payload}`)
  )
  assert.ok(outcomes.every((each) => each.endsWith(" 0")))
})

test("with more partitions the messages that waited go to the owner of theirs", async () => {
  const { simulation, here, there, publish, outcomes, stored } = make(7)
  for (let index = 0; index < 5; index++) publish(index % 2 === 0 ? here : there, String(index))
  await simulation.runAsync()
  assert.deepEqual([...outcomes].sort(), ["0 0", "1 0", "2 0", "3 0", "4 0"])
  assert.equal(stored().length, 5)
})

test("a publisher's messages are stored in their order, whenever each shard hears of the topic and whoever owns its partition", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 6, maxLength: 6 }),
      fc.integer({ min: 2, max: 7 }),
      async (delaysMs, partitions) => {
        const { simulation, here, shards, publish, stored, meta } = make(partitions, 3)
        meta.watchDelayMs = (watcher) => delaysMs[watcher] ?? 0
        const sent = shards.map(() => 0)
        const send = (number: number): void => {
          const index = sent[number] ?? 0
          sent[number] = index + 1
          publish(shards[number] ?? here, `${number}:${index}`)
        }
        for (const [number, { topics }] of shards.entries()) {
          // In the very moment in which the shard hears of the topic there is one just before it, and one just after.
          for (let ms = 0; ms < 70; ms++) simulation.clock.after(ms, () => send(number))
          topics.onChange(() => send(number))
        }
        await simulation.runAsync()
        const payloads = stored().map((each) => each.slice(each.indexOf("=") + 1))
        for (const number of shards.keys()) {
          assert.deepEqual(
            payloads.filter((payload) => payload.startsWith(`${number}:`)),
            Array.from({ length: sent[number] ?? 0 }, (_, index) => `${number}:${index}`)
          )
        }
      }
    ),
    { numRuns: 50 }
  )
})

test("where the topic cannot be agreed on its messages are refused, and the next one tries again", async () => {
  const { simulation, there, publish, outcomes, stored, meta, here, logged } = make()
  const transact = meta.transact.bind(meta)
  const failing = (() => Effect.fail(new MetaStoreError({ message: "the disk is full" }))) as unknown as typeof transact
  meta.transact = failing
  publish(there, "1")
  publish(here, "2")
  await simulation.runAsync()
  assert.deepEqual(outcomes, [`1 ${REFUSED_QUOTA}`, `2 ${REFUSED_QUOTA}`])
  assert.deepEqual(stored(), [])
  assert.ok(logged.length > 0 && logged.every((line) => line.endsWith("cannot be created: the disk is full")))
  meta.transact = transact
  publish(there, "3")
  await simulation.runAsync()
  assert.equal(outcomes.at(-1), "3 0")
})

test("a topic that is deleted while its log is being opened holds nobody's messages", async () => {
  for (const autoCreateMqtt of ["memory", "default", "off"] as const) {
    const simulation = new Simulation(1)
    const { shards } = joinIngress(simulation, { defaults: { autoCreateMqtt } })
    for (const { engine } of shards) {
      const open = engine.open.bind(engine)
      const opened = new Promise<void>((done) => void simulation.clock.after(100, done))
      engine.open = (...args) => Effect.promise(() => opened).pipe(Effect.andThen(open(...args)))
    }
    const [here] = shards
    assert.ok(here !== undefined)
    Effect.runFork(Effect.ignore(here.topics.create(0, { name: "a.b" })))
    await simulation.runAsync(10)
    const owner = shards[here.resolutions.ownerOf(0, "a/b")]
    assert.ok(owner !== undefined)
    const send = (payload: string): (() => boolean) => {
      const outcome = owner.ingress.publishUnsafe(messageOf("a/b", payload, { qos: 1 }), PRINCIPAL)
      const { pendingStream: stream, pendingTicket: ticket } = owner.ingress
      return () => outcome !== ACCEPTED_PENDING || ticket <= stream.committed
    }
    const first = send("1")
    assert.ok(!first())
    Effect.runFork(Effect.ignore(here.topics.delete(0, "a.b")))
    await simulation.runAsync(5_000)
    const second = send("2")
    await simulation.runAsync(60_000)
    assert.deepEqual([first(), second()], [true, true], autoCreateMqtt)
  }
})

test("the rate of new names refuses messages on either shard, without a line for each", async () => {
  const { simulation, here, there, publish, outcomes, logged, meta } = make()
  const rate = 50
  for (const shard of [here, there]) {
    const before = outcomes.length
    for (let index = 0; index < 200; index++) {
      const message = messageOf(`flood/${before + index}`, "x", { qos: 1 })
      assert.equal(shard.ingress.publishUnsafe(message, PRINCIPAL), ACCEPTED_PENDING)
      const { pendingStream: stream, pendingTicket: ticket } = shard.ingress
      stream.wait({ ticketsCommitted: () => void outcomes.push(String(stream.takeOutcome(ticket))) })
    }
    await simulation.runAsync()
    const refused = outcomes.slice(before).filter((outcome) => outcome === String(REFUSED_QUOTA))
    // Each of two coordinators creates so many at once, and earns a few more while time passes.
    assert.ok(refused.length >= 200 - 2 * rate - 20 && refused.length < 200, String(refused.length))
    simulation.stall(10_000)
  }
  assert.equal(outcomes.length, 400)
  const created = [...meta.entries.keys()].filter((key) => key.startsWith("topics/"))
  assert.equal(created.length, outcomes.filter((outcome) => outcome === "0").length)
  assert.deepEqual(logged, [])
  publish(here, "after")
  await simulation.runAsync()
  assert.equal(outcomes.at(-1), "after 0")
})

test("what waits is bounded", () => {
  const simulation = new Simulation(1)
  const { here } = { here: joinIngress(simulation).shards[0] }
  assert.ok(here !== undefined)
  const held = new HeldMessages({
    mustWait: () => true,
    sequence: () => ACCEPTED,
    pending: here.ingress,
    later: () => {},
    soon: () => {}
  })
  for (let index = 0; index < HELD_MESSAGES_MAX; index++) {
    assert.equal(held.hold(messageOf(`n${index % 9}`, "x"), `n${index % 9}`), ACCEPTED_PENDING)
  }
  assert.equal(held.hold(messageOf("n", "x"), "n"), REFUSED_QUOTA)
  held.refuse(0, "n0")
  assert.equal(held.hold(messageOf("n", "x"), "n"), ACCEPTED_PENDING)
  const large = new HeldMessages({
    mustWait: () => true,
    sequence: () => ACCEPTED,
    pending: here.ingress,
    later: () => {},
    soon: () => {}
  })
  const outcomes = Array.from({ length: 20 }, () => large.hold(messageOf("n", new Uint8Array(1_048_576)), "n"))
  assert.equal(outcomes.filter((outcome) => outcome === ACCEPTED_PENDING).length, 15)
})

test("a message with a token that waited is stored once, though its publisher did not hear of it and sends it again", async () => {
  const { simulation, there, name, stored } = make()
  const publish = (): number => {
    const message = messageOf(name, "once", { publisher: "p", qos: 2 })
    message.token = "1/7/9"
    return there.ingress.publishUnsafe(message, PRINCIPAL)
  }
  assert.equal(publish(), ACCEPTED_PENDING)
  const { pendingStream, pendingTicket, pendingOwner } = there.ingress
  assert.notEqual(pendingOwner, 1, "it is not stored in this turn's entry")
  await simulation.runAsync()
  assert.ok(pendingTicket <= pendingStream.committed)
  assert.equal(publish(), ACCEPTED_PENDING)
  assert.equal(there.ingress.pendingOwner, pendingOwner)
  assert.ok(there.ingress.pendingTicket <= there.ingress.pendingStream.committed)
  await simulation.runAsync()
  assert.equal(stored().length, 1)
  await new Promise<void>((done) => {
    there.ingress.giveBackToken("1/7/9", () => done())
    void simulation.runAsync()
  })
  assert.equal(publish(), ACCEPTED)
  assert.equal(stored().length, 2)
})

test("however much changes in a turn, what waits is looked at once", () => {
  const { here } = make()
  const tasks: Array<() => void> = []
  let looks = 0
  const held = new HeldMessages({
    mustWait: () => {
      looks += 1
      return true
    },
    sequence: () => ACCEPTED,
    pending: here.ingress,
    later: (task) => void tasks.push(task),
    soon: () => {}
  })
  held.reviewSoon()
  assert.equal(tasks.length, 0)
  for (let name = 0; name < 100; name++) held.hold(messageOf(`a/${name}`, "x"), `a/${name}`)
  for (let change = 0; change < 1_000; change++) held.reviewSoon()
  assert.deepEqual([tasks.length, looks], [1, 0])
  tasks[0]?.()
  assert.equal(looks, 100)
  held.reviewSoon()
  assert.equal(tasks.length, 2)
})

test("what storage has no room for waits: with its publisher, where that can, else here and in order", async () => {
  const { simulation, here, there, name, publish, outcomes, stored } = make()
  publish(there, "1")
  await simulation.runAsync(1_000)
  let isFull = true
  for (const log of there.topics.logs()) Object.assign(log, { admits: () => !isFull })
  const patient = messageOf(name, "patient", { publisher: "q", qos: 1 })
  patient.canWait = true
  const before = { ...there.ingress.counts }
  assert.equal(there.ingress.publishUnsafe(patient, PRINCIPAL), HELD_UP)
  assert.deepEqual(there.ingress.counts, before, "nothing happened")
  publish(there, "2")
  publish(here, "3")
  await simulation.runAsync(2_000)
  publish(there, "4")
  // Behind what waits already, whoever it is of.
  patient.begin()
  assert.equal(there.ingress.publishUnsafe(patient, PRINCIPAL), ACCEPTED_PENDING)
  await simulation.runAsync(3_000)
  const payloads = (): ReadonlyArray<string | undefined> => stored().map((each) => each.split("=")[1])
  assert.deepEqual([payloads(), outcomes], [["1"], ["1 0"]])
  isFull = false
  await simulation.runAsync(4_000)
  assert.deepEqual(payloads(), ["1", "2", "3", "4", "patient"])
  assert.deepEqual(outcomes.toSorted(), ["1 0", "2 0", "3 0", "4 0"])
})

test("what waited for a binding and finds no room afterwards waits on, and what comes then waits behind it; so do later changes", async () => {
  const { simulation, here, there, name, publish, outcomes, stored } = make()
  publish(there, "1")
  await simulation.runAsync(1_000)
  const { gate } = there.topics.bindings
  assert.ok(gate !== undefined)
  gate.hold("change", { tenant: 0, filters: [name] })
  publish(there, "2")
  publish(there, "3")
  let isFull = true
  for (const log of there.topics.logs()) Object.assign(log, { admits: () => !isFull })
  gate.release("change")
  const { published } = there.ingress.counts
  assert.equal(published, 3)
  publish(there, "4")
  // One that could wait with its publisher is taken: those before it are.
  const patient = messageOf(name, "5", { publisher: "p", qos: 1 })
  patient.canWait = true
  assert.equal(there.ingress.publishUnsafe(patient, PRINCIPAL), ACCEPTED_PENDING)
  await simulation.runAsync(2_000)
  gate.hold("next", { tenant: 0, filters: [name] })
  isFull = false
  await simulation.runAsync(3_000)
  const payloads = (): ReadonlyArray<string | undefined> => stored().map((each) => each.split("=")[1])
  assert.deepEqual([payloads(), outcomes], [["1"], ["1 0"]])
  isFull = true
  gate.release("next")
  // From another shard, which holds nothing: what waits here goes on behind it, or before.
  publish(here, "other")
  await simulation.runAsync(4_000)
  isFull = false
  await simulation.runAsync(5_000)
  const own = payloads().filter((payload) => payload !== "other")
  assert.deepEqual([own, payloads().length], [["1", "2", "3", "4", "5"], 6])
  assert.deepEqual(outcomes.toSorted(), ["1 0", "2 0", "3 0", "4 0", "other 0"])
})
