/**
 * ListPartitionReassignments (46): replicas that are on their way to other brokers.
 *
 * Source: ListPartitionReassignmentsRequest/Response of Apache Kafka 4.3; KIP-455.
 */
import type { Api } from "../schema.ts"

export const listPartitionReassignments = {
  key: 46,
  name: "ListPartitionReassignments",
  versionMin: 0,
  versionMax: 0,
  flexibleFrom: 0,
  request: [
    { name: "timeoutMs", type: "int32", versions: "0+", default: 60000 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "partitionIndexes", type: { array: "int32" }, versions: "0+" }
          ]
        }
      },
      versions: "0+",
      nullable: "0+",
      default: null
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "replicas", type: { array: "int32" }, versions: "0+" },
                    { name: "addingReplicas", type: { array: "int32" }, versions: "0+" },
                    { name: "removingReplicas", type: { array: "int32" }, versions: "0+" }
                  ]
                }
              },
              versions: "0+"
            }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
