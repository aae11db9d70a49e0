/** `consumer-group`: groups of Kafka clients, by name, with their members, what they have committed and how far behind they are. */
import { Effect } from "effect"
import * as v from "valibot"
import { type LogsShape, type Page, type Resource, ResourceError } from "../../../core/mod.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import type { OwnedGroup } from "./OwnedGroup.ts"

/** Requests that name no tenant are those of this one. */
const TENANT = 0
/** Partitions whose logs are asked for their end at the same time. */
const LOGS_AT_ONCE = 16

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const member = v.strictObject({
  memberId: v.string(),
  instanceId: v.pipe(v.nullable(v.string()), v.description("of a static member")),
  clientId: v.string(),
  host: v.string(),
  isLeader: v.boolean(),
  sessionTimeoutMs: count,
  rebalanceTimeoutMs: count,
  assignmentBytes: count
})
const offset = v.strictObject({
  topic: v.string(),
  partition: count,
  offset: v.pipe(v.number(), v.description("the next record that the group reads")),
  leaderEpoch: v.number(),
  metadata: v.string(),
  committed: v.pipe(v.string(), v.isoTimestamp(), v.description("when")),
  endOffset: v.pipe(v.nullable(count), v.description("of the partition; null = it cannot be read now")),
  lag: v.nullable(count)
})
const schema = v.strictObject({
  id: v.string(),
  state: v.picklist(["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"]),
  protocolType: v.pipe(v.nullable(v.string()), v.description("null = it has never had members")),
  protocol: v.nullable(v.string()),
  generation: count,
  memberCount: count,
  offsetCount: v.pipe(count, v.description("partitions with a committed offset")),
  lag: v.optional(v.pipe(v.nullable(count), v.description("of all partitions; of one group only"))),
  members: v.optional(v.pipe(v.array(member), v.description("of one group only"))),
  offsets: v.optional(v.pipe(v.array(offset), v.description("of one group only")))
})
type Item = v.InferOutput<typeof schema>
type Offset = v.InferOutput<typeof offset>

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function groupResource(coordinator: GroupCoordinator, logs: Pick<LogsShape, "state">): Resource {
  return {
    name: "consumer-group",
    plural: "consumer-groups",
    description: "Groups of Kafka clients that share what they read",
    schema,
    idMember: "id",
    list: ({ limit, cursor, filter }) =>
      Effect.sync((): Page<Item> => {
        const names = Array.from(coordinator.all(), ({ name }) => name)
          .filter(({ tenant, id }) => tenant === TENANT && id > cursor && id.includes(filter))
          .map(({ id }) => id)
          .sort()
        const items = names.slice(0, limit).flatMap((id) => {
          const group = coordinator.find({ tenant: TENANT, id })
          return group === undefined ? [] : [summaryOf(group)]
        })
        const last = items.at(-1)
        return names.length > limit && last !== undefined ? { items, cursor: last.id } : { items }
      }),
    get: (id) =>
      Effect.suspend(() => {
        const group = coordinator.find({ tenant: TENANT, id })
        if (group === undefined) return Effect.fail(gone(id))
        return Effect.promise(async () => ({ ...summaryOf(group), ...(await detailsOf(coordinator, logs, group)) }))
      }),
    verbs: [
      {
        name: "delete",
        description: "Forgets a group without members, with all that it has committed",
        kind: "delete",
        input: v.strictObject({}),
        run: (id) =>
          Effect.callback<void, ResourceError>((resume) => {
            const group = coordinator.find({ tenant: TENANT, id })
            if (group === undefined) {
              resume(Effect.fail(gone(id)))
              return
            }
            if (group.machine.state !== "Empty") {
              const message = `the group ${JSON.stringify(id)} has members`
              resume(Effect.fail(new ResourceError({ reason: "conflict", code: "group-not-empty", message })))
              return
            }
            coordinator.delete(group, (outcome) => {
              const message = "the disk takes nothing now; it is gone all the same, until the node starts again"
              const failure = new ResourceError({ reason: "unavailable", code: "storage-unavailable", message })
              resume(outcome === 0 ? Effect.void : Effect.fail(failure))
            })
          })
      }
    ]
  }
}

function gone(id: string): ResourceError {
  const message = `there is no consumer group ${JSON.stringify(id)}`
  return new ResourceError({ reason: "not-found", code: "group-not-found", message })
}

function summaryOf({ name, machine, offsets }: OwnedGroup): Item {
  return {
    id: name.id,
    state: machine.state,
    protocolType: machine.protocolType,
    protocol: machine.protocolName,
    generation: machine.generation,
    memberCount: machine.size,
    offsetCount: offsets.size
  }
}

async function detailsOf(
  { services }: GroupCoordinator,
  logs: Pick<LogsShape, "state">,
  { machine, offsets }: OwnedGroup
): Promise<Pick<Item, "lag" | "members" | "offsets">> {
  const members = Array.from(machine.members(), (each) => ({
    memberId: each.id,
    instanceId: each.instanceId,
    clientId: each.clientId,
    host: each.clientHost.replace(/^\//, ""),
    isLeader: machine.leader === each.id,
    sessionTimeoutMs: each.sessionTimeoutMs,
    rebalanceTimeoutMs: each.rebalanceTimeoutMs,
    assignmentBytes: each.assignment.length
  }))
  const places = offsets.where(() => true)
  const found: Array<Offset> = []
  for (let first = 0; first < places.length; first += LOGS_AT_ONCE) {
    const some = places.slice(first, first + LOGS_AT_ONCE).map(async (place): Promise<ReadonlyArray<Offset>> => {
      const topic = services.topics.findById(place.topicId)
      const committed = offsets.get(place)
      if (topic === undefined || committed === undefined) return []
      const state = await logs.state(topic, place.partition)
      const endOffset = state.refusal === 0 ? state.highWatermark : null
      const lag = endOffset === null || committed.offset < 0 ? null : Math.max(0, endOffset - committed.offset)
      const { offset: next, leaderEpoch, metadata, committedAtMs } = committed
      const at = { topic: topic.name, partition: place.partition, offset: next, leaderEpoch, metadata }
      return [{ ...at, committed: new Date(committedAtMs).toISOString(), endOffset, lag }]
    })
    found.push(...(await Promise.all(some)).flat())
  }
  found.sort((left, right) =>
    left.topic < right.topic ? -1 : left.topic > right.topic ? 1 : left.partition - right.partition
  )
  const lags = found.map(({ lag }) => lag)
  const lag = lags.includes(null) ? null : lags.reduce<number>((sum, each) => sum + (each ?? 0), 0)
  return { lag, members, offsets: found }
}
