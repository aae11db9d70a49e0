/** Which handler answers which API. The request was decoded by the API's own schema, which is what the casts rest on. */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import {
  alterClientQuotas,
  alterConfigs,
  apiVersions,
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeClientQuotas,
  describeCluster,
  describeConfigs,
  describeLogDirs,
  describeProducers,
  describeTopicPartitions,
  describeUserScramCredentials,
  electLeaders,
  fetch,
  findCoordinator,
  incrementalAlterConfigs,
  initProducerId,
  listConfigResources,
  listOffsets,
  listPartitionReassignments,
  metadata,
  offsetForLeaderEpoch,
  produce
} from "../wire/apis.ts"
import * as groupApis from "../wire/group-apis.ts"
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
function serve<A extends Api>(api: A, handler: Handler<A>): void {
  handlers.set(api.key, handler as unknown as Handler<Api>)
}
serve(produce, handleProduce)
serve(fetch, handleFetch)
serve(listOffsets, handleListOffsets)
serve(metadata, handleMetadata)
serve(findCoordinator, handleFindCoordinator)
serve(apiVersions, handleApiVersions)
serve(initProducerId, handleInitProducerId)
serve(describeProducers, handleDescribeProducers)
serve(offsetForLeaderEpoch, handleOffsetForLeaderEpoch)
serve(groupApis.offsetCommit, handleOffsetCommit)
serve(groupApis.offsetFetch, handleOffsetFetch)
serve(groupApis.joinGroup, handleJoinGroup)
serve(groupApis.heartbeat, handleHeartbeat)
serve(groupApis.leaveGroup, handleLeaveGroup)
serve(groupApis.syncGroup, handleSyncGroup)
serve(groupApis.describeGroups, handleDescribeGroups)
serve(groupApis.listGroups, handleListGroups)
serve(groupApis.deleteGroups, handleDeleteGroups)
serve(groupApis.offsetDelete, handleOffsetDelete)
serve(alterConfigs, handleAlterConfigs)
serve(incrementalAlterConfigs, handleIncrementalAlterConfigs)
serve(alterClientQuotas, handleAlterClientQuotas)
serve(describeClientQuotas, handleDescribeClientQuotas)
serve(createPartitions, handleCreatePartitions)
serve(createTopics, handleCreateTopics)
serve(deleteRecords, handleDeleteRecords)
serve(deleteTopics, handleDeleteTopics)
serve(describeCluster, handleDescribeCluster)
serve(describeConfigs, handleDescribeConfigs)
serve(describeLogDirs, handleDescribeLogDirs)
serve(describeTopicPartitions, handleDescribeTopicPartitions)
serve(describeUserScramCredentials, handleDescribeUserScramCredentials)
serve(electLeaders, handleElectLeaders)
serve(listConfigResources, handleListConfigResources)
serve(listPartitionReassignments, handleListPartitionReassignments)

export function handle(exchange: Exchange, request: unknown, broker: Broker): void {
  const handler = handlers.get(exchange.api.key)
  if (handler === undefined) throw new RangeError(`no handler for ${exchange.api.name}`)
  handler(exchange, request as RequestOf<Api>, broker)
}
