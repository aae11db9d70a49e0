/**
 * What handlers change of a node, as plain calls: topics through the core, quotas in the meta store. Nothing here rejects: what is refused
 * is an error code of Kafka's with a line for a person.
 */
import { Effect } from "effect"
import {
  configsOfRule,
  type MetaStoreShape,
  type NewTopic,
  type TopicAlteration,
  type TopicConfigs,
  type TopicDefault,
  type TopicError,
  type TopicInfo,
  type TopicsShape
} from "../../core/mod.ts"
import { alterQuota, type QuotaChange } from "./quotas/alter-quota.ts"
import type { ClientQuotas } from "./quotas/ClientQuotas.ts"
import { ErrorCode } from "./wire/error-codes.ts"

export interface Refused {
  readonly errorCode: number
  readonly message: string
}

export interface Administration {
  /** What {@link Administration.create} would make; known here and now alone. */
  plan(tenant: number, topic: NewTopic): Promise<TopicInfo | Refused>
  create(tenant: number, topic: NewTopic): Promise<TopicInfo | Refused>
  alter(tenant: number, name: string, alteration: TopicAlteration): Promise<TopicInfo | Refused>
  /** Of this name, and this id where one is given; undefined = done. */
  delete(tenant: number, name: string, id?: string): Promise<Refused | undefined>
  /** What a topic of this name is made with where nobody says otherwise. */
  defaultsOf(name: string): TopicDefault
  /** The same as configurations of a topic, those of its retention too. */
  configsOfRule(rule: TopicDefault): TopicConfigs
  /** Changes the quotas of an entity; why not, or undefined. */
  alterQuota(change: QuotaChange): Promise<Refused | undefined>
  /** Where everything is kept; the one log directory that Kafka's tools are shown. */
  readonly logDirectory: string
  /** Bytes that its file system has left; -1 where nobody knows. */
  usableBytes(): Promise<number>
}

/** Error codes for the reasons of the core. */
export const TOPIC_ERRORS: Readonly<Record<TopicError["reason"], number>> = {
  "invalid-name": ErrorCode.INVALID_TOPIC_EXCEPTION,
  "invalid-filter": ErrorCode.INVALID_CONFIG,
  "not-allowed": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  rate: ErrorCode.THROTTLING_QUOTA_EXCEEDED,
  exists: ErrorCode.TOPIC_ALREADY_EXISTS,
  "not-found": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  "filter-conflict": ErrorCode.INVALID_CONFIG,
  "not-compactable": ErrorCode.INVALID_CONFIG,
  "engine-missing": ErrorCode.INVALID_CONFIG,
  "mode-missing": ErrorCode.INVALID_CONFIG,
  "compaction-missing": ErrorCode.INVALID_CONFIG,
  busy: ErrorCode.REQUEST_TIMED_OUT,
  moving: ErrorCode.REASSIGNMENT_IN_PROGRESS,
  "not-moving": ErrorCode.INVALID_REQUEST,
  "move-refused": ErrorCode.INVALID_REQUEST,
  "invalid-config": ErrorCode.INVALID_CONFIG,
  "invalid-partitions": ErrorCode.INVALID_PARTITIONS,
  "alter-refused": ErrorCode.INVALID_REQUEST,
  // Clients ask again: the meta store may be there by then.
  "meta-store": ErrorCode.LEADER_NOT_AVAILABLE
}

export interface AdministrationParts {
  readonly topics: Pick<TopicsShape, "plan" | "create" | "alter" | "delete" | "defaultsOf">
  readonly logDirectory: string
  readonly usableBytes: Effect.Effect<number>
  readonly meta: Pick<MetaStoreShape, "get" | "transact">
  readonly quotas: ClientQuotas
}

export function makeAdministration(parts: AdministrationParts): Administration {
  const { topics, logDirectory, usableBytes, meta, quotas } = parts
  const answered = <A>(effect: Effect.Effect<A, TopicError>): Promise<A | Refused> =>
    Effect.runPromise(effect.pipe(Effect.catch((error) => Effect.succeed(refusedBy(error)))))
  return {
    plan: (tenant, topic) => answered(topics.plan(tenant, topic)),
    create: (tenant, topic) => answered(topics.create(tenant, topic)),
    alter: (tenant, name, alteration) => answered(topics.alter(tenant, name, alteration)),
    delete: (tenant, name, id) => answered(topics.delete(tenant, name, id).pipe(Effect.as(undefined))),
    defaultsOf: (name) => topics.defaultsOf(name),
    configsOfRule,
    alterQuota: (change) => Effect.runPromise(alterQuota(meta, quotas, change)),
    logDirectory,
    usableBytes: () => Effect.runPromise(usableBytes)
  }
}

export function isRefused(answer: object): answer is Refused {
  return "errorCode" in answer
}

function refusedBy({ reason, message }: TopicError): Refused {
  return { errorCode: TOPIC_ERRORS[reason], message }
}
