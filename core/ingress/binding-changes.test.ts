/**
 * Bindings that come, change and go while messages are published on several shards, over links and a meta store that take their time: each message
 * stands once where it was bound when it was taken, and everybody who subscribes gets it once, in its publisher's order.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit } from "effect"
import type { Principal } from "../access/Access.ts"
import type { TicketStream } from "../journal/TicketStream.ts"
import { storedIn } from "../log/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { matches } from "../router/topic-filter.ts"
import { SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { type NamesAffected, namesOf, SETTLE_MS_MAX } from "../topics/TopicBindings.ts"
import type { TopicError } from "../topics/TopicError.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { type IngressShard, joinIngress, messageOf, NotingSubscriber, subscribe } from "./fakes.ts"
import { ACCEPTED_PENDING } from "./Ingress.ts"

const STREAM = 9
const NAMES = ["a/1/t", "a/2/t", "a/1/u", "b/1/t", "b/2", "odd name/1", "odd name/2", "plain"]
const FILTERS = ["a/+/t", "a/#", "+/1/t", "b/#", "odd name/+", "odd name/1", "b/2", "plain"]
const TOPICS = ["one", "two", "three", "plain"]

interface Sent {
  readonly line: string
  readonly name: string
  readonly qos: number
  readonly shard: number
  readonly token: string
  outcome: number | undefined
}

class Story {
  readonly simulation: Simulation
  readonly chance: Xoshiro128
  readonly world: ReturnType<typeof joinIngress>
  readonly sent: Array<Sent> = []
  readonly subscribers: ReadonlyArray<NotingSubscriber>
  /** What became of changes, by outcome. */
  readonly changes = new Map<string, number>()
  /** Messages that were stored elsewhere and not answered when their name was said to be settled. */
  readonly unknown: Array<string> = []
  underWay = 0

  constructor(seed: number, shards: number) {
    this.simulation = new Simulation(seed)
    this.chance = Xoshiro128.seeded(seed, STREAM)
    this.world = joinIngress(this.simulation, { shards })
    this.world.meta.delayMs = this.chance.below(4)
    const watchMs = Array.from({ length: 16 }, () => this.chance.below(20))
    this.world.meta.watchDelayMs = (watcher) => watchMs[watcher] ?? 0
    for (const [to, { port }] of this.world.shards.entries()) {
      const due = Array.from({ length: shards }, () => 0)
      const delayMs = Array.from({ length: shards }, () => this.pick([1, 1, 6, 60]))
      this.world.joined.links.setReceiver(to, (from, bytes) => {
        // Each link is as slow as it likes, and in order.
        const { clock } = this.simulation
        const atMs = Math.max(due[from] ?? 0, clock.monotonicMs() + 1 + this.chance.below(delayMs[from] ?? 1))
        due[from] = atMs
        clock.after(atMs - clock.monotonicMs(), () => port.receive(from, bytes))
      })
    }
    const isSlow = this.chance.chance(1, 2)
    for (const { journal } of this.world.shards) {
      if (isSlow) journal.hold((commit) => this.simulation.clock.after(2, commit))
    }
    this.subscribers = this.world.shards.map((shard) => {
      const subscriber = new NotingSubscriber()
      subscribe(shard, subscriber, "#")
      return subscriber
    })
    for (const shard of this.world.shards) this.#watchSettled(shard)
    // A durable session wants all of it, and so does one that reads topics besides.
    this.at(0).router.wantUnsafe("#")
  }

  /** Where a shard says that names are settled, its clients' messages on them are known there as far as another shard has them. */
  #watchSettled({ port, topics: { bindings } }: IngressShard): void {
    const { gate } = bindings
    if (gate === undefined) return
    const affected = new Map<string, NamesAffected>()
    bindings.gate = {
      hold: (id, names) => {
        affected.set(id, names)
        gate.hold(id, names)
      },
      settled: async (id, goesOn) => {
        const isSettled = await gate.settled(id, goesOn)
        const filters = affected.get(id)?.filters ?? []
        const open = this.sent.filter(({ shard, qos, name, outcome }) => {
          const isMeant = shard === port.shard && qos === 2 && outcome === undefined
          return isMeant && filters.some((filter) => matches(filter, name))
        })
        const isElsewhere = ({ token }: Sent): boolean =>
          this.world.shards.some((other) => other.port !== port && other.tokens.ticketOf(token) !== undefined)
        if (isSettled) this.unknown.push(...open.filter(isElsewhere).map(({ line }) => line))
        return isSettled
      },
      release: (id) => gate.release(id)
    }
  }

  at(index: number): IngressShard {
    return this.world.shards[index] ?? assert.fail("there is one")
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.chance.below(values.length)] as A
  }

  pass(ms: number): Promise<void> {
    return this.simulation.runAsync(this.simulation.clock.monotonicMs() + ms)
  }

  publish(): void {
    const index = this.chance.below(this.world.shards.length)
    const shard = this.at(index)
    const name = this.pick(NAMES)
    const publisher = `p${index}${this.chance.below(2)}`
    const payload = String(this.sent.length)
    const qos = this.chance.below(3)
    const message = messageOf(name, payload, { publisher, qos })
    if (qos === 2) message.token = `${publisher}/${payload}`
    const principal: Principal = { tenant: 0, user: "", clientIdentifier: publisher, peerAddress: "" }
    const outcome = shard.ingress.publishUnsafe(message, principal)
    const { token } = message
    const sent: Sent = { line: `${publisher} ${name}=${payload}`, name, qos, shard: index, token, outcome: undefined }
    this.sent.push(sent)
    if (outcome !== ACCEPTED_PENDING) sent.outcome = outcome
    else settle(shard.ingress.pendingStream, shard.ingress.pendingTicket, sent)
  }

  /** Begins a change, whichever shard is asked. */
  change(isDeleting: boolean): void {
    const { topics } = this.at(this.chance.below(this.world.shards.length))
    // That of a plain name of its own has no topic filter when it is deleted, or not.
    const name = this.pick(isDeleting ? TOPICS.filter((each) => each !== "plain") : TOPICS)
    const filter = this.pick(FILTERS)
    const kind = this.chance.below(isDeleting ? 4 : 3)
    const partitions = 1 + this.chance.below(3)
    const effects: ReadonlyArray<Effect.Effect<unknown, TopicError>> = [
      topics.create(0, { name, filter, partitions }),
      topics.bindings.bind(0, name, filter),
      topics.bindings.bind(0, name, this.chance.chance(1, 2) ? undefined : filter),
      topics.delete(0, name)
    ]
    this.underWay += 1
    void Effect.runPromiseExit(effects[kind] ?? Effect.void).then((exit) => {
      this.underWay -= 1
      const [failure] = Exit.isFailure(exit) ? exit.cause.reasons : []
      const error = failure !== undefined && "error" in failure ? (failure.error as TopicError) : undefined
      const reason = Exit.isSuccess(exit) ? "done" : (error?.reason ?? "died")
      this.changes.set(reason, (this.changes.get(reason) ?? 0) + 1)
    })
  }

  async act(steps: number, isDeleting: boolean): Promise<void> {
    await this.pass(100)
    for (let step = 0; step < steps; step++) {
      for (let messages = this.chance.below(4); messages > 0; messages--) this.publish()
      if (this.chance.chance(1, 6)) this.change(isDeleting)
      await this.pass(this.chance.below(5))
    }
    for (let ms = 0; this.underWay > 0 && ms < 200_000; ms += 100) await this.pass(100)
    assert.equal(this.underWay, 0, "every change comes to its end")
    await this.pass(5_000)
  }

  /** Everybody got everything once, in its publisher's order. */
  checkDelivered(): void {
    assert.deepEqual(this.unknown, [])
    for (const { line, outcome } of this.sent) assert.ok(outcome !== undefined && outcome >= 0, `${line}: ${outcome}`)
    for (const { seen } of this.subscribers) {
      for (const order of new Set(this.sent.map(({ line }) => line.split("=")[0]))) {
        const expected = this.sent.map(({ line }) => line).filter((line) => line.startsWith(`${order}=`))
        assert.deepEqual(
          seen.filter((line) => line.startsWith(`${order}=`)),
          expected
        )
      }
      assert.equal(seen.length, this.sent.length)
    }
  }

  /** Each of QoS 1 and 2 stands in one queue log once, those of a publisher and name in order in each. */
  checkQueued(): void {
    const logs = this.world.shards.map(({ queueLog }) => queueLog.seen)
    const wanted = this.sent.filter(({ qos }) => qos > 0).map(({ line }) => line)
    assert.deepEqual(logs.flat().toSorted(), wanted.toSorted())
    for (const log of logs) assert.ok(isInOrder(log))
  }

  /** What stands in topics, once at most; what is above the offset from which a binding holds is of its names. */
  checkStored(): void {
    const lines = new Map(this.sent.map((sent) => [sent.line.slice(sent.line.indexOf(" ") + 1), sent]))
    const stored = new Set<string>()
    for (const { topics } of this.world.shards) for (const log of topics.logs()) log.seal()
    for (const { topics, engine } of this.world.shards) {
      for (const [key, partition] of engine.partitions) {
        const [, id = "", number = ""] = key.split("/")
        const info = topics.findById(id) ?? assert.fail(`${key} is known`)
        const records = storedIn(partition)
        const order: Array<string> = []
        for (const record of records) {
          const line = record.slice(record.indexOf(" ") + 1)
          const { name, line: whole } = lines.get(line) ?? assert.fail(`${line} was sent`)
          order.push(whole)
          assert.ok(!stored.has(line), `${line} stands in one topic`)
          stored.add(line)
          const isNew = Number.parseInt(record, 10) >= (info.boundFrom?.[Number(number)] ?? 0)
          assert.ok(!isNew || namesOf(info).some((filter) => matches(filter, name)), `${record} in ${info.name}`)
        }
        assert.ok(isInOrder(order))
      }
    }
    // These always have a home: one is made where there is none. That of "plain" may be bound to other names.
    for (const [line, { name }] of lines)
      if (name.includes("/") && !name.startsWith("odd")) assert.ok(stored.has(line), `${line} is stored`)
  }
}

/** Lines "publisher name=number": of each publisher and name the numbers rise. */
function isInOrder(lines: ReadonlyArray<string>): boolean {
  const newest = new Map<string, number>()
  return lines.every((line) => {
    const [key = "", number = ""] = line.split("=")
    const before = newest.get(key) ?? -1
    newest.set(key, Number(number))
    return Number(number) > before
  })
}

function settle(stream: TicketStream, ticket: number, sent: Sent): void {
  stream.whenCommitted(ticket, () => {
    sent.outcome = stream.takeOutcome(ticket)
  })
}

test("while bindings come and change each message is stored by one of them, queued once and delivered once, in order", async () => {
  const changes = new Map<string, number>()
  for (let seed = 1; seed <= 60; seed++) {
    const story = new Story(seed, 2 + (seed % 2))
    try {
      await story.act(60, false)
      story.checkDelivered()
      story.checkQueued()
      story.checkStored()
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
    for (const [reason, count] of story.changes) changes.set(reason, (changes.get(reason) ?? 0) + count)
  }
  assert.ok((changes.get("done") ?? 0) > 100 && (changes.get("filter-conflict") ?? 0) > 10, "something was done")
  assert.equal(changes.get("busy") ?? changes.get("died") ?? 0, 0)
})

test("topics that are deleted with their binding take nothing from subscribers and queue logs, and nobody's turn", async () => {
  for (let seed = 101; seed <= 130; seed++) {
    const story = new Story(seed, 2 + (seed % 2))
    try {
      await story.act(60, true)
      story.checkDelivered()
      story.checkQueued()
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})

test("what does not come to its end is not waited for: publishers go on, and the change is tried again", async () => {
  const story = new Story(1, 2)
  await story.pass(100)
  const [here, there] = [story.at(0), story.at(1)]
  const { bindings } = here.topics
  // One shard's answers are held up, so that what is forwarded to it is on its way for ever.
  let held: Array<() => void> = []
  let isHeld = true
  story.world.joined.links.setReceiver(0, (from, bytes) => {
    const deliver = (): void => here.port.receive(from, bytes)
    if (isHeld) held.push(deliver)
    else deliver()
  })
  const name = NAMES.find((each) => here.resolutions.ownerOf(0, each) === 1) ?? assert.fail("one is")
  const publish = (payload: string): number =>
    here.ingress.publishUnsafe(messageOf(name, payload, { qos: 1, publisher: "p" }), {
      tenant: 0,
      user: "",
      clientIdentifier: "p",
      peerAddress: ""
    })
  assert.equal(publish("1"), ACCEPTED_PENDING)
  await story.pass(20)
  let exit: Exit.Exit<TopicInfo, TopicError> | undefined
  const topic = TOPICS.find((each) => slotOf(0, SLOT_TOPIC, each, 0) % 2 === 0) ?? assert.fail("one is this shard's")
  void Effect.runPromiseExit(here.topics.create(0, { name: topic, filter: "#" })).then((ended) => {
    exit = ended
  })
  await story.pass(SETTLE_MS_MAX / 2)
  publish("2")
  assert.equal(exit, undefined)
  isHeld = false
  for (const deliver of held) deliver()
  held = []
  await story.pass(20 * SETTLE_MS_MAX)
  assert.ok(exit !== undefined && Exit.isSuccess(exit))
  assert.ok(bindings.longestHoldMs < 3 * SETTLE_MS_MAX)
  assert.deepEqual(
    [here.resolutions.homeOf(0, name).home?.name, there.resolutions.homeOf(0, name).home?.name],
    [topic, topic]
  )
  assert.deepEqual(
    story.subscribers[1]?.seen.filter((line) => line.startsWith("p ")),
    [`p ${name}=1`, `p ${name}=2`]
  )
})

test("where a journal stands still no name is held for it, and the change says so in the end", async () => {
  let isStill = true
  const simulation = new Simulation(7)
  const world = joinIngress(simulation, {
    shards: 2,
    synced: () => (isStill ? new Promise(() => {}) : Promise.resolve())
  })
  const [here] = world.shards
  assert.ok(here !== undefined)
  const { topics } = here
  const pass = (ms: number): Promise<void> => simulation.runAsync(simulation.clock.monotonicMs() + ms)
  await pass(100)
  const exits: Array<Exit.Exit<TopicInfo, TopicError>> = []
  const change = (): void => {
    void Effect.runPromiseExit(topics.create(0, { name: "one", filter: "a/#" })).then((exit) => exits.push(exit))
  }
  change()
  const ended: Array<number> = []
  for (let second = 0; second < 60; second++) {
    const message = messageOf("a/1", "x", { qos: 1, publisher: "p" })
    const principal = { tenant: 0, user: "", clientIdentifier: "p", peerAddress: "" }
    if (here.ingress.publishUnsafe(message, principal) === ACCEPTED_PENDING) {
      here.ingress.pendingStream.whenCommitted(here.ingress.pendingTicket, () => ended.push(second))
    } else ended.push(second)
    await pass(1_000)
  }
  await pass(2 * SETTLE_MS_MAX)
  assert.equal(ended.length, 60)
  const [failed] = exits
  const [cause] = failed !== undefined && Exit.isFailure(failed) ? failed.cause.reasons : []
  assert.equal(cause !== undefined && "error" in cause ? (cause.error as TopicError).reason : "", "busy")
  isStill = false
  change()
  await pass(2_000)
  assert.ok(exits[1] !== undefined && Exit.isSuccess(exits[1]))
})
