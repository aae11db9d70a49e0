/**
 * A seeded world for groups: one coordinator over a store and a journal, clients that join, read, commit, pause, die and come back, a
 * network that delays and loses, a broker that stops for a while, starts again and whose disk refuses now and then.
 *
 * What is watched
 *  - A partition has one owner in a generation, over restarts of the broker; nobody is told two assignments in one generation.
 *  - A commit is taken from the newest generation that has been given out only; what was acknowledged is there, whatever happens.
 *  - One static instance has one member id that is served.
 *  - Every join and sync that reaches a broker which goes on is answered in time.
 *  - When the faults end the group settles, with everybody in it and every partition given out once.
 */
import type { TopicInfo } from "../../../../core/mod.ts"
import { ManualJournal, OrderedStore } from "../../../../core/queue/fakes.ts"
import { makeTestGroups } from "../fakes.ts"
import type { GroupCoordinator } from "../GroupCoordinator.ts"
import { SimulatedClient } from "./fakes.ts"

export const GROUP = "simulated"
export const PARTITIONS = 6
export const SESSION_MS = 10_000
export const REBALANCE_MS = 20_000
/** How long an answer may take: the waits of two rebalances and a session, when a first joiner's session is as long as its join. */
const ANSWER_MS_MAX = 2 * (REBALANCE_MS + SESSION_MS) + 5_000
const QUIET_MS = 150_000
export const TOPIC_ID = "aaaaaaaa-0000-4000-8000-000000000001"
const TOPIC = { tenant: 0, name: "t", id: TOPIC_ID, partitions: PARTITIONS } as TopicInfo

/** What broke, in words. */
export class Violation extends Error {}

export class Chance {
  #state: number
  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0 || 1
  }
  /** 0 to `below` - 1. */
  nat(below: number): number {
    // Marsaglia's xorshift32.
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state >>> 0
    return this.#state % below
  }
  oneIn(count: number): boolean {
    return this.nat(count) === 0
  }
}

interface Event {
  readonly atMs: number
  readonly task: () => void
  isCancelled: boolean
}

/** Time, timers and turns, by hand and in one line. */
export class SimulatedTime {
  now = 1_000
  wallSkewMs = 1_700_000_000_000
  readonly #events: Array<Event> = []
  readonly #work: Array<{ endTurn(): void }> = []

  nowMs = (): number => this.now + this.wallSkewMs
  monotonicMs = (): number => this.now
  after = (delayMs: number, task: () => void): { cancel(): void } => {
    const event = { atMs: this.now + Math.max(0, delayMs), task, isCancelled: false }
    this.#insert(event)
    return {
      cancel: () => {
        event.isCancelled = true
      }
    }
  }
  microtask = (task: () => void): void => task()
  immediate = (task: () => void): void => task()
  deferFlush = (task: { endTurn(): void }): void => void this.#work.push(task)
  deferWork = (task: { endTurn(): void }): void => void this.#work.push(task)
  deferOutput = (task: { endTurn(): void }): void => void this.#work.push(task)

  /** Runs what is due next; false where there is nothing before `untilMs`. */
  step(untilMs: number): boolean {
    let next = this.#events.at(-1)
    while (next?.isCancelled === true) {
      this.#events.pop()
      next = this.#events.at(-1)
    }
    if (next === undefined || next.atMs > untilMs) {
      this.now = Math.max(this.now, untilMs)
      return false
    }
    this.#events.pop()
    this.now = Math.max(this.now, next.atMs)
    next.task()
    for (let work = this.#work.shift(); work !== undefined; work = this.#work.shift()) work.endTurn()
    return true
  }

  /** Keeps the next one last; of those at one time the first that was asked for is the next. */
  #insert(event: Event): void {
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#events[middle]?.atMs ?? 0) > event.atMs) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }
}

/** How many of what happened, so that a run that shows nothing is noticed. */
export class Tally {
  joins = 0
  generations = 0
  assignments = 0
  commits = 0
  refusedCommits = 0
  restarts = 0
  failures = 0
  pauses = 0
  fenced = 0
}

export class World {
  readonly chance: Chance
  readonly time = new SimulatedTime()
  readonly tally = new Tally()
  readonly store = new OrderedStore()
  /** No more faults: everybody must get along now. */
  isQuiet = false
  coordinator!: GroupCoordinator
  /** The broker that runs; answers of one before it are lost. */
  incarnation = 0
  #journal!: ManualJournal
  #brokerPausedUntilMs = 0
  readonly clients: Array<SimulatedClient> = []
  /** Owners by generation and partition; assignments by generation and owner. */
  readonly #owners = new Map<string, string>()
  readonly #told = new Map<string, string>()
  /** The newest generation that somebody was told an assignment of. */
  newestGiven = 0
  readonly #currentIds = new Map<string, string>()
  /** Commits of each partition in the order of their submission; the last one that was acknowledged. */
  readonly #submitted = new Map<number, Array<number>>()
  readonly #acknowledged = new Map<number, number>()
  readonly #open = new Set<{ readonly what: string; deadlineMs: number }>()

  constructor(seed: number) {
    this.chance = new Chance(seed)
  }

  /** Runs it whole; throws a {@link Violation}. */
  async run(faultsMs: number): Promise<Tally> {
    await this.start()
    const count = 2 + this.chance.nat(3)
    for (let index = 0; index < count; index++) {
      const instance = this.chance.oneIn(3) ? `instance-${index}` : null
      this.clients.push(new SimulatedClient(this, `c${index}`, instance))
    }
    for (const client of this.clients) this.time.after(this.chance.nat(3_000), () => client.begin())
    const endMs = this.time.now + faultsMs
    while (this.time.now < endMs) {
      const untilMs = Math.min(endMs, this.time.now + 500)
      while (this.time.step(untilMs)) this.#look()
      await this.#fault()
    }
    this.isQuiet = true
    this.#journal.refusal = 0
    for (const client of this.clients) client.revive()
    const quietEndMs = this.time.now + QUIET_MS
    while (this.time.step(quietEndMs)) this.#look()
    this.#settled()
    return this.tally
  }

  async start(): Promise<void> {
    this.incarnation += 1
    const journal = new ManualJournal(this.store)
    this.#journal = journal
    const incarnation = this.incarnation
    const commit = (): void => {
      if (incarnation !== this.incarnation) return
      if (!this.isQuiet && journal.pending > 0 && this.chance.oneIn(60)) {
        this.tally.failures += 1
        journal.fail(-1, this.chance.nat(journal.pending + 1))
      } else journal.commit()
      this.#brokerAfter(this.isQuiet ? 1 : 1 + this.chance.nat(this.chance.oneIn(20) ? 2_000 : 20), commit)
    }
    const find = (_: number, name: string) => (name === TOPIC.name ? TOPIC : undefined)
    const topics = { find, findById: (id: string) => (id === TOPIC.id ? TOPIC : undefined) }
    const settings = { group_initial_rebalance_delay_ms: this.chance.oneIn(2) ? 0 : 3_000 }
    const clock = { ...this.time, after: (delayMs: number, task: () => void) => this.#brokerAfter(delayMs, task) }
    const { coordinator } = makeTestGroups(clock, topics, settings, this.store, journal, this.incarnation)
    await coordinator.start()
    this.coordinator = coordinator
    this.#brokerAfter(1, commit)
    this.#currentIds.clear()
    this.#check()
  }

  /** Carries a request to the broker and its answer back; either may be late or lost. */
  carry(what: string, ask: (coordinator: GroupCoordinator, answer: (deliver: () => void) => void) => void): void {
    if (!this.isQuiet && this.chance.oneIn(40)) return
    const reach = (): void => {
      const waitMs = this.#brokerPausedUntilMs - this.time.now
      if (waitMs > 0) {
        this.time.after(waitMs, reach)
        return
      }
      const { incarnation } = this
      const open = { what, deadlineMs: this.time.now + ANSWER_MS_MAX }
      this.#open.add(open)
      ask(this.coordinator, (deliver) => {
        if (incarnation !== this.incarnation) return
        if (!this.#open.delete(open)) throw new Violation(`${what} was answered twice`)
        if (!this.isQuiet && this.chance.oneIn(40)) return
        this.time.after(this.#delayMs(), deliver)
      })
    }
    this.time.after(this.#delayMs(), reach)
  }

  /** The broker tells somebody its assignment. */
  told(generation: number, member: string, instance: string | null, partitions: ReadonlyArray<number>): void {
    this.tally.assignments += 1
    const owner = instance ?? member
    const key = `${generation} ${owner}`
    const text = partitions.join()
    const before = this.#told.get(key)
    if (before !== undefined && before !== text) {
      throw new Violation(`${owner} was told ${before} and ${text} in generation ${generation}`)
    }
    this.#told.set(key, text)
    for (const partition of partitions) {
      const place = `${generation} ${partition}`
      const other = this.#owners.get(place)
      if (other !== undefined && other !== owner) {
        throw new Violation(`partition ${partition} has the owners ${other} and ${owner} in generation ${generation}`)
      }
      this.#owners.set(place, owner)
    }
    this.newestGiven = Math.max(this.newestGiven, generation)
  }

  /** A member of a static instance was let in; from now on no other id of this instance is served. */
  admitted(instance: string, member: string): void {
    this.#currentIds.set(instance, member)
  }

  /** The id of a static instance; of another member its own. */
  currentOf(instance: string | null, member: string): string {
    return instance === null ? member : (this.#currentIds.get(instance) ?? member)
  }

  served(what: string, instance: string | null, member: string): void {
    const current = this.currentOf(instance, member)
    if (current !== member) throw new Violation(`${what} of ${member} was served, ${instance} is ${current}`)
  }

  /** The coordinator took a commit, and has not answered yet. */
  submitted(partition: number, offset: number): void {
    const all = this.#submitted.get(partition) ?? []
    all.push(offset)
    this.#submitted.set(partition, all)
  }

  /** The last one was not taken after all. */
  withdrawn(partition: number): void {
    this.#submitted.get(partition)?.pop()
  }

  acknowledged(partition: number, offset: number): void {
    this.tally.commits += 1
    this.#acknowledged.set(partition, (this.#submitted.get(partition) ?? []).lastIndexOf(offset))
  }

  /** What the group has committed is what was acknowledged last, or was submitted after that. */
  #check(): void {
    const group = this.coordinator.find({ tenant: 0, id: GROUP })
    for (const [partition, index] of this.#acknowledged) {
      const found = group?.offsets.get({ topicId: TOPIC_ID, partition })?.offset
      const allowed = (this.#submitted.get(partition) ?? []).slice(index)
      if (found === undefined || !allowed.includes(found)) {
        throw new Violation(`partition ${partition} is at ${found}, ${allowed.join()} would be right`)
      }
    }
  }

  #look(): void {
    this.#check()
    for (const { what, deadlineMs } of this.#open) {
      if (deadlineMs < this.time.now) throw new Violation(`${what} has no answer after ${ANSWER_MS_MAX} ms`)
    }
  }

  async #fault(): Promise<void> {
    const { chance } = this
    if (chance.oneIn(100)) {
      this.tally.restarts += 1
      this.#open.clear()
      this.coordinator.stop()
      await this.start()
    } else if (chance.oneIn(60)) this.#pause(1 + chance.nat(40_000))
    else if (chance.oneIn(80)) this.time.wallSkewMs += (chance.nat(3) - 1) * 3_600_000
    for (const client of this.clients) client.fault()
  }

  /** The broker's process does not run for a while: nothing reaches it, nothing that was due happens in time. */
  #pause(forMs: number): void {
    this.tally.pauses += 1
    this.#brokerPausedUntilMs = this.time.now + forMs
    for (const open of this.#open) open.deadlineMs += forMs
  }

  /** A timer of the broker's: it does not fire while the process does not run. */
  #brokerAfter(delayMs: number, task: () => void): { cancel(): void } {
    let isCancelled = false
    const fire = (): void => {
      const waitMs = this.#brokerPausedUntilMs - this.time.now
      if (isCancelled) return
      if (waitMs > 0) this.time.after(waitMs, fire)
      else task()
    }
    this.time.after(delayMs, fire)
    return {
      cancel: () => {
        isCancelled = true
      }
    }
  }

  #delayMs(): number {
    if (this.isQuiet) return 1
    // Now and then so late that its sender is long gone.
    return this.chance.oneIn(50) ? this.chance.nat(60_000) : 1 + this.chance.nat(40)
  }

  #settled(): void {
    const group = this.coordinator.find({ tenant: 0, id: GROUP })
    if (group?.machine.state !== "Stable") throw new Violation(`the group ends as ${group?.machine.state}`)
    const owned = this.clients.flatMap((client) => client.partitions)
    const all = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    if (owned.toSorted().join() !== all.join()) throw new Violation(`in the end ${owned.join()} are owned`)
    if (group.machine.size !== this.clients.length) throw new Violation(`${group.machine.size} members in the end`)
    this.tally.generations += group.machine.generation
    for (const client of this.clients) {
      if (client.generation !== group.machine.generation) throw new Violation(`${client.name} is in another generation`)
    }
  }
}
