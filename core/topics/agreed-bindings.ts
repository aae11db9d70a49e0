/**
 * The topic filter of a topic as the meta store agrees on it: bound, bound otherwise and unbound, each one transaction.
 *
 * `bindings/<tenant>` is written by every creation and every change with a topic filter, so that two that conflict cannot pass each other: who writes
 * it has been told of all that was bound under the version that it compares with.
 */
import { Effect } from "effect"
import type { MetaStoreError, MetaStoreShape, MetaTransaction } from "../meta/MetaStore.ts"
import { formerlyWith } from "./former-bindings.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeTopic, topicKey } from "./topic-codec.ts"

/** Changes that meet another one begin anew so often. */
const ATTEMPTS_MAX = 20

const encoder = new TextEncoder()

export interface AgreedBindingsParts {
  readonly meta: MetaStoreShape
  /** A known topic, but the one of this id, whose filter shares names with this one at the same rank. */
  readonly conflicting: (tenant: number, filter: string, exceptId: string) => TopicInfo | undefined
}

/** What a topic is to be bound to. */
export interface NewBinding {
  /** Undefined = the default binding of its name, if that has one. */
  readonly filter: string | undefined
  /** See {@link TopicInfo.boundFrom}. */
  readonly boundFrom: ReadonlyArray<number>
}

/** Makes the topic the home of other names; fails with "not-found" where it is not there under its id, and as a creation with that filter would. */
export function agreeBinding(
  parts: AgreedBindingsParts,
  topic: TopicInfo,
  binding: NewBinding,
  attempts = ATTEMPTS_MAX
): Effect.Effect<TopicInfo, TopicError> {
  const { name, tenant, id } = topic
  const failed = ({ message }: Pick<MetaStoreError, "message">): TopicError =>
    new TopicError({ topic: name, reason: "meta-store", message })
  return Effect.gen(function* () {
    const { meta } = parts
    const key = topicKey(topic)
    const guard = guardKey(tenant)
    const version = (yield* meta.get(guard).pipe(Effect.mapError(failed)))?.version ?? 0
    const entry = yield* meta.get(key).pipe(Effect.mapError(failed))
    const now = entry === undefined ? undefined : decodeTopic(entry.key, entry.value)
    if (entry === undefined || now?.id !== id) {
      const message = `there is no topic ${JSON.stringify(name)} that the meta store knows`
      return yield* new TopicError({ topic: name, reason: "not-found", message })
    }
    const { filter, boundFrom } = binding
    const rival = filter === undefined ? undefined : parts.conflicting(tenant, filter, id)
    if (rival !== undefined) return yield* conflict(name, filter, rival)
    const { filter: _filter, boundFrom: _boundFrom, ...rest } = now
    const changed: TopicInfo = {
      ...rest,
      boundFrom,
      formerly: formerlyWith(now),
      ...(filter === undefined ? {} : { filter })
    }
    const transaction: MetaTransaction = {
      compare: [
        { key, version: entry.version },
        { key: guard, version }
      ],
      writes: [
        { key, value: encodeTopic(changed) },
        { key: guard, value: encoder.encode(name) }
      ]
    }
    const { committed } = yield* meta.transact(transaction).pipe(Effect.mapError(failed))
    if (committed) return changed
    if (attempts > 0) return yield* agreeBinding(parts, topic, binding, attempts - 1)
    return yield* failed({ message: "other bindings are made at the same time; try again" })
  })
}

/** What is written with every topic filter of a tenant. */
export function guardKey(tenant: number): string {
  return `bindings/${tenant}`
}

/** Two filters of one rank that share names, so that these would have two homes. */
export function conflict(topic: string, filter: string | undefined, rival: TopicInfo): TopicError {
  const message = `filter "${filter}" has names in common with "${rival.filter}" of topic "${rival.name}", which has the same rank`
  return new TopicError({ topic, reason: "filter-conflict", message })
}
