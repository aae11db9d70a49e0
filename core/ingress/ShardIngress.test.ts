import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ALLOW, DENY, type Principal } from "../access/Access.ts"
import { FAILED } from "../log/Engines.ts"
import { LatePartition, storedIn } from "../log/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { matches } from "../router/topic-filter.ts"
import { SLOT_NAME, SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { topicOfName } from "../topics/default-binding.ts"
import {
  type IngressShard,
  joinIngress,
  type MessageFacts,
  messageOf,
  NotingSubscriber,
  payloadOf,
  subscribe
} from "./fakes.ts"
import {
  ACCEPTED,
  ACCEPTED_PENDING,
  ACCEPTED_UNMATCHED,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME
} from "./Ingress.ts"
import type { Message } from "./Message.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }

/** The shard of two that sequences a name. */
function sequencerOf(name: string): number {
  const plain = topicOfName(name)
  return (plain === undefined ? slotOf(0, SLOT_NAME, name) : slotOf(0, SLOT_TOPIC, plain, 0)) % 2
}

function publish(shard: IngressShard, name: string, payload: string, facts: MessageFacts = {}): number {
  return shard.ingress.publishUnsafe(messageOf(name, payload, { publisher: "p", qos: 1, ...facts }), PRINCIPAL)
}

/** A publish and, once everything has come to rest, how it ended. */
function settled(
  simulation: Simulation,
  shard: IngressShard,
  name: string,
  facts: MessageFacts = {},
  payload = "x"
): number {
  const outcome = publish(shard, name, payload, facts)
  const { pendingStream, pendingTicket } = shard.ingress
  simulation.run()
  if (outcome !== ACCEPTED_PENDING) return outcome
  assert.ok(pendingTicket <= pendingStream.committed, "every ticket is committed in the end")
  return pendingStream.takeOutcome(pendingTicket)
}

/** Two shards, and a name sequenced by the second. */
function make(options: Parameters<typeof joinIngress>[1] = {}) {
  const simulation = new Simulation(1)
  const parts = joinIngress(simulation, options)
  const name = ["a/1", "a/2", "a/3", "a/4", "a/5"].find((candidate) => sequencerOf(candidate) === 1) ?? ""
  const odd = ["a /1", "a /2", "a /3", "a /4", "a /5"].find((candidate) => sequencerOf(candidate) === 1) ?? ""
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined && name !== "" && odd !== "")
  return { simulation, ...parts, here, there, name, odd }
}

test("a message goes to the log of its home on the shard that owns it, wherever it was published", () => {
  const { simulation, here, there, name } = make()
  assert.equal(settled(simulation, here, name, {}, "1"), ACCEPTED)
  assert.equal(settled(simulation, there, name, {}, "2"), ACCEPTED)
  assert.equal(settled(simulation, here, name, {}, "3"), ACCEPTED)
  for (const log of there.topics.logs()) log.seal()
  const partitions = [...there.engine.partitions.values()]
  assert.deepEqual(partitions.flatMap(storedIn), [`0 ${name}=1`, `1 ${name}=2`, `2 ${name}=3`])
  assert.equal(here.engine.partitions.size, 0)
})

test("what nobody wants and nothing stores is accepted as unmatched", () => {
  const { simulation, here, there, odd } = make()
  assert.equal(settled(simulation, here, odd), ACCEPTED_UNMATCHED)
  assert.equal(settled(simulation, there, odd), ACCEPTED_UNMATCHED)
  subscribe(there, new NotingSubscriber(), odd)
  simulation.run()
  assert.equal(settled(simulation, here, odd), ACCEPTED)
})

test("names that are none are refused and have no effect", () => {
  const { simulation, here, there } = make()
  for (const name of ["", "a/+", "#", "a\u0000b"]) {
    assert.equal(settled(simulation, here, name, { retain: true }), REFUSED_TOPIC_NAME, JSON.stringify(name))
  }
  assert.deepEqual([here.topics.size, there.topics.size, here.retained.count, there.retained.count], [0, 0, 0, 0])
})

test("what may not be published has no effect at all", () => {
  const access = { checkUnsafe: (_who: Principal, _action: number, name: string) => (name === "no" ? DENY : ALLOW) }
  const { simulation, here, there } = make({ access })
  const subscriber = new NotingSubscriber()
  subscribe(here, subscriber, "#")
  simulation.run()
  assert.equal(settled(simulation, here, "no", { retain: true }), REFUSED_NOT_AUTHORIZED)
  assert.equal(settled(simulation, there, "no", { retain: true }), REFUSED_NOT_AUTHORIZED)
  assert.deepEqual(subscriber.seen, [])
  assert.deepEqual([here.topics.size, there.topics.size, here.retained.count, there.retained.count], [0, 0, 0, 0])
  assert.equal(here.ingress.counts.refusedAccess, 1)
})

test("a log that refuses refuses the message, also to the shard that forwarded it, and nobody gets it", () => {
  const { simulation, here, there, name } = make()
  assert.equal(settled(simulation, here, name), ACCEPTED)
  const subscriber = new NotingSubscriber()
  subscribe(here, subscriber, "#")
  simulation.run()
  for (const partition of there.engine.partitions.values()) partition.refusal = -3
  const large = "x".repeat(40_000)
  assert.equal(settled(simulation, there, name, {}, large), REFUSED_QUOTA)
  assert.equal(settled(simulation, here, name, {}, large), REFUSED_QUOTA)
  assert.deepEqual(subscriber.seen, [])
  for (const partition of there.engine.partitions.values()) partition.refusal = 0
  assert.equal(settled(simulation, here, name), ACCEPTED)
})

test("outcomes of QoS 0 messages, which nobody asks for, are not kept", () => {
  const { simulation, here, there, name } = make()
  settled(simulation, here, name)
  for (const partition of there.engine.partitions.values()) partition.refusal = -3
  for (let count = 0; count < 5; count++) {
    assert.equal(publish(here, name, "x".repeat(40_000), { qos: 0 }), ACCEPTED_PENDING)
    const { pendingStream, pendingTicket } = here.ingress
    simulation.run()
    assert.equal(pendingStream.takeOutcome(pendingTicket), 0)
  }
})

test("a subscriber gets the place of a stored message, and none of one that is not stored", () => {
  const { simulation, here, name, odd } = make()
  const subscriber = new NotingSubscriber()
  subscribe(here, subscriber, "#")
  simulation.run()
  settled(simulation, here, name)
  settled(simulation, here, name)
  settled(simulation, here, odd)
  assert.deepEqual(
    subscriber.deliveries.map(({ message }) => [message.partition, message.offset]),
    [
      [0, 0],
      [0, 1],
      [-1, -1]
    ]
  )
})

test("what a mode promises is waited for, on this shard and on the one that forwarded; QoS 0 waits for nothing", () => {
  const defaults = {
    autoCreateMqtt: "default" as const,
    forName: () => ({ partitions: 1, engine: "memory", mode: "persistent" as const })
  }
  const { simulation, shards, name } = make({ defaults })
  const [first, second] = shards as [IngressShard, IngressShard]
  assert.equal(publish(second, name, "0", { qos: 0 }), ACCEPTED_PENDING, "it waits for its topic")
  simulation.run()
  assert.equal(publish(second, name, "1", { qos: 0 }), ACCEPTED)
  const waiting = [first, second].map((shard) => {
    assert.equal(publish(shard, name, "x", { retain: shard === first }), ACCEPTED_PENDING)
    return { stream: shard.ingress.pendingStream, ticket: shard.ingress.pendingTicket }
  })
  const done = (): ReadonlyArray<boolean> => waiting.map(({ stream, ticket }) => ticket <= stream.committed)
  simulation.run()
  assert.deepEqual(done(), [false, false])
  const [partition] = [...second.engine.partitions.values()]
  assert.ok(partition instanceof LatePartition)
  assert.equal(partition.logEndOffset, 4)
  partition.commit()
  simulation.run()
  assert.deepEqual(done(), [true, true])
  assert.deepEqual(
    waiting.map(({ stream, ticket }) => stream.takeOutcome(ticket)),
    [0, 0]
  )

  const later = [first, second].map((shard) => {
    publish(shard, name, "y")
    return { stream: shard.ingress.pendingStream, ticket: shard.ingress.pendingTicket }
  })
  simulation.run()
  partition.fail()
  simulation.run()
  assert.deepEqual(
    later.map(({ stream, ticket }) => stream.takeOutcome(ticket)),
    [FAILED, FAILED]
  )
})

test("a topic that does not commit holds up none that is acknowledged at once, from its first message on", () => {
  const defaults = {
    autoCreateMqtt: "default" as const,
    forName: (name: string) => ({
      partitions: 1,
      engine: "memory",
      mode: name.startsWith("a.") ? ("persistent" as const) : ("memory" as const)
    })
  }
  const { simulation, shards, name } = make({ defaults })
  const [first, second] = shards as [IngressShard, IngressShard]
  const quick = Array.from({ length: 9 }, (_, index) => `b/${index}`).find((each) => sequencerOf(each) === 1) ?? ""
  assert.equal(publish(first, name, "waits"), ACCEPTED_PENDING)
  simulation.run()
  const outcomes = [1, 2].map(() => settled(simulation, first, quick))
  assert.deepEqual(outcomes, [ACCEPTED, ACCEPTED])
  assert.equal([...second.engine.partitions.values()].length, 2)
})

test("retained messages of all shards are replayed, the newest of each name; an empty payload clears", () => {
  const { simulation, here, there, name, odd } = make()
  const local = ["b/1", "b/2", "b/3", "b/4", "b/5", "b/6"].find((candidate) => sequencerOf(candidate) === 0) ?? ""
  for (const each of [name, odd, local]) {
    settled(simulation, here, each, { retain: true }, "old")
    settled(simulation, there, each, { retain: true }, "new")
  }
  assert.deepEqual([here.retained.count, there.retained.count], [1, 2])
  const replayed = (shard: IngressShard, filter: string): ReadonlyArray<string> => {
    const found: Array<string> = []
    let ended = 0
    const visit = (message: Message): void => {
      assert.deepEqual([message.retain, ended], [true, 0])
      found.push(`${message.name}=${payloadOf(message)}`)
    }
    shard.ingress.replayRetained(0, filter, visit, () => void (ended += 1))
    simulation.run()
    assert.equal(ended, 1)
    return found.toSorted()
  }
  const all = [`${name}=new`, `${odd}=new`, `${local}=new`].toSorted()
  for (const shard of [here, there]) assert.deepEqual(replayed(shard, "#"), all)
  settled(simulation, here, name, { retain: true }, "")
  for (const shard of [here, there]) assert.deepEqual(replayed(shard, name), [])
})

test("many retained messages of another shard come in paces, too, and those that change meanwhile once at most", () => {
  const { simulation, here, there } = make()
  const names = Array.from({ length: 3000 }, (_, index) => `r/${index}`).filter((each) => sequencerOf(each) === 1)
  for (const each of names) publish(there, each, "x", { retain: true })
  simulation.run()
  const found: Array<string> = []
  let ended = 0
  here.ingress.replayRetained(
    0,
    "r/#",
    (message) => void found.push(message.name),
    () => void (ended += 1)
  )
  let turns = 0
  const counts = new Set<number>()
  const look = (): void => {
    turns += 1
    counts.add(found.length)
    if (ended === 0 && turns < 10_000) simulation.clock.immediate(look)
  }
  look()
  const cleared = names.at(-1) ?? ""
  publish(there, cleared, "", { retain: true })
  simulation.run()
  assert.equal(ended, 1)
  assert.ok(counts.size > names.length / 256, `${counts.size} paces`)
  assert.deepEqual(found.toSorted(), names.filter((each) => each !== cleared || found.includes(each)).toSorted())
})

test("many retained messages are replayed in paces: others have their turn, what changes meanwhile is respected, a close ends it", () => {
  const { simulation, here } = make()
  const names = Array.from({ length: 2000 }, (_, index) => `r/${index}`).filter((each) => sequencerOf(each) === 0)
  for (const each of names) publish(here, each, "x", { retain: true })
  simulation.run()
  assert.equal(here.retained.count, names.length)
  const found: Array<string> = []
  let ended = 0
  const begin = (): void => {
    found.length = 0
    here.ingress.replayRetained(
      0,
      "r/#",
      (message) => void found.push(message.name),
      () => void (ended += 1)
    )
  }
  begin()
  const first = found.length
  assert.ok(first > 0 && first <= 256, `${first} at once`)
  let between = -1
  simulation.clock.immediate(() => {
    between = found.length
  })
  const cleared = names.find((each) => !found.includes(each)) ?? ""
  publish(here, cleared, "", { retain: true })
  simulation.run()
  assert.ok(between > 0 && between < names.length / 2, `another's turn came after ${between}`)
  assert.deepEqual([ended, found.length], [1, names.length - 1])
  assert.deepEqual(found.toSorted(), names.filter((each) => each !== cleared).toSorted())
  begin()
  const untilClose = found.length
  here.ingress.close()
  simulation.run()
  assert.deepEqual([ended, found.length], [2, untilClose])
})

test("random publishers and subscribers on three shards: every wanted message once, in its publisher's order", () => {
  const names = ["a/1", "a/2", "a/b/c", "b", "x y/1", "x y/2", "$own/1"]
  const filters = ["#", "a/+", "a/#", "a/1", "x y/+", "+/1", "b", "$own/#"]
  const step = fc.record({
    shard: fc.nat(2),
    publisher: fc.nat(2),
    name: fc.constantFrom(...names),
    retain: fc.boolean(),
    ends: fc.nat(3)
  })
  const wish = fc.record({ shard: fc.nat(2), filter: fc.constantFrom(...filters) })
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(wish, { maxLength: 8 }),
      fc.array(step, { maxLength: 60, size: "max" }),
      (seed, wishes, steps) => {
        const simulation = new Simulation(seed)
        const { shards } = joinIngress(simulation, { shards: 3 })
        const at = (index: number): IngressShard => shards[index] as IngressShard
        const subscribers = wishes.map(({ shard, filter }) => {
          const subscriber = new NotingSubscriber()
          const { ticket } = subscribe(at(shard), subscriber, filter)
          return { subscriber, filter, ticket, tickets: at(shard).router.tickets }
        })
        simulation.run()
        for (const { ticket, tickets } of subscribers) assert.ok(ticket <= tickets.committed)
        const sent: Array<{ line: string; name: string; order: string }> = []
        const pending: Array<readonly [IngressShard["ingress"]["pendingStream"], number]> = []
        for (const [index, { shard, publisher, name, retain, ends }] of steps.entries()) {
          // A publisher's connection is on one shard.
          const who = `p${shard}${publisher}`
          const outcome = publish(at(shard), name, String(index), { publisher: who, retain })
          assert.ok(outcome >= 0)
          const { pendingStream, pendingTicket } = at(shard).ingress
          if (outcome === ACCEPTED_PENDING) pending.push([pendingStream, pendingTicket])
          sent.push({ line: `${who} ${name}=${index}`, name, order: `${who} ${name}` })
          for (let left = ends; left > 0; left--) simulation.step()
        }
        simulation.run()
        for (const [stream, ticket] of pending) assert.ok(ticket <= stream.committed)
        for (const { subscriber, filter } of subscribers) {
          const wanted = sent.filter(({ name }) => matches(filter, name))
          for (const order of new Set(wanted.map((each) => each.order))) {
            const expected = wanted.filter((each) => each.order === order).map(({ line }) => line)
            assert.deepEqual(
              subscriber.seen.filter((line) => line.startsWith(`${order}=`)),
              expected
            )
          }
          assert.equal(subscriber.seen.length, wanted.length)
        }
      }
    ),
    { numRuns: 150 }
  )
})

test("while the disk has no room retained messages and those for durable sessions are refused; clearing and the rest go on", () => {
  const { simulation, shards, here, name } = make()
  assert.notEqual(settled(simulation, here, name, { retain: true }), REFUSED_QUOTA)
  for (const { room } of shards) room.pressure = "full"
  assert.equal(settled(simulation, here, name, { retain: true }), REFUSED_QUOTA)
  assert.notEqual(settled(simulation, here, name), REFUSED_QUOTA)
  assert.notEqual(settled(simulation, here, name, { retain: true }, ""), REFUSED_QUOTA)
  for (const { room } of shards) room.pressure = "high"
  assert.notEqual(settled(simulation, here, name, { retain: true }), REFUSED_QUOTA)
})
