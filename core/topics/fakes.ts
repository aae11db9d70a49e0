/** For tests: the topics of several shards in one simulation, over array engines and a meta store in a Map. */
import { Effect, Scope } from "effect"
import { type JoinedShards, joinShards } from "../link/fakes.ts"
import type { CompactionStore } from "../log/CompactionStore.ts"
import type { Engine, Engines, PartitionKey } from "../log/Engines.ts"
import { ArrayEngine } from "../log/fakes.ts"
import type { ReservedOffsets } from "../log/ReservedOffsets.ts"
import type { MetaChange, MetaEntry, MetaStoreShape } from "../meta/MetaStore.ts"
import type { Simulation } from "../platform/simulated.ts"
import { dealSlots } from "../shard/slots.ts"
import { PUBLISHED_TOPICS_LIMITS, type PublishedTopicsLimits } from "./PublishedTopics.ts"
import { ShardTopics } from "./ShardTopics.ts"
import type { TopicDefaults } from "./Topics.ts"

export const DEFAULTS: TopicDefaults = {
  autoCreate: true,
  autoCreateMqtt: "memory",
  forName: () => ({ partitions: 1, engine: "memory", mode: "memory" })
}

/** Get, compare-and-write and watch; answers after `delayMs` of virtual time where that is not 0. */
export class FakeMeta implements MetaStoreShape {
  readonly entries = new Map<string, MetaEntry>()
  delayMs = 0
  /** How much later than the transaction a watcher is told, by its number in the order of their coming. */
  watchDelayMs: (watcher: number) => number = () => 0
  #revision = 0
  readonly #watchers: Array<{ prefix: string; changed: (change: MetaChange) => void }> = []
  readonly #simulation: Simulation

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  #later<A>(make: () => A): Effect.Effect<A> {
    if (this.delayMs === 0) return Effect.sync(make)
    return Effect.promise(
      () => new Promise<A>((resolve) => void this.#simulation.clock.after(this.delayMs, () => resolve(make())))
    )
  }
  get(key: string): Effect.Effect<MetaEntry | undefined> {
    return this.#later(() => this.entries.get(key))
  }
  range(prefix: string, cursor: string, limit: number): Effect.Effect<ReadonlyArray<MetaEntry>> {
    return this.#later(() => {
      const found = [...this.entries.values()].filter(({ key }) => key.startsWith(prefix) && key > cursor)
      return found.sort((one, other) => (one.key < other.key ? -1 : 1)).slice(0, limit)
    })
  }
  transact({ compare, writes }: Parameters<MetaStoreShape["transact"]>[0]): ReturnType<MetaStoreShape["transact"]> {
    return this.#later(() => {
      const holds = compare.every(({ key, version }) => (this.entries.get(key)?.version ?? 0) === version)
      if (!holds) return { committed: false, revision: this.#revision }
      this.#revision += 1
      for (const { key, value } of writes) {
        if (value === undefined) this.entries.delete(key)
        else this.entries.set(key, { key, value, version: this.#revision })
        const change = { key, value, revision: this.#revision }
        for (const [watcher, { prefix, changed }] of this.#watchers.entries()) {
          if (!key.startsWith(prefix)) continue
          const delayMs = this.watchDelayMs(watcher)
          if (delayMs === 0) changed(change)
          else this.#simulation.clock.after(delayMs, () => changed(change))
        }
      }
      return { committed: true, revision: this.#revision }
    })
  }
  watch(prefix: string, changed: (change: MetaChange) => void): Effect.Effect<void, never, Scope.Scope> {
    return Effect.sync(() => {
      for (const { key, value, version } of this.entries.values()) {
        if (key.startsWith(prefix)) changed({ key, value, revision: version })
      }
      this.#watchers.push({ prefix, changed })
    })
  }
  grantLease(): Effect.Effect<number> {
    return Effect.succeed(1)
  }
  keepLeaseAlive(): Effect.Effect<void> {
    return Effect.void
  }
  revokeLease(): Effect.Effect<void> {
    return Effect.void
  }
}

/** Notes the ids of topics that it was told to forget. */
export class NotingEngine extends ArrayEngine {
  readonly removed: Array<string> = []

  override remove(key: PartitionKey): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.removed.push(key.topicId)
      return super.remove(key)
    })
  }
}

const NOTHING_STORED: CompactionStore = {
  survey: () => Promise.resolve(undefined),
  read: () => Promise.resolve(new Uint8Array(0)),
  replace: () => Promise.resolve(undefined)
}

export interface TopicsShard {
  readonly topics: ShardTopics
  readonly engine: NotingEngine
}

export interface JoinedTopics {
  readonly joined: JoinedShards
  readonly meta: FakeMeta
  readonly shards: ReadonlyArray<TopicsShard>
  readonly logged: Array<string>
}

export interface JoinTopicsOptions {
  readonly shards?: number
  readonly defaults?: Partial<TopicDefaults>
  readonly published?: Partial<PublishedTopicsLimits>
  /** What the meta store holds from the beginning. */
  readonly meta?: ReadonlyArray<MetaEntry>
  /** The engine of all shards, where the test brings one. */
  readonly engine?: NotingEngine
  /** What is kept of offsets, of all shards. */
  readonly offsets?: ReservedOffsets
  /** Its topics may be such that are compacted, which nothing does. */
  readonly compacts?: boolean
  /** Engines beside that one, of all shards, by name. */
  readonly others?: Readonly<Record<string, Engine>>
  /** There where the meta store outlives the process. */
  readonly synced?: () => Promise<void>
}

/** One `ShardTopics` a shard (at least two shards are joined, the first `shards` of them have topics). */
export function joinTopics(simulation: Simulation, options: JoinTopicsOptions = {}): JoinedTopics {
  const count = options.shards ?? 2
  const joined = joinShards(simulation, count)
  const meta = new FakeMeta(simulation)
  for (const entry of options.meta ?? []) meta.entries.set(entry.key, entry)
  const logged: Array<string> = []
  const shards = joined.all.map(({ port, turn }) => {
    const engine = options.engine ?? new NotingEngine()
    if (options.compacts === true) Object.assign(engine, { compaction: NOTHING_STORED })
    const engines: typeof Engines.Service = {
      register: () => Effect.void,
      get: (name) => (name === "memory" ? engine : options.others?.[name]),
      names: () => ["memory", ...Object.keys(options.others ?? {})]
    }
    const topics = new ShardTopics({
      port,
      slotOwners: dealSlots(count),
      engines,
      meta,
      clock: simulation.clock,
      turn,
      engineLabel: (engine) => `engine ${engine}`,
      offsets: options.offsets,
      synced: options.synced,
      random: simulation.random,
      defaults: { ...DEFAULTS, ...options.defaults },
      published: { ...PUBLISHED_TOPICS_LIMITS, ...options.published },
      log: (message) => void logged.push(message),
      tell: (message) => void logged.push(message)
    })
    Effect.runSync(Effect.ignore(Scope.provide(topics.follow(), Scope.makeUnsafe())))
    return { topics, engine }
  })
  return { joined, meta, shards, logged }
}
