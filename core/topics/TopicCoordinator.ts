/**
 * Creation and deletion of topics among the shards: the owner of partition 0 of a topic's name is its coordinator, and everything
 * that makes or ends a topic of that name passes through it.
 *
 * Invariant: whoever is answered knows on its own shard of what it was answered.
 */
import { Effect } from "effect"
import type { LinkPort } from "../link/LinkPort.ts"
import { type AgreedTopics, isBindable, missing, type NewTopic, taken } from "./AgreedTopics.ts"
import type { AgreedTopic } from "./agreed-alteration.ts"
import { isKafkaTopicName } from "./default-binding.ts"
import { namesOf, type TopicBindings } from "./TopicBindings.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicInfo, TopicOrigin } from "./TopicInfo.ts"
import type { TopicMover } from "./TopicMover.ts"
import type { TopicTurns } from "./TopicTurns.ts"
import type { TopicAlteration } from "./topic-alteration.ts"

/** What one shard asks a topic's coordinator for, and what it gets. */
export interface TopicRequest {
  /** "publish" ensures it because a message came on its name. */
  readonly verb: "ensure" | "publish" | "create" | "delete" | "alter" | "move" | "cancel-move" | "bind"
  readonly tenant: number
  readonly topic: NewTopic
  /** Of a move; else as it is. */
  readonly bytesPerSecond?: number | undefined
  readonly alteration?: TopicAlteration
  /** Of the topic that is to be deleted or altered; absent = whichever has the name. */
  readonly id?: string | undefined
}

interface Answer {
  readonly topic?: TopicInfo
  /** Of what was altered: see {@link AgreedTopic}. */
  readonly revision?: number
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
  readonly turns: TopicTurns
  /** Whether a topic may be created because a Kafka client asks for it. */
  readonly autoCreate: boolean
  /** Whether messages may cause one more creation now; takes one from the rate. */
  readonly admit: () => boolean
  readonly coordinatorOf: (tenant: number, name: string) => number
  /** What this shard knows. */
  readonly find: (tenant: number, name: string) => TopicInfo | undefined
  readonly add: (topic: TopicInfo) => void
  /** The topic is another as of that revision of the meta store; of revision 0 nothing came. */
  readonly altered: (topic: AgreedTopic) => void
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
        Effect.map(({ info: topic, revision }): Answer => ({ topic, revision })),
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
    const { port, coordinatorOf, add, altered, remove } = this.#parts
    const coordinator = coordinatorOf(tenant, topic.name)
    if (coordinator === port.shard) return this.#coordinate(request).pipe(Effect.map(({ info }) => info))
    const failed = (error: unknown): TopicError =>
      new TopicError({ topic: topic.name, reason: "meta-store", message: String(error) })
    return Effect.tryPromise({
      try: () => port.call(coordinator, "topics.coordinate", { facts: request }),
      catch: failed
    }).pipe(
      Effect.flatMap(({ facts }) => {
        const { topic: info, revision = 0, refused } = facts as Answer
        if (refused !== undefined) return Effect.fail(new TopicError({ topic: topic.name, ...refused }))
        if (info === undefined) return Effect.fail(failed("the coordinator did not answer"))
        if (verb === "delete") remove(info.id)
        else if (verb === "alter") altered({ info, revision })
        else add(info)
        return Effect.succeed(info)
      })
    )
  }

  #coordinate(request: TopicRequest): Effect.Effect<AgreedTopic, TopicError> {
    if (request.verb !== "alter") {
      return this.#coordinateWhole(request).pipe(Effect.map((info): AgreedTopic => ({ info, revision: 0 })))
    }
    const { tenant, topic, id, alteration = {} } = request
    return this.#inTurn(tenant, topic.name, (known) => {
      const { agreed, altered } = this.#parts
      if (id !== undefined && known.id !== id) return Effect.fail(missing(topic.name))
      return agreed.alter(known, alteration).pipe(Effect.tap((done) => Effect.sync(() => altered(done))))
    })
  }

  /** Changes a topic, as it is when its turn has come; fails with "not-found" where there is none by then. */
  #inTurn<A>(
    tenant: number,
    name: string,
    change: (known: TopicInfo) => Effect.Effect<A, TopicError>
  ): Effect.Effect<A, TopicError> {
    const { turns, find } = this.#parts
    const changed = Effect.suspend(() => {
      const known = find(tenant, name)
      return known === undefined ? Effect.fail(missing(name)) : change(known)
    })
    return turns.take({ tenant, name }, changed)
  }

  #coordinateWhole(request: TopicRequest): Effect.Effect<TopicInfo, TopicError> {
    const { verb, tenant, topic, bytesPerSecond, id } = request
    return Effect.suspend(() => {
      const { name } = topic
      const { find, agreed, autoCreate } = this.#parts
      const known = find(tenant, name)
      if (verb === "delete") return this.#delete(tenant, name, known, id)
      const { bindings, mover } = this.#parts
      if (verb === "move") {
        const { engine, mode } = topic
        const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond }
        const wish = { ...(engine && { engine }), ...(mode && { mode }), ...rate }
        return this.#inTurn(tenant, name, (now) => mover.begin(now, wish))
      }
      // That waits for nobody: who has the turn may wait for the move's end.
      if (verb === "cancel-move") return known === undefined ? Effect.fail(missing(name)) : mover.cancel(known)
      if (verb === "bind") return this.#inTurn(tenant, name, (now) => bindings.rebind(now, topic.filter))
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

  #delete(
    tenant: number,
    name: string,
    known: TopicInfo | undefined,
    id?: string
  ): Effect.Effect<TopicInfo, TopicError> {
    const { agreed, find, remove, removeOwn, mover, bindings, turns } = this.#parts
    if (id !== undefined && known !== undefined && known.id !== id) return Effect.fail(missing(name))
    const forgotten = Effect.tap(agreed.remove(tenant, name, id), (info) => Effect.sync(() => remove(info.id)))
    const removed = Effect.suspend(() => {
      const now = find(tenant, name)
      if (now?.filter === undefined) return forgotten
      const names = { tenant, filters: namesOf(now) }
      return bindings.during(
        () => names,
        forgotten,
        () => ({ isGone: true })
      )
    })
    const inTurn = turns.take({ tenant, name }, removed)
    return (known === undefined ? inTurn : mover.without(known, inTurn)).pipe(
      Effect.catch((error) => {
        if (error.reason !== "not-found") return Effect.fail(error)
        // A topic that a PUBLISH made in memory is in no meta store.
        if (known === undefined || find(tenant, name)?.id !== known.id) return Effect.fail(missing(name))
        return Effect.sync(() => {
          removeOwn(known)
          return known
        })
      })
    )
  }
}
