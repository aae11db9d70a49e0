/**
 * The operations that a caller may do, as bits: what Metadata, DescribeCluster and DescribeTopicPartitions answer where it is asked for.
 *
 * Source: org.apache.kafka.common.acl.AclOperation (the bit is its code), ResourceType.supportedOperations; KIP-430.
 */
import { ALTER, CREATE, DELETE, DESCRIBE, READ, WRITE } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import { mayDo } from "./topic-access.ts"

/** What is answered where nobody asked. */
export const OPERATIONS_UNKNOWN = -2147483648
/** What rights to the cluster are looked up by. */
export const CLUSTER = "kafka-cluster"

type Operations = ReadonlyArray<readonly [action: number, bit: number]>
const TOPIC_OPERATIONS: Operations = [
  [READ, 3],
  [WRITE, 4],
  [CREATE, 5],
  [DELETE, 6],
  [ALTER, 7],
  [DESCRIBE, 8],
  // Of its configurations.
  [DESCRIBE, 10],
  [ALTER, 11]
]
const CLUSTER_OPERATIONS: Operations = [
  [CREATE, 5],
  [ALTER, 7],
  [DESCRIBE, 8],
  [DESCRIBE, 10],
  [ALTER, 11],
  // Idempotent writes.
  [WRITE, 12]
]

export function operationsOnTopic(broker: Broker, caller: Caller, name: string): number {
  return bitsOf(TOPIC_OPERATIONS, broker, caller, name)
}

export function operationsOnCluster(broker: Broker, caller: Caller): number {
  return bitsOf(CLUSTER_OPERATIONS, broker, caller, CLUSTER)
}

function bitsOf(operations: Operations, broker: Broker, caller: Caller, name: string): number {
  let bits = 0
  for (const [action, bit] of operations) if (mayDo(broker, caller, action, name)) bits |= 1 << bit
  return bits
}
