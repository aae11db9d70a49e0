/**
 * Changes of bindings while messages are published: a topic with a topic filter comes or goes, or its filter becomes another.
 *
 * The coordinator of the topic's name has all shards hold what their clients publish on the names in question, waits until everything that was
 * taken before is sequenced, committed and delivered, has the meta store agree, waits until all shards know, and lets go. So a change takes effect
 * at one place in each log: what is below it went by the former bindings, what is above by the new ones.
 *
 * Invariants
 *  - A message is sequenced by the bindings of before or of after the change, never by both; per publisher and name all of the former come first,
 *    to each subscriber too.
 *  - Names are held for some times {@link SETTLE_MS_MAX} until all is settled and kept, or let go; from then on until the meta store has answered
 *    and all shards know.
 *  - Nothing of a change outlives the process: after a crash bindings are what the meta store has agreed on.
 */
import { Effect, Semaphore } from "effect"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { type AgreedTopics, isBindable } from "./AgreedTopics.ts"
import { nameOfTopic } from "./default-binding.ts"
import type { OpenPartitions } from "./OpenPartitions.ts"
import type { TopicRequest } from "./TopicCoordinator.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** What is on its way is waited for so long; then its publishers go on, and another attempt follows. */
export const SETTLE_MS_MAX = 1_000
const ATTEMPTS_MAX = 10
/** Between two attempts: as long as one, so that publishers get on in between. */
const AGAIN_MS = 1_000

/** The topic names that a change may give another home: those that match one of these filters. */
export interface NamesAffected {
  readonly tenant: number
  readonly filters: ReadonlyArray<string>
}

/** What stands between the clients of a shard and the bindings; the ingress. */
export interface BindingGate {
  /** What clients publish on these names waits from now on, until {@link BindingGate.release}. */
  hold(id: string, names: NamesAffected): void
  /** Whether what was taken before has been brought to its end; gives up where `goesOn` says no. */
  settled(id: string, goesOn: () => boolean): Promise<boolean>
  release(id: string): void
}

/** What a shard has to know of a topic after a change; without a filter's text it has none. */
interface Expected {
  readonly id: string
  /** At least; a shard that knows of fewer has none of the others open. */
  readonly partitions: number
  readonly isGone: boolean
  readonly filter?: string
}

/** The offsets at which partitions end. */
type Ends = ReadonlyArray<readonly [partition: number, offset: number]>

export interface TopicBindingsParts {
  readonly port: LinkPort
  readonly clock: Pick<ClockShape, "after" | "monotonicMs">
  readonly agreed: Pick<AgreedTopics, "bind">
  /** What this shard knows, and whether a topic was there and is gone. */
  readonly findById: (id: string) => TopicInfo | undefined
  readonly isRemoved: (id: string) => boolean
  readonly isOwned: (info: TopicInfo, partition: number) => boolean
  readonly open: Pick<OpenPartitions, "logUnsafe" | "whenSettled">
  /** Settled when all that this shard's journal has taken is synced; undefined = nothing outlives the process. */
  readonly synced?: (() => Promise<void>) | undefined
  /** Has the coordinator of a topic's name do it. */
  readonly ask: (request: TopicRequest) => Effect.Effect<TopicInfo, TopicError>
}

/** As an administrator asks for changes of bindings, on any shard. */
export interface TopicBindingsShape {
  /**
   * Makes a topic the home of the names that match a topic filter, instead of those that it was the home of; undefined = of its default binding's.
   * Done when all shards go by it. Fails with "not-found" where there is none of this name, and with "filter-conflict" as a creation does.
   */
  bind(tenant: number, name: string, filter: string | undefined): Effect.Effect<TopicInfo, TopicError>
}

export class TopicBindings implements TopicBindingsShape {
  /** Set by the ingress of this shard. */
  gate: BindingGate | undefined
  /** Since the start: changes that were carried out, and attempts that were given up for what was on its way. */
  changeCount = 0
  givenUpCount = 0
  /** How long names were held for the last change of this coordinator, and at most, ms. */
  lastHoldMs = 0
  longestHoldMs = 0
  readonly #parts: TopicBindingsParts
  /** One after the other, so that what a change looks at is as it was left by the one before. */
  readonly #turn = Semaphore.makeUnsafe(1)
  #last = 0
  readonly #waiting = new Set<() => void>()

  constructor(parts: TopicBindingsParts) {
    this.#parts = parts
    const { port, synced = () => Promise.resolve() } = parts
    port.answer("bindings.hold", async (_from, { facts }) => {
      const { id, names } = facts as { readonly id: string; readonly names: NamesAffected }
      return { facts: await this.#hold(id, names) }
    })
    port.answer("bindings.pass", async () => {
      await this.#pass()
      // Rows that speak of what was stored before, so that it is known when it is sent again after a crash.
      await synced()
      return { facts: null }
    })
    // Frames of a link stay in order: what was sent before the question has been handled when this is answered.
    port.answer("bindings.passed", () => ({ facts: null }))
    port.answer("bindings.known", async (_from, { facts }) => {
      await this.#known(facts as Expected)
      return { facts: null }
    })
    port.answer("bindings.ends", async (_from, { facts }) => ({ facts: await this.#ends(facts as TopicInfo) }))
    port.answer("bindings.release", (_from, { facts }) => {
      this.gate?.release(facts as string)
      return { facts: null }
    })
  }

  /**
   * Carries a change out, one at a time; `expected` says what shards know of it afterwards. Fails as the change does, and with "busy" where what is
   * published on the names does not come to its end for so long that it was given up.
   */
  during(
    names: () => NamesAffected,
    change: Effect.Effect<TopicInfo, TopicError>,
    expected: (info: TopicInfo) => Pick<Expected, "isGone">
  ): Effect.Effect<TopicInfo, TopicError> {
    const attempt = Effect.suspend(() => {
      const { port, clock } = this.#parts
      const id = `${port.shard}/${++this.#last}`
      const sinceMs = clock.monotonicMs()
      const released = Effect.promise(() => this.#everywhere("bindings.release", id)).pipe(
        Effect.andThen(Effect.sync(() => this.#heldSince(sinceMs)))
      )
      return Effect.promise(() => this.#settled(id, names())).pipe(
        Effect.flatMap((isSettled) => (isSettled ? this.#agreed(change, expected) : Effect.succeed(undefined))),
        Effect.ensuring(released)
      )
    })
    return this.#turn.withPermit(this.#attempts(attempt, names, ATTEMPTS_MAX))
  }

  bind(tenant: number, name: string, filter: string | undefined): Effect.Effect<TopicInfo, TopicError> {
    return this.#parts.ask({ verb: "bind", tenant, topic: filter === undefined ? { name } : { name, filter } })
  }

  /** The same of a topic whose name this shard coordinates. */
  rebind(topic: TopicInfo, filter: string | undefined): Effect.Effect<TopicInfo, TopicError> {
    const { name, tenant } = topic
    if (filter !== undefined && !isBindable(filter)) {
      const message = "not a valid topic filter: + stands for one level, # for all at the end"
      return Effect.fail(new TopicError({ topic: name, reason: "invalid-filter", message }))
    }
    const { agreed, findById } = this.#parts
    // What it is bound to is known when its turn has come.
    const names = (): NamesAffected => {
      const now = findById(topic.id) ?? topic
      return { tenant, filters: [...namesOf(now), ...namesOf({ name, filter })] }
    }
    const change = Effect.suspend(() => {
      const now = findById(topic.id) ?? topic
      return now.filter === filter ? Effect.succeed(now) : this.#rebound(now, filter, agreed)
    })
    return this.during(names, change, () => ({ isGone: false }))
  }

  #rebound(
    topic: TopicInfo,
    filter: string | undefined,
    agreed: TopicBindingsParts["agreed"]
  ): Effect.Effect<TopicInfo, TopicError> {
    return Effect.gen({ self: this }, function* () {
      const boundFrom: Array<number> = []
      const ends = yield* Effect.promise(() => this.#soon(this.#everywhere("bindings.ends", topic)))
      for (const [partition, offset] of ((ends ?? []) as ReadonlyArray<Ends>).flat()) boundFrom[partition] = offset
      if (Object.keys(boundFrom).length < topic.partitions) {
        const message = "some of its partitions cannot be opened"
        return yield* new TopicError({ topic: topic.name, reason: "busy", message })
      }
      return yield* agreed.bind(topic, { filter, boundFrom })
    })
  }

  /** Where the partitions end that this shard owns, those that can be opened. */
  async #ends(topic: TopicInfo): Promise<Ends> {
    const { open, isOwned } = this.#parts
    // It may have been created a moment ago, or have got partitions, through another shard.
    const { id, partitions, filter } = topic
    await this.#known({ id, partitions, isGone: false, ...(filter === undefined ? {} : { filter }) })
    const ends: Array<readonly [number, number]> = []
    for (let partition = 0; partition < topic.partitions; partition++) {
      if (!isOwned(topic, partition)) continue
      let log = open.logUnsafe(topic, partition)
      if (log === undefined) {
        await new Promise<void>((resolve) => open.whenSettled(topic, partition, resolve))
        log = open.logUnsafe(topic, partition)
      }
      if (log !== undefined) ends.push([partition, log.nextOffset])
    }
    return ends
  }

  #attempts(
    attempt: Effect.Effect<TopicInfo | undefined, TopicError>,
    names: () => NamesAffected,
    left: number
  ): Effect.Effect<TopicInfo, TopicError> {
    return attempt.pipe(
      Effect.flatMap((info) => {
        if (info !== undefined) return Effect.succeed(info)
        this.givenUpCount += 1
        if (left > 1) return Effect.andThen(this.#wait(AGAIN_MS), this.#attempts(attempt, names, left - 1))
        const message = `what is published on names of ${names().filters.join(", ")} does not come to its end; try again`
        return Effect.fail(new TopicError({ topic: "", reason: "busy", message }))
      })
    )
  }

  #agreed(
    change: Effect.Effect<TopicInfo, TopicError>,
    expected: (info: TopicInfo) => Pick<Expected, "isGone">
  ): Effect.Effect<TopicInfo, TopicError> {
    return Effect.tap(change, (info) => {
      const { id, partitions, filter } = info
      const known: Expected = { id, partitions, ...expected(info), ...(filter === undefined ? {} : { filter }) }
      this.changeCount += 1
      return Effect.promise(() => this.#everywhere("bindings.known", known))
    })
  }

  /** Whether no message on the names is on its way any more, nor will be. */
  async #settled(id: string, names: NamesAffected): Promise<boolean> {
    const held = await this.#everywhere("bindings.hold", { id, names })
    if (!held.every((isSettled) => isSettled === true)) return false
    return (await this.#soon(this.#everywhere("bindings.pass", null))) !== undefined
  }

  /** What is answered; undefined where that takes longer than names may be held for it, as where a journal stands still. */
  #soon<Answers>(answers: Promise<Answers>): Promise<Answers | undefined> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.after(SETTLE_MS_MAX, () => resolve(undefined))
      answers.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  async #hold(id: string, names: NamesAffected): Promise<boolean> {
    const { gate } = this
    if (gate === undefined) return true
    let isOver = false
    gate.hold(id, names)
    const timer = this.#parts.clock.after(SETTLE_MS_MAX, () => {
      isOver = true
    })
    const isSettled = await gate.settled(id, () => !isOver)
    timer.cancel()
    return isSettled
  }

  /** Settled when what this shard has sent to others has been handled there. */
  async #pass(): Promise<void> {
    const { port } = this.#parts
    const others = Array.from({ length: port.shards }, (_, shard) => shard).filter((shard) => shard !== port.shard)
    await Promise.all(others.map((shard) => port.call(shard, "bindings.passed", { facts: null })))
  }

  /** To be called whenever this shard hears of a topic, or of its end. */
  changed(): void {
    if (this.#waiting.size === 0) return
    for (const look of [...this.#waiting]) look()
  }

  async #known({ id, partitions, isGone, filter }: Expected): Promise<void> {
    const isKnown = (): boolean => {
      if (isGone || this.#parts.isRemoved(id)) return this.#parts.findById(id) === undefined
      const info = this.#parts.findById(id)
      return info !== undefined && info.filter === filter && info.partitions >= partitions
    }
    if (isKnown()) return
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isKnown()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  #heldSince(sinceMs: number): void {
    this.lastHoldMs = this.#parts.clock.monotonicMs() - sinceMs
    this.longestHoldMs = Math.max(this.longestHoldMs, this.lastHoldMs)
  }

  async #everywhere(method: string, facts: unknown): Promise<ReadonlyArray<unknown>> {
    const { port } = this.#parts
    const asked = Array.from({ length: port.shards }, (_, shard) => port.call(shard, method, { facts }))
    return (await Promise.all(asked)).map((answer) => answer.facts)
  }

  #wait(ms: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => void this.#parts.clock.after(ms, () => resume(Effect.void)))
  }
}

/** The topic filters of the names that a topic may be the home of. */
export function namesOf({
  name,
  filter = nameOfTopic(name)
}: Pick<TopicInfo, "name"> & { filter?: string | undefined }): ReadonlyArray<string> {
  return filter === undefined ? [] : [filter]
}
