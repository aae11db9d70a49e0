/**
 * Produce (0): record batches to append. Versions 0 to 2 carry message formats that are no longer served; they are decoded so that
 * they can be refused with error 35, and advertised because librdkafka before 2.11 turns compression off where they are missing.
 * Version 12 is transaction version 2, 13 names topics by id.
 *
 * Source: ProduceRequest/Response of Apache Kafka 4.3; KIP-98, KIP-467, KIP-951, KIP-890, KIP-516; KAFKA-18659.
 */
import type { Api } from "../schema.ts"

/** The first version that carries record batches of magic 2. */
export const PRODUCE_SERVED_FROM = 3

export const produce = {
  key: 0,
  name: "Produce",
  versionMin: 0,
  versionMax: 13,
  flexibleFrom: 9,
  request: [
    { name: "transactionalId", type: "string", versions: "3+", nullable: "3+", default: null },
    { name: "acks", type: "int16", versions: "0+" },
    { name: "timeoutMs", type: "int32", versions: "0+" },
    {
      name: "topicData",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-12" },
            { name: "topicId", type: "uuid", versions: "13+" },
            {
              name: "partitionData",
              type: {
                array: {
                  struct: [
                    { name: "index", type: "int32", versions: "0+" },
                    { name: "records", type: "records", versions: "0+", nullable: "0+" }
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
    {
      name: "responses",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-12" },
            { name: "topicId", type: "uuid", versions: "13+" },
            {
              name: "partitionResponses",
              type: {
                array: {
                  struct: [
                    { name: "index", type: "int32", versions: "0+" },
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "baseOffset", type: "int64", versions: "0+" },
                    { name: "logAppendTimeMs", type: "int64", versions: "2+", default: -1 },
                    { name: "logStartOffset", type: "int64", versions: "5+", default: -1 },
                    {
                      name: "recordErrors",
                      type: {
                        array: {
                          struct: [
                            { name: "batchIndex", type: "int32", versions: "0+" },
                            {
                              name: "batchIndexErrorMessage",
                              type: "string",
                              versions: "0+",
                              nullable: "0+",
                              default: null
                            }
                          ]
                        }
                      },
                      versions: "8+"
                    },
                    { name: "errorMessage", type: "string", versions: "8+", nullable: "8+", default: null },
                    {
                      name: "currentLeader",
                      type: {
                        struct: [
                          { name: "leaderId", type: "int32", versions: "0+", default: -1 },
                          { name: "leaderEpoch", type: "int32", versions: "0+", default: -1 }
                        ]
                      },
                      versions: "10+",
                      tag: 0
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
    },
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    {
      name: "nodeEndpoints",
      type: {
        array: {
          struct: [
            { name: "nodeId", type: "int32", versions: "0+" },
            { name: "host", type: "string", versions: "0+" },
            { name: "port", type: "int32", versions: "0+" },
            { name: "rack", type: "string", versions: "0+", nullable: "0+", default: null }
          ]
        }
      },
      versions: "10+",
      tag: 0
    }
  ]
} as const satisfies Api
