/** Partitions as Metadata and DescribeTopicPartitions tell of them: who leads each, and under which epoch. */
import type { TopicInfo } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { metadata } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, ResponseOf } from "../wire/schema.ts"

export type DescribedPartition = ElementOf<ElementOf<ResponseOf<typeof metadata>, "topics">, "partitions">

/** Those from `from` on and below `to`; of them the first `opened` are opened where nobody uses them, so that their epoch is known. */
export async function describePartitions(
  topic: TopicInfo,
  from: number,
  to: number,
  broker: Broker,
  opened = 0
): Promise<Array<DescribedPartition>> {
  const { nodeId, logs } = broker
  const states = await Promise.all(
    Array.from({ length: Math.max(0, to - from) }, (_, index) =>
      index < opened ? logs.state(topic, from + index) : logs.leader(topic, from + index)
    )
  )
  return states.map(({ refusal, leaderEpoch }, index): DescribedPartition => {
    // One whose log cannot be opened has nobody who could serve it. The epoch of one that is not open is not known: -1 says so.
    const isServed = refusal === 0
    return {
      errorCode: isServed ? ErrorCode.NONE : broker.counts.error(ErrorCode.LEADER_NOT_AVAILABLE),
      partitionIndex: from + index,
      leaderId: isServed ? nodeId : -1,
      leaderEpoch: isServed ? leaderEpoch : -1,
      replicaNodes: [nodeId],
      isrNodes: isServed ? [nodeId] : [],
      offlineReplicas: isServed ? [] : [nodeId]
    }
  })
}
