/** DescribeGroups, ListGroups and DeleteGroups: each shard is asked for the groups that it owns. */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { deleteGroups, describeGroups, listGroups } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { Api, ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { groupCaller } from "./ask-group.ts"

/** Operations on a group that there is nobody to refuse yet: READ, DELETE, DESCRIBE as bits of their AclOperation codes. */
const OPERATIONS = (1 << 3) | (1 << 6) | (1 << 8)

/** Asks several shards, and is done when all have answered, or the connection has to end: then some are missing. */
function askShards<A extends Api>(
  exchange: Exchange<A>,
  broker: Broker,
  requests: ReadonlyMap<number, RequestOf<A>>,
  done: (answers: ReadonlyArray<ResponseOf<A>>, isWhole: boolean) => void
): void {
  const answers: Array<ResponseOf<A>> = []
  let open = requests.size
  let isOpen = true
  const finish = (): void => {
    if (isOpen) done(answers, open === 0)
    isOpen = false
  }
  exchange.waiting = {
    finish,
    cancel: () => {
      isOpen = false
    }
  }
  const caller = groupCaller(exchange.caller, exchange.version)
  for (const [shard, request] of requests) {
    broker.groups.ask(shard, exchange.api, caller, request, (answer) => {
      answers.push(answer)
      open -= 1
      if (open === 0) finish()
    })
  }
  if (requests.size === 0) finish()
}

/** Group ids by the shard that owns them. */
function byOwner(exchange: Exchange, broker: Broker, ids: ReadonlyArray<string>): Map<number, Array<string>> {
  const owned = new Map<number, Array<string>>()
  for (const id of ids) {
    const owner = broker.groups.ownerOf(exchange.caller.principal.tenant, id)
    const own = owned.get(owner) ?? []
    own.push(id)
    owned.set(owner, own)
  }
  return owned
}

type DescribedGroup = ElementOf<ResponseOf<typeof describeGroups>, "groups">

export function handleDescribeGroups(
  exchange: Exchange<typeof describeGroups>,
  request: RequestOf<typeof describeGroups>,
  broker: Broker
): void {
  // Once each, however often they are named: an answer may be many times as large as its question.
  const ids = [...new Set(request.groups)]
  const owned = byOwner(exchange as unknown as Exchange, broker, ids)
  const requests = new Map(Array.from(owned, ([shard, groups]) => [shard, { ...request, groups }]))
  askShards(exchange, broker, requests, (answers) => {
    const found = new Map(answers.flatMap(({ groups }) => groups.map((group) => [group.groupId, group])))
    const groups = ids.map((groupId): DescribedGroup => {
      const group = found.get(groupId) ?? {
        ...{ groupId, groupState: "", protocolType: "", protocolData: "", members: [] },
        errorCode: ErrorCode.NOT_COORDINATOR
      }
      broker.counts.error(group.errorCode)
      return request.includeAuthorizedOperations ? { ...group, authorizedOperations: OPERATIONS } : group
    })
    exchange.complete({ groups })
  })
}

export function handleListGroups(
  exchange: Exchange<typeof listGroups>,
  request: RequestOf<typeof listGroups>,
  broker: Broker
): void {
  const requests = new Map(Array.from({ length: broker.groups.shards }, (_, shard) => [shard, request]))
  askShards(exchange, broker, requests, (answers, isWhole) => {
    const errorCode = broker.counts.error(isWhole ? ErrorCode.NONE : ErrorCode.COORDINATOR_NOT_AVAILABLE)
    exchange.complete({ errorCode, groups: answers.flatMap(({ groups }) => groups) })
  })
}

export function handleDeleteGroups(
  exchange: Exchange<typeof deleteGroups>,
  request: RequestOf<typeof deleteGroups>,
  broker: Broker
): void {
  const owned = byOwner(exchange as unknown as Exchange, broker, request.groupsNames)
  const requests = new Map(Array.from(owned, ([shard, groupsNames]) => [shard, { groupsNames }]))
  askShards(exchange, broker, requests, (answers) => {
    const found = new Map(answers.flatMap(({ results }) => results.map((result) => [result.groupId, result.errorCode])))
    const results = [...new Set(request.groupsNames)].map((groupId) => {
      return { groupId, errorCode: broker.counts.error(found.get(groupId) ?? ErrorCode.NOT_COORDINATOR) }
    })
    exchange.complete({ throttleTimeMs: 0, results })
  })
}
