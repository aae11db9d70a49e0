/**
 * ListOffsets (2): the offset of a point in time. Special timestamps: -1 latest, -2 earliest, -3 of the largest timestamp (7+),
 * -4 earliest local (8+), -5 latest tiered (9+), -6 earliest pending upload (11+).
 *
 * Source: ListOffsetsRequest/Response of Apache Kafka 4.3; KIP-734, KIP-405, KIP-1005, KIP-1023.
 */
import type { Api } from "../schema.ts"

export const listOffsets = {
  key: 2,
  name: "ListOffsets",
  versionMin: 1,
  versionMax: 11,
  flexibleFrom: 6,
  request: [
    { name: "replicaId", type: "int32", versions: "0+" },
    { name: "isolationLevel", type: "int8", versions: "2+" },
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
                    { name: "currentLeaderEpoch", type: "int32", versions: "4+", default: -1 },
                    { name: "timestamp", type: "int64", versions: "0+" }
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
    { name: "timeoutMs", type: "int32", versions: "10+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "2+" },
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
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "timestamp", type: "int64", versions: "1+", default: -1 },
                    { name: "offset", type: "int64", versions: "1+", default: -1 },
                    { name: "leaderEpoch", type: "int32", versions: "4+", default: -1 }
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
