/**
 * Topics as the meta store agrees on them: creation, removal and alteration, each one transaction.
 *
 * Keys: `topics/<tenant>/<name>` holds a topic; `removed-topics/<id>` holds one that is gone and whose records have not all been
 * forgotten yet; `bindings/<tenant>` is written by every creation with a topic filter, so that two that conflict cannot pass each
 * other.
 *
 * Invariants
 *  - A name stands for one topic; its id is given once, here, and never to another.
 *  - What is told of as created or removed is so after a restart, where the meta store survives one.
 */
import { Effect } from "effect"
import type { Compression } from "../log/BatchCompressor.ts"
import type { Engines, Mode } from "../log/Engines.ts"
import type { MetaEntry, MetaStoreError, MetaStoreShape, MetaTransaction } from "../meta/MetaStore.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { type RandomShape, randomUuid } from "../platform/Random.ts"
import { checkTopicFilter, parseShared } from "../router/topic-filter.ts"
import { type AgreedTopic, agreeAlteration } from "./agreed-alteration.ts"
import { type AgreedBindingsParts, agreeBinding, conflict, guardKey, type NewBinding } from "./agreed-bindings.ts"
import { agreeMove, leaveMove, noteMove } from "./agreed-moves.ts"
import { compactionFault, partitioningFault } from "./check-compaction.ts"
import { isKafkaTopicName } from "./default-binding.ts"
import { withRetentionConfigs } from "./retention-configs.ts"
import { TopicError } from "./TopicError.ts"
import {
  DEFAULT_RETENTION,
  type PartitionBy,
  type Retention,
  type TopicDefault,
  type TopicInfo,
  type TopicOrigin
} from "./TopicInfo.ts"
import type { MoveWish } from "./TopicMover.ts"
import { PARTITIONS_MAX, type TopicAlteration } from "./topic-alteration.ts"
import { type AgreedMove, decodeTopic, encodeRemoved, encodeTopic, removedKey, topicKey } from "./topic-codec.ts"
import { checkTopicConfigs } from "./topic-configs.ts"
import type { TopicConfigs } from "./topic-settings.ts"

/** Creations with a filter that meet another one begin anew so often. */
const ATTEMPTS_MAX = 20

const encoder = new TextEncoder()

/** What somebody wants a topic to be; what is left out is as the rules for new topics say. */
export interface NewTopic {
  readonly name: string
  readonly partitions?: number
  readonly engine?: string
  readonly mode?: Mode
  /** What is left out of it is as the rules say, too. */
  readonly retention?: Partial<Retention>
  readonly compression?: Compression
  /** See {@link TopicInfo.configs}; its retention.ms and retention.bytes win over `retention`. */
  readonly configs?: TopicConfigs
  /** The topic filter that is bound to it. */
  readonly filter?: string
  /** See {@link TopicInfo.partitionBy}. */
  readonly partitionBy?: PartitionBy
}

export interface AgreedTopicsOptions {
  readonly meta: MetaStoreShape
  readonly random: RandomShape
  readonly engines: typeof Engines.Service
  readonly clock: ClockShape
  /** Whether what the meta store has outlives the process. */
  readonly isKept?: boolean
  readonly forName: (name: string) => TopicDefault
  readonly conflicting: AgreedBindingsParts["conflicting"]
}

export class AgreedTopics {
  readonly #options: AgreedTopicsOptions

  constructor(options: AgreedTopicsOptions) {
    this.#options = options
  }

  /** A new topic; fails with "exists" where its name is taken. */
  create(tenant: number, topic: NewTopic, origin: TopicOrigin): Effect.Effect<TopicInfo, TopicError> {
    return this.plan(tenant, topic, origin).pipe(
      Effect.flatMap((info) =>
        info.filter === undefined ? this.#put(info) : this.#bind(info, info.filter, ATTEMPTS_MAX)
      )
    )
  }

  /** The topic that would be made, if its name and its filter are free. */
  plan(tenant: number, topic: NewTopic, origin: TopicOrigin): Effect.Effect<TopicInfo, TopicError> {
    return Effect.suspend(() => {
      const { name, filter } = topic
      const byName = this.#options.forName(name)
      const configs = checkTopicConfigs({ ...byName.configs, ...topic.configs })
      const fault = this.#check(topic) ?? (typeof configs === "string" ? invalid(name, configs) : undefined)
      if (fault !== undefined || typeof configs === "string") return Effect.fail(fault ?? missing(name))
      const partitioned = partitioningFault({ ...topic, configs })
      if (partitioned !== undefined) {
        return Effect.fail(new TopicError({ topic: name, reason: "not-compactable", message: partitioned }))
      }
      const { partitions, engine, mode } = { ...byName, ...defined(topic) }
      if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
        const message = `a topic has 1 to ${PARTITIONS_MAX} partitions`
        return Effect.fail(new TopicError({ topic: name, reason: "invalid-partitions", message }))
      }
      const compression = topic.compression ?? byName.compression ?? "none"
      const retention = { ...DEFAULT_RETENTION, ...byName.retention, ...topic.retention }
      return Effect.succeed<TopicInfo>({
        tenant,
        name,
        id: randomUuid(this.#options.random),
        partitions,
        engine,
        mode,
        origin,
        retention: withRetentionConfigs(retention, configs),
        ...(compression === "none" ? {} : { compression }),
        ...(Object.keys(configs).length === 0 ? {} : { configs }),
        ...(topic.partitionBy === undefined || topic.partitionBy === "name" ? {} : { partitionBy: topic.partitionBy }),
        ...(filter === undefined ? {} : { filter })
      })
    })
  }

  /** See {@link agreeAlteration}; fails with "alter-refused" where it is in no meta store. */
  alter(topic: TopicInfo, alteration: TopicAlteration): Effect.Effect<AgreedTopic, TopicError> {
    const get = (tenant: number, name: string) => this.#getAgreed(tenant, name, "alter-refused")
    return agreeAlteration({ ...this.#options, get }, topic, alteration)
  }

  /** The topic of this name, created by the rules where it is missing. */
  ensure(tenant: number, name: string, origin: TopicOrigin): Effect.Effect<TopicInfo, TopicError> {
    return this.create(tenant, { name }, origin).pipe(
      Effect.catch((error) =>
        error.reason === "exists" ? this.#get(tenant, name).pipe(Effect.map(decodeEntry)) : Effect.fail(error)
      )
    )
  }

  /** See {@link agreeBinding}. */
  bind(topic: TopicInfo, binding: NewBinding): Effect.Effect<TopicInfo, TopicError> {
    return agreeBinding(this.#options, topic, binding)
  }

  /** Takes the topic out and notes it among those to be forgotten; fails with "not-found" where there is none of this name, and this id. */
  remove(tenant: number, name: string, id?: string): Effect.Effect<TopicInfo, TopicError> {
    return this.#get(tenant, name).pipe(
      Effect.flatMap((entry) => {
        const info = decodeEntry(entry)
        if (id !== undefined && info.id !== id) return Effect.fail(missing(name))
        const compare = [{ key: entry.key, version: entry.version }]
        const writes = [
          { key: entry.key, value: undefined },
          { key: removedKey(info), value: encodeRemoved(info) }
        ]
        return this.#transact(name, { compare, writes }).pipe(
          Effect.flatMap((committed) => (committed ? Effect.succeed(info) : Effect.fail(missing(name))))
        )
      })
    )
  }

  /**
   * What a topic would be that is moved as wished. Fails where it is so already, or cannot be: `isKept` says whether the meta store
   * outlives the process.
   */
  planMove(
    from: TopicInfo,
    { engine = from.engine, mode = from.mode }: MoveWish
  ): Effect.Effect<TopicInfo, TopicError> {
    const { name } = from
    const refuse = (message: string) => new TopicError({ topic: name, reason: "move-refused", message })
    return Effect.suspend(() => {
      const { configs } = from
      const fault = this.#check({ name, engine, mode, ...(configs === undefined ? {} : { configs }) })
      if (fault !== undefined) return Effect.fail(fault)
      if (engine === from.engine && mode === from.mode) {
        return Effect.fail(refuse(`its engine is "${engine}" and its mode "${mode}" already`))
      }
      const { engines, random, isKept } = this.#options
      const found = engines.get(engine)
      if (engine === from.engine) {
        if (found?.reopens === undefined) {
          return Effect.fail(refuse(`engine "${engine}" cannot change the mode of a log that it has open`))
        }
        return Effect.succeed({ ...from, mode })
      }
      if (found?.isCopyTarget !== true) return Effect.fail(refuse(`engine "${engine}" takes no copies of other logs`))
      if (isKept !== true) {
        return Effect.fail(refuse("no storage keeps what the node agrees on: the next start would not know of it"))
      }
      return Effect.succeed({ ...from, engine, mode, logId: randomUuid(random) })
    }).pipe(Effect.tap(() => this.#getAgreed(from.tenant, from.name, "move-refused")))
  }

  /** Notes a move before anything is written for it; fails where the topic is not there as it was. */
  noteMove(move: AgreedMove): Effect.Effect<void, TopicError> {
    const { name } = move.from
    const changed = new TopicError({ topic: name, reason: "moving", message: "it was changed just now; try again" })
    return noteMove(this.#options.meta, move).pipe(
      Effect.mapError(failure(name)),
      Effect.flatMap((isNoted) => (isNoted ? Effect.void : Effect.fail(changed)))
    )
  }

  /** See {@link agreeMove}. */
  agreeMove(move: AgreedMove, isOver: () => boolean): Effect.Effect<AgreedTopic | undefined> {
    const { meta, clock, engines } = this.#options
    const canBe = ({ engine, configs }: TopicInfo): boolean => compactionFault(engines, engine, configs) === undefined
    return agreeMove(meta, clock, move, canBe, isOver)
  }

  /** See {@link leaveMove}. */
  leaveMove(move: AgreedMove, info: TopicInfo): Effect.Effect<void, MetaStoreError> {
    return leaveMove(this.#options.meta, move, info)
  }

  /** Fails where the meta store does not have it: one that a PUBLISH made in memory may be evicted at any time. */
  #getAgreed(
    tenant: number,
    name: string,
    reason: "move-refused" | "alter-refused"
  ): Effect.Effect<MetaEntry, TopicError> {
    const message = "a message made it, in memory and for as long as there is room; delete it and create it as wished"
    const own = new TopicError({ topic: name, reason, message })
    return this.#get(tenant, name).pipe(Effect.mapError((error) => (error.reason === "not-found" ? own : error)))
  }

  /** Nothing is left of a removed topic, or of a log that a topic has left. */
  forgotten(info: TopicInfo): Effect.Effect<void, TopicError> {
    const writes = [{ key: removedKey(info), value: undefined }]
    return this.#transact(info.name, { compare: [], writes }).pipe(Effect.asVoid)
  }

  #check({ name, filter, ...wanted }: NewTopic): TopicError | undefined {
    const fault = (reason: TopicError["reason"], message: string): TopicError =>
      new TopicError({ topic: name, reason, message })
    if (!isKafkaTopicName(name)) {
      return fault("invalid-name", "not a valid topic name: 1 to 249 of A-Z a-z 0-9 . _ -, and neither . nor ..")
    }
    if (filter !== undefined && !isBindable(filter)) {
      return fault("invalid-filter", "not a valid topic filter: + stands for one level, # for all at the end")
    }
    const { engine, mode } = { ...this.#options.forName(name), ...defined(wanted) }
    const found = this.#options.engines.get(engine)
    if (found === undefined) {
      const known = this.#options.engines.names().join(", ")
      return fault("engine-missing", `no engine "${engine}" is loaded; there is ${known || "none"}`)
    }
    const uncompacted = compactionFault(this.#options.engines, engine, wanted.configs)
    if (uncompacted !== undefined) return fault("compaction-missing", uncompacted)
    if (found.modes.includes(mode)) return undefined
    return fault("mode-missing", `engine "${engine}" does not promise "${mode}", but ${found.modes.join(", ")}`)
  }

  #put(info: TopicInfo): Effect.Effect<TopicInfo, TopicError> {
    const key = topicKey(info)
    const transaction = { compare: [{ key, version: 0 }], writes: [{ key, value: encodeTopic(info) }] }
    return this.#transact(info.name, transaction).pipe(
      Effect.flatMap((committed) => (committed ? Effect.succeed(info) : Effect.fail(taken(info.name))))
    )
  }

  /** As {@link AgreedTopics.#put}, while nobody else binds a filter. */
  #bind(info: TopicInfo, filter: string, attempts: number): Effect.Effect<TopicInfo, TopicError> {
    const guard = guardKey(info.tenant)
    const key = topicKey(info)
    return Effect.gen({ self: this }, function* () {
      const { meta, conflicting } = this.#options
      const failed = failure(info.name)
      const version = (yield* meta.get(guard).pipe(Effect.mapError(failed)))?.version ?? 0
      // All that was bound until then has been told of.
      const rival = conflicting(info.tenant, filter, info.id)
      if (rival !== undefined) return yield* conflict(info.name, filter, rival)
      const isDone = yield* this.#transact(info.name, {
        compare: [
          { key, version: 0 },
          { key: guard, version }
        ],
        writes: [
          { key, value: encodeTopic(info) },
          { key: guard, value: encoder.encode(info.name) }
        ]
      })
      if (isDone) return info
      if ((yield* meta.get(key).pipe(Effect.mapError(failed))) !== undefined) return yield* taken(info.name)
      if (attempts > 0) return yield* this.#bind(info, filter, attempts - 1)
      return yield* failed({ message: "other bindings are made at the same time; try again" })
    })
  }

  #get(tenant: number, name: string): Effect.Effect<MetaEntry, TopicError> {
    return this.#options.meta.get(topicKey({ tenant, name })).pipe(
      Effect.mapError(failure(name)),
      Effect.flatMap((entry) => (entry === undefined ? Effect.fail(missing(name)) : Effect.succeed(entry)))
    )
  }

  #transact(name: string, transaction: MetaTransaction): Effect.Effect<boolean, TopicError> {
    const transacted = this.#options.meta.transact(transaction)
    return transacted.pipe(
      Effect.map(({ committed }) => committed),
      Effect.mapError(failure(name))
    )
  }
}

/** Whether a topic may be bound to it. */
export function isBindable(filter: string): boolean {
  return checkTopicFilter(filter) === 0 && parseShared(filter) === undefined
}

function defined({ partitions, engine, mode }: Omit<NewTopic, "name" | "filter">): Partial<NewTopic> {
  return {
    ...(partitions === undefined ? {} : { partitions }),
    ...(engine === undefined ? {} : { engine }),
    ...(mode === undefined ? {} : { mode })
  }
}

function failure(topic: string): (error: Pick<MetaStoreError, "message">) => TopicError {
  return ({ message }) => new TopicError({ topic, reason: "meta-store", message })
}

function invalid(topic: string, message: string): TopicError {
  return new TopicError({ topic, reason: "invalid-config", message })
}

export function taken(topic: string): TopicError {
  return new TopicError({ topic, reason: "exists", message: `there is a topic "${topic}" already` })
}

export function missing(topic: string): TopicError {
  return new TopicError({ topic, reason: "not-found", message: `there is no topic ${JSON.stringify(topic)}` })
}

function decodeEntry({ key, value }: MetaEntry): TopicInfo {
  return decodeTopic(key, value)
}
