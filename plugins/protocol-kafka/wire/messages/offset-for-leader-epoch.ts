/**
 * OffsetForLeaderEpoch (23): where leader epochs end, by which a reader finds out whether what it has read was cut off since. 3 says who
 * asks, 4 brings flexible forms.
 *
 * Source: OffsetForLeaderEpochRequest/Response of Apache Kafka 4.3; KIP-101, KIP-279, KIP-320.
 */
import type { Api } from "../schema.ts"

export const offsetForLeaderEpoch = {
  key: 23,
  name: "OffsetForLeaderEpoch",
  versionMin: 2,
  versionMax: 4,
  flexibleFrom: 4,
  request: [
    { name: "replicaId", type: "int32", versions: "3+", default: -2 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partition", type: "int32", versions: "0+" },
                    { name: "currentLeaderEpoch", type: "int32", versions: "2+", default: -1 },
                    { name: "leaderEpoch", type: "int32", versions: "0+" }
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
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "2+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "partition", type: "int32", versions: "0+" },
                    { name: "leaderEpoch", type: "int32", versions: "1+", default: -1 },
                    { name: "endOffset", type: "int64", versions: "0+", default: -1 }
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
