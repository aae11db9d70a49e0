/** Which handler answers which API. The request was decoded by the API's own schema, which is what the casts rest on. */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import * as api from "../wire/messages/mod.ts"
import type { Api, RequestOf } from "../wire/schema.ts"
import { handleAlterConfigs, handleIncrementalAlterConfigs } from "./alter-configs.ts"
import { handleApiVersions } from "./api-versions.ts"
import { handleAlterClientQuotas, handleDescribeClientQuotas } from "./client-quotas.ts"
import { handleCreatePartitions } from "./create-partitions.ts"
import { handleCreateTopics } from "./create-topics.ts"
import { handleDeleteRecords } from "./delete-records.ts"
import { handleDeleteTopics } from "./delete-topics.ts"
import { handleDescribeCluster } from "./describe-cluster.ts"
import { handleDescribeConfigs } from "./describe-configs.ts"
import { handleDescribeLogDirs } from "./describe-log-dirs.ts"
import { handleDescribeProducers } from "./describe-producers.ts"
import { handleDescribeTopicPartitions } from "./describe-topic-partitions.ts"
import { handleDescribeUserScramCredentials } from "./describe-user-scram-credentials.ts"
import { handleElectLeaders } from "./elect-leaders.ts"
import { handleFetch } from "./fetch.ts"
import { handleFindCoordinator } from "./find-coordinator.ts"
import { handleDeleteGroups, handleDescribeGroups, handleListGroups } from "./group-admin.ts"
import { handleHeartbeat, handleJoinGroup, handleLeaveGroup, handleSyncGroup } from "./group-members.ts"
import { handleOffsetCommit, handleOffsetDelete, handleOffsetFetch } from "./group-offsets.ts"
import { handleInitProducerId } from "./init-producer-id.ts"
import { handleListConfigResources } from "./list-config-resources.ts"
import { handleListOffsets } from "./list-offsets.ts"
import { handleListPartitionReassignments } from "./list-partition-reassignments.ts"
import { handleMetadata } from "./metadata.ts"
import { handleOffsetForLeaderEpoch } from "./offset-for-leader-epoch.ts"
import { handleProduce } from "./produce.ts"

/** Answers a request by completing its exchange, at once or later. Borrows the request's bytes until it returns. */
export type Handler<A extends Api> = (exchange: Exchange<A>, request: RequestOf<A>, broker: Broker) => void

const handlers = new Map<number, Handler<Api>>()
function serve<A extends Api>({ key }: A, handler: Handler<A>): void {
  handlers.set(key, handler as unknown as Handler<Api>)
}
serve(api.produce, handleProduce)
serve(api.fetch, handleFetch)
serve(api.listOffsets, handleListOffsets)
serve(api.metadata, handleMetadata)
serve(api.findCoordinator, handleFindCoordinator)
serve(api.apiVersions, handleApiVersions)
serve(api.initProducerId, handleInitProducerId)
serve(api.describeProducers, handleDescribeProducers)
serve(api.offsetForLeaderEpoch, handleOffsetForLeaderEpoch)
serve(api.offsetCommit, handleOffsetCommit)
serve(api.offsetFetch, handleOffsetFetch)
serve(api.joinGroup, handleJoinGroup)
serve(api.heartbeat, handleHeartbeat)
serve(api.leaveGroup, handleLeaveGroup)
serve(api.syncGroup, handleSyncGroup)
serve(api.describeGroups, handleDescribeGroups)
serve(api.listGroups, handleListGroups)
serve(api.deleteGroups, handleDeleteGroups)
serve(api.offsetDelete, handleOffsetDelete)
serve(api.alterConfigs, handleAlterConfigs)
serve(api.incrementalAlterConfigs, handleIncrementalAlterConfigs)
serve(api.alterClientQuotas, handleAlterClientQuotas)
serve(api.describeClientQuotas, handleDescribeClientQuotas)
serve(api.createPartitions, handleCreatePartitions)
serve(api.createTopics, handleCreateTopics)
serve(api.deleteRecords, handleDeleteRecords)
serve(api.deleteTopics, handleDeleteTopics)
serve(api.describeCluster, handleDescribeCluster)
serve(api.describeConfigs, handleDescribeConfigs)
serve(api.describeLogDirs, handleDescribeLogDirs)
serve(api.describeTopicPartitions, handleDescribeTopicPartitions)
serve(api.describeUserScramCredentials, handleDescribeUserScramCredentials)
serve(api.electLeaders, handleElectLeaders)
serve(api.listConfigResources, handleListConfigResources)
serve(api.listPartitionReassignments, handleListPartitionReassignments)

export function handle(exchange: Exchange, request: unknown, broker: Broker): void {
  const handler = handlers.get(exchange.api.key)
  if (handler === undefined) throw new RangeError(`no handler for ${exchange.api.name}`)
  handler(exchange, request as RequestOf<Api>, broker)
}
