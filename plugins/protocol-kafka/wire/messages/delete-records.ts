/**
 * DeleteRecords (21): the log of each partition starts at an offset; -1 is the high watermark.
 *
 * Source: DeleteRecordsRequest/Response of Apache Kafka 4.3; KIP-107.
 */
import type { Api } from "../schema.ts"

export const deleteRecords = {
  key: 21,
  name: "DeleteRecords",
  versionMin: 0,
  versionMax: 2,
  flexibleFrom: 2,
  request: [
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
                    { name: "offset", type: "int64", versions: "0+" }
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
    { name: "timeoutMs", type: "int32", versions: "0+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
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
                    { name: "lowWatermark", type: "int64", versions: "0+" },
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
