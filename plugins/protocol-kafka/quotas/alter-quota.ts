/** Changes of one entity's quotas: one transaction of the meta store each. */
import { Effect } from "effect"
import type { MetaStoreShape } from "../../../core/mod.ts"
import type { Refused } from "../Administration.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { type ClientQuotas, decodeQuota, encodeQuota, QUOTA_ENTITIES_MAX, QUOTA_KEYS } from "./ClientQuotas.ts"
import { type QuotaEntity, quotaKey } from "./quota-entity.ts"

/** Changes that meet others begin anew so often. */
const ATTEMPTS_MAX = 20

export interface QuotaOperation {
  readonly key: string
  readonly value: number
  readonly remove: boolean
}

export interface QuotaChange {
  readonly entity: QuotaEntity
  readonly operations: ReadonlyArray<QuotaOperation>
  /** Nothing is changed; it is told whether it could be. */
  readonly isTrial: boolean
}

/** Changes the quotas of an entity, known on this shard when it is done; why not, or undefined. */
export function alterQuota(
  meta: Pick<MetaStoreShape, "get" | "transact">,
  quotas: ClientQuotas,
  change: QuotaChange
): Effect.Effect<Refused | undefined> {
  const { entity, operations, isTrial } = change
  const fault = faultOf(operations)
  if (fault !== undefined) return Effect.succeed({ errorCode: ErrorCode.INVALID_REQUEST, message: fault })
  const key = quotaKey(entity)
  const attempt = (left: number): Effect.Effect<Refused | undefined> =>
    Effect.gen(function* () {
      const entry = yield* meta.get(key)
      const values: Record<string, number> = { ...(entry === undefined ? {} : decodeQuota(entry.value)) }
      for (const { key: name, value, remove } of operations) {
        if (remove) delete values[name]
        else values[name] = value
      }
      const isGone = Object.keys(values).length === 0
      if (entry === undefined && (isGone || quotas.size >= QUOTA_ENTITIES_MAX)) {
        if (isGone) return undefined
        const message = `${QUOTA_ENTITIES_MAX} entities have quotas, and no more may`
        return { errorCode: ErrorCode.POLICY_VIOLATION, message }
      }
      if (isTrial) return undefined
      const value = isGone ? undefined : encodeQuota(values)
      const compare = [{ key, version: entry?.version ?? 0 }]
      const { committed } = yield* meta.transact({ compare, writes: [{ key, value }] })
      if (committed) {
        quotas.changed({ key, value })
        return undefined
      }
      if (left > 0) return yield* attempt(left - 1)
      return { errorCode: ErrorCode.REQUEST_TIMED_OUT, message: "others change it at the same time; try again" }
    }).pipe(
      Effect.catch(({ message }) => Effect.succeed({ errorCode: ErrorCode.LEADER_NOT_AVAILABLE as number, message }))
    )
  return attempt(ATTEMPTS_MAX)
}

/** Why these operations are none, for a person. */
function faultOf(operations: ReadonlyArray<QuotaOperation>): string | undefined {
  const seen = new Set<string>()
  for (const { key, value, remove } of operations) {
    const isWhole = QUOTA_KEYS.get(key)
    const shown = JSON.stringify(key.slice(0, 100))
    if (isWhole === undefined) return `there is no quota ${shown}: ${[...QUOTA_KEYS.keys()].join(", ")}`
    if (seen.has(key)) return `quota ${shown} stands twice`
    seen.add(key)
    if (remove) continue
    if (!Number.isFinite(value) || value <= 0) return `quota ${shown} must be greater than 0`
    if (isWhole && !Number.isSafeInteger(value)) return `quota ${shown} must be a whole number`
  }
  return undefined
}
