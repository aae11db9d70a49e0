/**
 * OffsetDelete (47): forgets committed offsets of a group.
 *
 * Source: OffsetDeleteRequest/Response of Apache Kafka 4.3; KIP-496.
 */
import type { Api } from "../schema.ts"

export const offsetDelete = {
  key: 47,
  name: "OffsetDelete",
  versionMin: 0,
  versionMax: 0,
  flexibleFrom: Number.POSITIVE_INFINITY,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            {
              name: "partitions",
              type: { array: { struct: [{ name: "partitionIndex", type: "int32", versions: "0+" }] } },
              versions: "0+"
            }
          ]
        }
      },
      versions: "0+"
    }
  ],
  response: [
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "throttleTimeMs", type: "int32", versions: "0+" },
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
                    { name: "errorCode", type: "int16", versions: "0+" }
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
