/**
 * Creation and deletion of topics among the shards: the owner of partition 0 of a topic's name is its coordinator, and everything
 * that makes or ends a topic of that name passes through it.
 *
 * Invariant: whoever is answered knows on its own shard of what it was answered.
 */
import { Effect } from "effect"
import type { LinkPort } from "../link/LinkPort.ts"
import { type AgreedTopics, isBindable, missing, type NewTopic, taken } from "./AgreedTopics.ts"
import { isKafkaTopicName } from "./default-binding.ts"
import { namesOf, type TopicBindings } from "./TopicBindings.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicInfo, TopicOrigin } from "./TopicInfo.ts"
import type { TopicMover } from "./TopicMover.ts"

/** What one shard asks a topic's coordinator for, and what it gets. */
export interface TopicRequest {
  /** "publish" ensures it because a message came on its name. */
  readonly verb: "ensure" | "publish" | "create" | "delete" | "move" | "cancel-move" | "bind"
  readonly tenant: number
  readonly topic: NewTopic
  /** Of a move; else as it is. */
  readonly bytesPerSecond?: number | undefined
}
interface Answer {
  readonly topic?: TopicInfo
  readonly refused?: { readonly reason: TopicError["reason"]; readonly message: string }
}

interface Creation {
  count: number
  readonly ended: Array<() => void>
  /** Why the last of them failed by the rules for new topics, which another attempt would meet too. */
  error: TopicError | undefined
}

export interface TopicCoordinatorParts {
  readonly port: LinkPort
  readonly agreed: AgreedTopics
  readonly mover: TopicMover
  readonly bindings: TopicBindings
  /** Whether a topic may be created because a Kafka client asks for it. */
  readonly autoCreate: boolean
  /** Whether messages may cause one more creation now; takes one from the rate. */
  readonly admit: () => boolean
  readonly coordinatorOf: (tenant: number, name: string) => number
  /** What this shard knows. */
  readonly find: (tenant: number, name: string) => TopicInfo | undefined
  readonly add: (topic: TopicInfo) => void
  readonly remove: (id: string) => void
  /** Ends a topic that is this coordinator's own, on all shards. */
  readonly removeOwn: (topic: TopicInfo) => void
}

export class TopicCoordinator {
  readonly #parts: TopicCoordinatorParts
  /** Creations that wait for the meta store, by `tenant/name`, and who is to be told of their end. */
  readonly #creating = new Map<string, Creation>()

  constructor(parts: TopicCoordinatorParts) {
    this.#parts = parts
    parts.port.answer("topics.coordinate", async (_from, { facts }) => {
      const answered = this.#coordinate(facts as TopicRequest).pipe(
        Effect.map((topic): Answer => ({ topic })),
        Effect.catch(({ reason, message }) => Effect.succeed<Answer>({ refused: { reason, message } }))
      )
      return { facts: await Effect.runPromise(answered) }
    })
  }

  /** Whether this coordinator waits for the meta store to agree on the topic. */
  isCreating(tenant: number, name: string): boolean {
    return this.#creating.has(`${tenant}/${name}`)
  }

  /** Has the coordinator of the topic's name do it; what comes of it is known here when it is answered. */
  ask(request: TopicRequest): Effect.Effect<TopicInfo, TopicError> {
    const { tenant, topic, verb } = request
    const { port, coordinatorOf, add, remove } = this.#parts
    const coordinator = coordinatorOf(tenant, topic.name)
    if (coordinator === port.shard) return this.#coordinate(request)
    const failed = (error: unknown): TopicError =>
      new TopicError({ topic: topic.name, reason: "meta-store", message: String(error) })
    return Effect.tryPromise({
      try: () => port.call(coordinator, "topics.coordinate", { facts: request }),
      catch: failed
    }).pipe(
      Effect.flatMap(({ facts }) => {
        const { topic: info, refused } = facts as Answer
        if (refused !== undefined) return Effect.fail(new TopicError({ topic: topic.name, ...refused }))
        if (info === undefined) return Effect.fail(failed("the coordinator did not answer"))
        if (verb === "delete") remove(info.id)
        else add(info)
        return Effect.succeed(info)
      })
    )
  }

  #coordinate({ verb, tenant, topic, bytesPerSecond }: TopicRequest): Effect.Effect<TopicInfo, TopicError> {
    return Effect.suspend(() => {
      const { name } = topic
      const { find, agreed, autoCreate } = this.#parts
      const known = find(tenant, name)
      if (verb === "delete") return this.#delete(tenant, name, known)
      if (verb === "move" || verb === "cancel-move") {
        if (known === undefined) return Effect.fail(missing(name))
        if (verb === "cancel-move") return this.#parts.mover.cancel(known)
        const { engine, mode } = topic
        const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond }
        return this.#parts.mover.begin(known, { ...(engine && { engine }), ...(mode && { mode }), ...rate })
      }
      const { bindings } = this.#parts
      if (verb === "bind")
        return known === undefined ? Effect.fail(missing(name)) : bindings.rebind(known, topic.filter)
      if (verb === "create") {
        // Asked again when its turn has come: a message may have made one meanwhile.
        const created = Effect.suspend(() =>
          find(tenant, name) === undefined
            ? this.#create(tenant, name, agreed.create(tenant, topic, "admin"))
            : Effect.fail(taken(name))
        )
        if (known !== undefined) return Effect.fail(taken(name))
        if (topic.filter === undefined || !isBindable(topic.filter)) return created
        return bindings.during(
          () => ({ tenant, filters: namesOf(topic) }),
          created,
          () => ({ isGone: false })
        )
      }
      if (known !== undefined) return Effect.succeed(known)
      if (verb === "publish") return this.#ensureForPublish(tenant, name)
      if (autoCreate || !isKafkaTopicName(name)) return this.#ensure(tenant, name, "kafka")
      return Effect.fail(new TopicError({ topic: name, reason: "not-allowed", message: "topics.auto_create is off" }))
    })
  }

  #ensure(tenant: number, name: string, origin: TopicOrigin): Effect.Effect<TopicInfo, TopicError> {
    const ensured = this.#parts.agreed.ensure(tenant, name, origin)
    const noted = Effect.tapError(ensured, (error) =>
      Effect.sync(() => {
        const creation = this.#creating.get(`${tenant}/${name}`)
        if (creation !== undefined) creation.error = error
      })
    )
    return this.#create(tenant, name, noted)
  }

  /** The topic because of a message: what comes of a creation that is under way, or of one that the rate allows. */
  #ensureForPublish(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError> {
    const creation = this.#creating.get(`${tenant}/${name}`)
    if (creation === undefined) {
      if (this.#parts.admit()) return this.#ensure(tenant, name, "publish")
      const message = "more new names than may be created a second"
      return Effect.fail(new TopicError({ topic: name, reason: "rate", message }))
    }
    return Effect.callback<void>((resume) => void creation.ended.push(() => resume(Effect.void))).pipe(
      Effect.flatMap(() => {
        const made = this.#parts.find(tenant, name)
        if (made !== undefined) return Effect.succeed(made)
        // What an administrator wanted and did not get may be had by the rules.
        return creation.error === undefined ? this.#ensureForPublish(tenant, name) : Effect.fail(creation.error)
      })
    )
  }

  /** Carries a creation out; who waits for it is told when nobody creates the topic any more. */
  #create(
    tenant: number,
    name: string,
    agreed: Effect.Effect<TopicInfo, TopicError>
  ): Effect.Effect<TopicInfo, TopicError> {
    return Effect.suspend(() => {
      const key = `${tenant}/${name}`
      const creation = this.#creating.get(key) ?? { count: 0, ended: [], error: undefined }
      creation.count += 1
      this.#creating.set(key, creation)
      const leave = (): void => {
        creation.count -= 1
        if (creation.count > 0) return
        this.#creating.delete(key)
        for (const ended of creation.ended) ended()
      }
      return agreed.pipe(
        Effect.tap((info) => Effect.sync(() => this.#parts.add(info))),
        Effect.ensuring(Effect.sync(leave))
      )
    })
  }

  #delete(tenant: number, name: string, known: TopicInfo | undefined): Effect.Effect<TopicInfo, TopicError> {
    const { agreed, find, remove, removeOwn, mover } = this.#parts
    const forgotten = Effect.tap(agreed.remove(tenant, name), (info) => Effect.sync(() => remove(info.id)))
    const isBound = known?.filter !== undefined
    const names = { tenant, filters: known === undefined ? [] : namesOf(known) }
    const removed = isBound
      ? this.#parts.bindings.during(
          () => names,
          forgotten,
          () => ({ isGone: true })
        )
      : forgotten
    return (known === undefined ? removed : mover.without(known, removed)).pipe(
      Effect.catch((error) => {
        if (error.reason !== "not-found") return Effect.fail(error)
        // A topic that a PUBLISH made in memory is in no meta store.
        if (known === undefined || find(tenant, name) !== known) return Effect.fail(missing(name))
        return Effect.sync(() => {
          removeOwn(known)
          return known
        })
      })
    )
  }
}
