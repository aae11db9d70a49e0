/**
 * DescribeClientQuotas and AlterClientQuotas.
 *
 * Source: apache/kafka ClientQuotasImage.describe, ClientQuotaControlManager.alterClientQuotas; KIP-546.
 */
import { ALTER, DESCRIBE } from "../../../core/mod.ts"
import type { Refused } from "../Administration.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { QuotaEntry } from "../quotas/ClientQuotas.ts"
import { CLIENT_ID, ENTITY_NAME_MAX, IP, type QuotaEntity, quotaKey, USER } from "../quotas/quota-entity.ts"
import type { alterClientQuotas, describeClientQuotas } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { answerWith, mapInOrder, repeatedOf } from "./answered-later.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { refusedBy } from "./config-resources.ts"
import { mayDo } from "./topic-access.ts"

type Component = ElementOf<RequestOf<typeof describeClientQuotas>, "components">
type EntityPart = ElementOf<ElementOf<RequestOf<typeof alterClientQuotas>, "entries">, "entity">
type AlterAnswer = ElementOf<ResponseOf<typeof alterClientQuotas>, "entries">

const EXACT = 0
const IS_DEFAULT = 1
const ANY = 2

export function handleDescribeClientQuotas(
  exchange: Exchange<typeof describeClientQuotas>,
  request: RequestOf<typeof describeClientQuotas>,
  broker: Broker
): void {
  const fault = mayDo(broker, exchange.caller, DESCRIBE, CLUSTER)
    ? faultOfFilter(request.components)
    : refusedBy(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
  if (fault !== undefined) {
    const { errorCode, message } = fault
    exchange.complete({ errorCode: broker.counts.error(errorCode), errorMessage: message, entries: null })
    return
  }
  const { components, strict } = request
  const found = [...broker.quotas.all()].filter(({ entity }) => isMatch(entity, components, strict))
  exchange.complete({ errorCode: ErrorCode.NONE, errorMessage: null, entries: found.map(entryOf) })
}

function entryOf({ entity, values }: QuotaEntry) {
  return {
    entity: [...partsOf(entity)].map(([entityType, entityName]) => ({ entityType, entityName })),
    values: Object.entries(values).map(([key, value]) => ({ key, value }))
  }
}

function faultOfFilter(components: ReadonlyArray<Component>): Refused | undefined {
  const twice = [...repeatedOf(components.map(({ entityType }) => entityType))][0]
  if (twice !== undefined)
    return refusedBy(ErrorCode.INVALID_REQUEST, `entity type ${twice.slice(0, 100)} stands twice`)
  for (const { entityType, matchType, match } of components) {
    if (entityType !== USER && entityType !== CLIENT_ID && entityType !== IP) {
      return refusedBy(
        ErrorCode.UNSUPPORTED_VERSION,
        `there is no entity type ${JSON.stringify(entityType.slice(0, 100))}`
      )
    }
    if (entityType === IP && components.length > 1) {
      return refusedBy(ErrorCode.INVALID_REQUEST, "an address is asked for alone")
    }
    const isKnown = matchType === EXACT || matchType === IS_DEFAULT || matchType === ANY
    if (!isKnown || (matchType === EXACT) !== (match !== null)) {
      return refusedBy(
        ErrorCode.INVALID_REQUEST,
        `match type ${matchType} and a name of ${match === null ? "none" : "some"}`
      )
    }
  }
  return undefined
}

/** Whether an entity has all that is asked for; `isStrict`: and nothing else. */
function isMatch(entity: QuotaEntity, components: ReadonlyArray<Component>, isStrict: boolean): boolean {
  const parts = new Map(partsOf(entity))
  if (isStrict && parts.size !== components.length) return false
  return components.every(({ entityType, matchType, match }) => {
    const name = parts.get(entityType)
    if (name === undefined) return false
    return matchType === ANY || name === (matchType === EXACT ? match : null)
  })
}

function* partsOf({ user, clientId }: QuotaEntity): Generator<[type: string, name: string | null]> {
  if (user !== undefined) yield [USER, user]
  if (clientId !== undefined) yield [CLIENT_ID, clientId]
}

export function handleAlterClientQuotas(
  exchange: Exchange<typeof alterClientQuotas>,
  request: RequestOf<typeof alterClientQuotas>,
  broker: Broker
): void {
  const isAllowed = mayDo(broker, exchange.caller, ALTER, CLUSTER)
  const entities = request.entries.map(({ entity }) => entityOf(entity))
  const twice = repeatedOf(entities.map((entity) => ("errorCode" in entity ? "" : quotaKey(entity))))
  const outcomes = mapInOrder(request.entries, async ({ entity: parts, ops }, index): Promise<AlterAnswer> => {
    const entity = entities[index] ?? refusedBy(ErrorCode.INVALID_REQUEST)
    let refused: Refused | undefined
    if (!isAllowed) refused = refusedBy(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    else if ("errorCode" in entity) refused = entity
    else if (twice.has(quotaKey(entity))) refused = refusedBy(ErrorCode.INVALID_REQUEST, "the entity stands twice")
    else refused = await broker.admin.alterQuota({ entity, operations: ops, isTrial: request.validateOnly })
    const errorCode = broker.counts.error(refused?.errorCode ?? ErrorCode.NONE)
    return { errorCode, errorMessage: refused?.message ?? null, entity: parts }
  })
  answerWith(
    exchange,
    outcomes.then((entries) => ({ entries }))
  )
}

/** The entity that these parts name, or why they name none. */
function entityOf(parts: ReadonlyArray<EntityPart>): QuotaEntity | Refused {
  const refused = (message: string): Refused => refusedBy(ErrorCode.INVALID_REQUEST, message)
  let entity: QuotaEntity = {}
  for (const { entityType, entityName: name } of parts) {
    if (name !== null && (name === "" || name.length > ENTITY_NAME_MAX)) {
      return refused(`the name of an entity has 1 to ${ENTITY_NAME_MAX} characters`)
    }
    if (entityType === IP) return refused("there are no quotas of addresses: connections of one are bounded by options")
    if (entityType === USER && entity.user === undefined) entity = { ...entity, user: name }
    else if (entityType === CLIENT_ID && entity.clientId === undefined) entity = { ...entity, clientId: name }
    else return refused(`an entity has a user, a client-id or both, not ${JSON.stringify(entityType.slice(0, 100))}`)
  }
  return entity.user === undefined && entity.clientId === undefined ? refused("an entity cannot be empty") : entity
}
