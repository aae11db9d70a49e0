/**
 * The topics that the manifest declares, compared with those of the meta store at every start.
 *
 * Invariants
 *  - A topic that is there already is left as it is: where the manifest says otherwise, one line of the log tells what and what to do.
 *    Only how long it keeps records, where that was not set for it at run time, and how it compresses them follow the manifest.
 *  - One that is no longer declared stays, with all that it holds. That is said at the first start without it; from then on it is a
 *    topic like those that were created at run time.
 *  - Where nothing has changed nothing is written.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import type { MetaChange, MetaFound, MetaStoreError, MetaStoreShape } from "../meta/MetaStore.ts"
import type { DeclaredTopic } from "../node/NodeOptions.ts"
import { StartError } from "../node/StartError.ts"
import { type RandomShape, randomUuid, uuidText } from "../platform/Random.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { compareRank, filtersOverlap } from "./filter-relations.ts"
import { withRetentionConfigs } from "./retention-configs.ts"
import { DEFAULT_RETENTION, type Retention, type TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeTopic, META_PREFIX, removedKey, storedKind, topicKey } from "./topic-codec.ts"

const TENANT = 0

export interface DeclareTopicsOptions {
  readonly declared: ReadonlyArray<DeclaredTopic>
  readonly meta: MetaStoreShape
  readonly random: RandomShape
  readonly log: Pick<LogShape, "info" | "warn">
}

/** A topic of the meta store, and the revision that wrote it. */
interface Known {
  readonly info: TopicInfo
  readonly version: number
}

/** Puts the manifest's topics into the meta store; before any shard follows it. */
export function declareTopics(options: DeclareTopicsOptions): Effect.Effect<void, StartError> {
  const { declared, log } = options
  return Effect.gen(function* () {
    const known = yield* readTopics(options.meta, new Set(declared.map(({ topic }) => topic)))
    const filters = new Map(declared.map(({ topic, filter }) => [topic, filter]))
    for (const topic of declared) {
      const found = known.get(topic.topic)
      if (found === undefined) yield* create(options, topic, filters, known)
      else {
        const differences = differencesOf(found.info, topic)
        if (differences.length > 0) {
          const isMovable = found.info.engine !== topic.engine || found.info.mode !== topic.mode
          const isBound = found.info.filter === topic.filter
          const advice = [
            ...(isMovable ? ['engine and mode are changed by "manifold topic move"'] : []),
            ...(isBound ? [] : ['the filter is changed by "manifold topic bind"']),
            "to have it made anew, without what it holds, delete it and start again"
          ].join("; ")
          log.warn("topics", `topic "${topic.topic}" stays as it is, ${differences.join(", ")}; ${advice}`)
        }
        const changed = changesOf(found.info, topic)
        if (found.info.origin !== "manifest" || Object.keys(changed).length > 0) {
          yield* rewrite(options.meta, found, { origin: "manifest", ...changed })
        }
      }
    }
    for (const found of known.values()) {
      const { name, origin } = found.info
      if (origin !== "manifest" || filters.has(name)) continue
      log.warn("topics", `topic "${name}" is no longer declared: it stays, with what it holds, until it is deleted`)
      yield* rewrite(options.meta, found, { origin: "admin" })
    }
  }).pipe(
    Effect.mapError((error) =>
      error instanceof StartError ? error : new StartError({ message: `meta store: ${error.message}` })
    )
  )
}

/** The topics that are declared or were, and those that a declared one may conflict with. There may be a million others. */
function readTopics(
  meta: MetaStoreShape,
  declared: ReadonlySet<string>
): Effect.Effect<Map<string, Known>, MetaStoreError> {
  return Effect.suspend(() => {
    const known = new Map<string, Known>()
    const prefix = `${META_PREFIX}${TENANT}/`
    const found: MetaFound = (key, bytes, start, end, version) => {
      const kind = storedKind(bytes, start, end)
      const isOther = kind !== undefined && kind.origin !== "manifest" && kind.filter === undefined
      if (isOther && !declared.has(key.slice(prefix.length))) return
      const info = decodeTopic(key, bytes.slice(start, end))
      const isOfUse = declared.has(info.name) || info.origin === "manifest" || info.filter !== undefined
      if (isOfUse) known.set(info.name, { info, version })
    }
    const changed = ({ key, value, revision }: MetaChange): void => {
      if (value !== undefined) found(key, value, 0, value.length, revision)
    }
    return Effect.scoped(meta.watch(prefix, changed, found)).pipe(Effect.as(known))
  })
}

function create(
  { meta, random }: DeclareTopicsOptions,
  { topic: name, filter, partitions, engine, mode, retention, compression = "none", ...kept }: DeclaredTopic,
  filters: ReadonlyMap<string, string>,
  known: ReadonlyMap<string, Known>
): Effect.Effect<void, StartError | MetaStoreError> {
  return Effect.gen(function* () {
    for (const { info } of known.values()) {
      // Those that are bound as declared were checked against each other with the manifest.
      if (info.filter === undefined || filters.get(info.name) === info.filter) continue
      if (compareRank(info.filter, filter) !== 0 || !filtersOverlap(info.filter, filter)) continue
      const rival = `"${info.filter}" of topic "${info.name}", which was bound at run time and has the same rank`
      return yield* new StartError({
        message: `binding of topic "${name}": filter "${filter}" has names in common with ${rival}: a name has one home`
      })
    }
    const id = idOf(name)
    // What is still to be forgotten of a topic of that id must not be this one's.
    const isFree = (yield* meta.get(removedKey({ id }))) === undefined
    const info: TopicInfo = {
      tenant: TENANT,
      name,
      id: isFree ? id : randomUuid(random),
      partitions,
      engine,
      mode,
      origin: "manifest",
      ...(retention === undefined ? {} : { retention }),
      ...(compression === "none" ? {} : { compression }),
      ...(kept.configs === undefined ? {} : { configs: kept.configs }),
      ...(kept.partitionBy === undefined ? {} : { partitionBy: kept.partitionBy }),
      filter
    }
    const key = topicKey(info)
    yield* meta.transact({ compare: [{ key, version: 0 }], writes: [{ key, value: encodeTopic(info) }] })
  })
}

function rewrite(
  meta: MetaStoreShape,
  { info, version }: Known,
  changed: Pick<TopicInfo, "origin" | "retention" | "compression">
): Effect.Effect<void, MetaStoreError> {
  const key = topicKey(info)
  const writes = [{ key, value: encodeTopic({ ...info, ...changed }) }]
  return meta.transact({ compare: [{ key, version }], writes }).pipe(Effect.asVoid)
}

function differencesOf(info: TopicInfo, declared: DeclaredTopic): ReadonlyArray<string> {
  const of = ({ partitions, engine, mode, filter, partitionBy = "name" }: TopicInfo | DeclaredTopic) => [
    ["partitions", partitions] as const,
    ["engine", engine] as const,
    ["mode", mode] as const,
    ["filter", filter ?? "none"] as const,
    ["partition_by", partitionBy] as const
  ]
  const wanted = of(declared)
  return of(info).flatMap(([key, value], index) => {
    const wish = wanted[index]?.[1]
    return value === wish
      ? []
      : [`with ${key} ${JSON.stringify(value)} where the manifest says ${JSON.stringify(wish)}`]
  })
}

/** What a topic that is there takes over from the manifest. */
function changesOf(
  info: TopicInfo,
  { retention, compression }: DeclaredTopic
): Pick<TopicInfo, "retention" | "compression"> {
  // What was set at run time is the topic's own, and wins.
  const wanted = retention === undefined ? undefined : withRetentionConfigs(retention, info.configs ?? {})
  const isKeptOtherwise = wanted !== undefined && !isSame(info.retention ?? DEFAULT_RETENTION, wanted)
  const isCompressedOtherwise = compression !== undefined && (info.compression ?? "none") !== compression
  return { ...(isKeptOtherwise ? { retention: wanted } : {}), ...(isCompressedOtherwise ? { compression } : {}) }
}

function isSame(one: Retention, other: Retention): boolean {
  return one.ms === other.ms && one.bytes === other.bytes
}

/**
 * A name-based UUID (version 8, RFC 9562): the first 16 bytes of SHA-256, marked. So a topic finds its records at the next start also
 * where the meta store is in memory and its engine is not.
 */
function idOf(name: string): string {
  const bytes = new Uint8Array(createHash("sha256").update(`manifold topic ${TENANT}/${name}`).digest()).slice(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return uuidText(bytes)
}
