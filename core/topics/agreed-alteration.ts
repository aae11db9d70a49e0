/** What an administrator alters of a topic, as the meta store agrees on it: one transaction, whatever else is agreed on meanwhile. */
import { Effect } from "effect"
import type { Engines } from "../log/Engines.ts"
import type { MetaEntry, MetaStoreShape } from "../meta/MetaStore.ts"
import { compactionFault, partitioningFault } from "./check-compaction.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicDefault, TopicInfo } from "./TopicInfo.ts"
import { type TopicAlteration, withConfigs, withPartitions } from "./topic-alteration.ts"
import { decodeTopic, encodeTopic, moveKey } from "./topic-codec.ts"

/** Alterations that meet other changes begin anew so often. */
const ATTEMPTS_MAX = 20

/** A topic, and the revision of the meta store that made it so; 0 = nothing was made. */
export interface AgreedTopic {
  readonly info: TopicInfo
  readonly revision: number
}

export interface AgreedAlterationParts {
  readonly meta: MetaStoreShape
  readonly engines: Pick<typeof Engines.Service, "get" | "names">
  readonly forName: (name: string) => TopicDefault
  /** The topic of this name as the meta store has it; fails where it has none. */
  readonly get: (tenant: number, name: string) => Effect.Effect<MetaEntry, TopicError>
}

/**
 * Alters a topic that is there under this id. Fails with "not-found" where it is not, as `get` does, with "moving" where partitions are to be
 * added to one that is moved, and with "not-compactable" where what it is partitioned by does not let it be compacted.
 */
export function agreeAlteration(
  parts: AgreedAlterationParts,
  topic: TopicInfo,
  alteration: TopicAlteration,
  attempts = ATTEMPTS_MAX
): Effect.Effect<AgreedTopic, TopicError> {
  const { tenant, name, id } = topic
  const { partitions, isTrial = false } = alteration
  const refuse = (reason: TopicError["reason"], message: string) => new TopicError({ topic: name, reason, message })
  return Effect.gen(function* () {
    const { key, value, version } = yield* parts.get(tenant, name)
    const before = decodeTopic(key, value)
    if (before.id !== id) return yield* refuse("not-found", `there is no topic ${JSON.stringify(name)} of that id`)
    const info = yield* alteredOf(parts, before, alteration)
    if (isTrial) return { info, revision: 0 }
    // What a move copies is as many partitions as there were when it began.
    const unmoved = partitions === undefined ? [] : [{ key: moveKey(before), version: 0 }]
    const transaction = { compare: [{ key, version }, ...unmoved], writes: [{ key, value: encodeTopic(info) }] }
    const { committed, revision } = yield* parts.meta
      .transact(transaction)
      .pipe(Effect.mapError(({ message }) => refuse("meta-store", message)))
    if (committed) return { info, revision }
    if (attempts > 0) return yield* agreeAlteration(parts, topic, alteration, attempts - 1)
    return yield* refuse("moving", "it is being moved, or changed by others; try again when that is done")
  })
}

/** The topic as it is to be. */
function alteredOf(
  { engines, forName }: AgreedAlterationParts,
  before: TopicInfo,
  alteration: TopicAlteration
): Effect.Effect<TopicInfo, TopicError> {
  const { configs, isWhole, partitions } = alteration
  const refuse = (reason: TopicError["reason"], message: string): Effect.Effect<never, TopicError> =>
    Effect.fail(new TopicError({ topic: before.name, reason, message }))
  const larger = partitions === undefined ? before : withPartitions(before, partitions)
  if (typeof larger === "string") return refuse("invalid-partitions", larger)
  if (configs === undefined && isWhole !== true) return Effect.succeed(larger)
  const after = withConfigs(larger, alteration, forName(before.name))
  if (typeof after === "string") return refuse("invalid-config", after)
  const partitioned = partitioningFault(after)
  if (partitioned !== undefined) return refuse("not-compactable", partitioned)
  const uncompacted = compactionFault(engines, after.engine, after.configs)
  return uncompacted === undefined ? Effect.succeed(after) : refuse("invalid-config", uncompacted)
}
