/**
 * CreatePartitions (37): raises the number of partitions of topics.
 *
 * Source: CreatePartitionsRequest/Response of Apache Kafka 4.3; KIP-195, KIP-599.
 */
import type { Api } from "../schema.ts"

export const createPartitions = {
  key: 37,
  name: "CreatePartitions",
  versionMin: 0,
  versionMax: 3,
  flexibleFrom: 2,
  request: [
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "count", type: "int32", versions: "0+" },
            {
              name: "assignments",
              type: { array: { struct: [{ name: "brokerIds", type: { array: "int32" }, versions: "0+" }] } },
              versions: "0+",
              nullable: "0+"
            }
          ]
        }
      },
      versions: "0+"
    },
    { name: "timeoutMs", type: "int32", versions: "0+" },
    { name: "validateOnly", type: "bool", versions: "0+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    {
      name: "results",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+", default: null }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
