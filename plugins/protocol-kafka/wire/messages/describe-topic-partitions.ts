/**
 * DescribeTopicPartitions (75): topics in the order of their names, some partitions at a time, with a cursor for the rest.
 *
 * Source: DescribeTopicPartitionsRequest/Response of Apache Kafka 4.3; KIP-966.
 */
import type { Api } from "../schema.ts"

export const describeTopicPartitions = {
  key: 75,
  name: "DescribeTopicPartitions",
  versionMin: 0,
  versionMax: 0,
  flexibleFrom: 0,
  request: [
    { name: "topics", type: { array: { struct: [{ name: "name", type: "string", versions: "0+" }] } }, versions: "0+" },
    { name: "responsePartitionLimit", type: "int32", versions: "0+", default: 2000 },
    {
      name: "cursor",
      type: {
        struct: [
          { name: "topicName", type: "string", versions: "0+" },
          { name: "partitionIndex", type: "int32", versions: "0+" }
        ]
      },
      versions: "0+",
      nullable: "0+",
      default: null
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "name", type: "string", versions: "0+", nullable: "0+" },
            { name: "topicId", type: "uuid", versions: "0+" },
            { name: "isInternal", type: "bool", versions: "0+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "leaderId", type: "int32", versions: "0+" },
                    { name: "leaderEpoch", type: "int32", versions: "0+", default: -1 },
                    { name: "replicaNodes", type: { array: "int32" }, versions: "0+" },
                    { name: "isrNodes", type: { array: "int32" }, versions: "0+" },
                    {
                      name: "eligibleLeaderReplicas",
                      type: { array: "int32" },
                      versions: "0+",
                      nullable: "0+",
                      default: null
                    },
                    { name: "lastKnownElr", type: { array: "int32" }, versions: "0+", nullable: "0+", default: null },
                    { name: "offlineReplicas", type: { array: "int32" }, versions: "0+" }
                  ]
                }
              },
              versions: "0+"
            },
            { name: "topicAuthorizedOperations", type: "int32", versions: "0+", default: -2147483648 }
          ]
        }
      },
      versions: "0+"
    },
    {
      name: "nextCursor",
      type: {
        struct: [
          { name: "topicName", type: "string", versions: "0+" },
          { name: "partitionIndex", type: "int32", versions: "0+" }
        ]
      },
      versions: "0+",
      nullable: "0+",
      default: null
    }
  ]
} as const satisfies Api
