/**
 * The table of APIs that this broker speaks: what ApiVersions advertises and what a request is looked up in. Another API is one
 * more line here, one more file in messages/ and one more handler.
 */
import { GROUP_APIS } from "./group-apis.ts"
import { alterClientQuotas } from "./messages/alter-client-quotas.ts"
import { alterConfigs } from "./messages/alter-configs.ts"
import { apiVersions } from "./messages/api-versions.ts"
import { createPartitions } from "./messages/create-partitions.ts"
import { createTopics } from "./messages/create-topics.ts"
import { deleteRecords } from "./messages/delete-records.ts"
import { deleteTopics } from "./messages/delete-topics.ts"
import { describeClientQuotas } from "./messages/describe-client-quotas.ts"
import { describeCluster } from "./messages/describe-cluster.ts"
import { describeConfigs } from "./messages/describe-configs.ts"
import { describeLogDirs } from "./messages/describe-log-dirs.ts"
import { describeProducers } from "./messages/describe-producers.ts"
import { describeTopicPartitions } from "./messages/describe-topic-partitions.ts"
import { describeUserScramCredentials } from "./messages/describe-user-scram-credentials.ts"
import { electLeaders } from "./messages/elect-leaders.ts"
import { fetch } from "./messages/fetch.ts"
import { findCoordinator } from "./messages/find-coordinator.ts"
import { incrementalAlterConfigs } from "./messages/incremental-alter-configs.ts"
import { initProducerId } from "./messages/init-producer-id.ts"
import { listConfigResources } from "./messages/list-config-resources.ts"
import { listOffsets } from "./messages/list-offsets.ts"
import { listPartitionReassignments } from "./messages/list-partition-reassignments.ts"
import { metadata } from "./messages/metadata.ts"
import { offsetForLeaderEpoch } from "./messages/offset-for-leader-epoch.ts"
import { produce } from "./messages/produce.ts"
import type { Api } from "./schema.ts"

export {
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
}

/** In the order of their keys. */
export const APIS: ReadonlyArray<Api> = [
  produce,
  fetch,
  listOffsets,
  metadata,
  findCoordinator,
  apiVersions,
  initProducerId,
  offsetForLeaderEpoch,
  describeProducers,
  createTopics,
  deleteTopics,
  deleteRecords,
  describeConfigs,
  alterConfigs,
  describeLogDirs,
  createPartitions,
  electLeaders,
  incrementalAlterConfigs,
  listPartitionReassignments,
  describeClientQuotas,
  alterClientQuotas,
  describeUserScramCredentials,
  describeCluster,
  listConfigResources,
  describeTopicPartitions,
  ...GROUP_APIS
].toSorted((left, right) => left.key - right.key)

const byKey = new Map(APIS.map((api) => [api.key, api]))

/** The API of a key; undefined where this broker does not speak it. */
export function apiOf(key: number): Api | undefined {
  return byKey.get(key)
}
