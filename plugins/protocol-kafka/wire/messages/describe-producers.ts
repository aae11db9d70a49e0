/**
 * DescribeProducers (61): the idempotent producers that partitions know of.
 *
 * Source: DescribeProducersRequest/Response of Apache Kafka 4.3; KIP-664.
 */
import type { Api } from "../schema.ts"

export const describeProducers = {
  key: 61,
  name: "DescribeProducers",
  versionMin: 0,
  versionMax: 0,
  flexibleFrom: 0,
  request: [
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
      versions: "0+"
    }
  ],
  response: [
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
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+", default: null },
                    {
                      name: "activeProducers",
                      type: {
                        array: {
                          struct: [
                            { name: "producerId", type: "int64", versions: "0+" },
                            { name: "producerEpoch", type: "int32", versions: "0+" },
                            { name: "lastSequence", type: "int32", versions: "0+", default: -1 },
                            { name: "lastTimestamp", type: "int64", versions: "0+", default: -1 },
                            { name: "coordinatorEpoch", type: "int32", versions: "0+" },
                            { name: "currentTxnStartOffset", type: "int64", versions: "0+", default: -1 }
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
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
