/**
 * Metadata (3): brokers, topics and who leads which partition. In version 0 no topics means all of them; from version 1 on null
 * means all and none means none. Topic ids are answered from 10 on and looked up from 12 on; 13 adds an error for the whole answer.
 *
 * Source: MetadataRequest/Response of Apache Kafka 4.3; KIP-516, KIP-1102.
 */
import type { Api } from "../schema.ts"

export const metadata = {
  key: 3,
  name: "Metadata",
  versionMin: 0,
  versionMax: 13,
  flexibleFrom: 9,
  request: [
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "topicId", type: "uuid", versions: "10+" },
            { name: "name", type: "string", versions: "0+", nullable: "10+" }
          ]
        }
      },
      versions: "0+",
      nullable: "1+"
    },
    { name: "allowAutoTopicCreation", type: "bool", versions: "4+", default: true },
    { name: "includeClusterAuthorizedOperations", type: "bool", versions: "8-10" },
    { name: "includeTopicAuthorizedOperations", type: "bool", versions: "8+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "3+" },
    {
      name: "brokers",
      type: {
        array: {
          struct: [
            { name: "nodeId", type: "int32", versions: "0+" },
            { name: "host", type: "string", versions: "0+" },
            { name: "port", type: "int32", versions: "0+" },
            { name: "rack", type: "string", versions: "1+", nullable: "1+", default: null }
          ]
        }
      },
      versions: "0+"
    },
    { name: "clusterId", type: "string", versions: "2+", nullable: "2+", default: null },
    { name: "controllerId", type: "int32", versions: "1+", default: -1 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "name", type: "string", versions: "0+", nullable: "12+" },
            { name: "topicId", type: "uuid", versions: "10+" },
            { name: "isInternal", type: "bool", versions: "1+", default: false },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "leaderId", type: "int32", versions: "0+" },
                    { name: "leaderEpoch", type: "int32", versions: "7+", default: -1 },
                    { name: "replicaNodes", type: { array: "int32" }, versions: "0+" },
                    { name: "isrNodes", type: { array: "int32" }, versions: "0+" },
                    { name: "offlineReplicas", type: { array: "int32" }, versions: "5+" }
                  ]
                }
              },
              versions: "0+"
            },
            { name: "topicAuthorizedOperations", type: "int32", versions: "8+", default: -2147483648 }
          ]
        }
      },
      versions: "0+"
    },
    { name: "clusterAuthorizedOperations", type: "int32", versions: "8-10", default: -2147483648 },
    { name: "errorCode", type: "int16", versions: "13+" }
  ]
} as const satisfies Api
