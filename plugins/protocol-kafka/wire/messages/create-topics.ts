/**
 * CreateTopics (19): new topics, each with its own outcome. 4 makes -1 partitions or replicas mean the defaults, 5 answers with the
 * configurations, 7 with the topic's id.
 *
 * Source: CreateTopicsRequest/Response of Apache Kafka 4.3; KIP-4, KIP-464, KIP-525, KIP-599, KIP-516.
 */
import type { Api } from "../schema.ts"

export const createTopics = {
  key: 19,
  name: "CreateTopics",
  versionMin: 2,
  versionMax: 7,
  flexibleFrom: 5,
  request: [
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "numPartitions", type: "int32", versions: "0+" },
            { name: "replicationFactor", type: "int16", versions: "0+" },
            {
              name: "assignments",
              type: {
                array: {
                  struct: [
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "brokerIds", type: { array: "int32" }, versions: "0+" }
                  ]
                }
              },
              versions: "0+"
            },
            {
              name: "configs",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "0+" },
                    { name: "value", type: "string", versions: "0+", nullable: "0+" }
                  ]
                }
              },
              versions: "0+"
            }
          ]
        }
      },
      versions: "0+"
    },
    { name: "timeoutMs", type: "int32", versions: "0+", default: 60000 },
    { name: "validateOnly", type: "bool", versions: "1+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "2+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "topicId", type: "uuid", versions: "7+" },
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "1+", nullable: "0+" },
            { name: "topicConfigErrorCode", type: "int16", versions: "5+", tag: 0 },
            { name: "numPartitions", type: "int32", versions: "5+", default: -1 },
            { name: "replicationFactor", type: "int16", versions: "5+", default: -1 },
            {
              name: "configs",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "5+" },
                    { name: "value", type: "string", versions: "5+", nullable: "5+" },
                    { name: "readOnly", type: "bool", versions: "5+" },
                    { name: "configSource", type: "int8", versions: "5+", default: -1 },
                    { name: "isSensitive", type: "bool", versions: "5+" }
                  ]
                }
              },
              versions: "5+",
              nullable: "5+"
            }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
