/**
 * Fetch (1): stored record batches from offsets on. 7 brings fetch sessions, 9 the leader epoch check, 12 flexible forms, 13 topic
 * ids instead of names, 16 node endpoints, 18 the reader's high watermark (followers only).
 *
 * Source: FetchRequest/Response of Apache Kafka 4.3; KIP-227, KIP-320, KIP-516, KIP-903, KIP-951, KIP-853, KIP-1166.
 */
import type { Api } from "../schema.ts"

export const fetch = {
  key: 1,
  name: "Fetch",
  versionMin: 4,
  versionMax: 18,
  flexibleFrom: 12,
  request: [
    { name: "clusterId", type: "string", versions: "12+", nullable: "12+", tag: 0, default: null },
    { name: "replicaId", type: "int32", versions: "0-14", default: -1 },
    {
      name: "replicaState",
      type: {
        struct: [
          { name: "replicaId", type: "int32", versions: "0+", default: -1 },
          { name: "replicaEpoch", type: "int64", versions: "0+", default: -1 }
        ]
      },
      versions: "15+",
      tag: 1
    },
    { name: "maxWaitMs", type: "int32", versions: "0+" },
    { name: "minBytes", type: "int32", versions: "0+" },
    { name: "maxBytes", type: "int32", versions: "3+", default: 0x7fff_ffff },
    { name: "isolationLevel", type: "int8", versions: "4+" },
    { name: "sessionId", type: "int32", versions: "7+" },
    { name: "sessionEpoch", type: "int32", versions: "7+", default: -1 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0-12" },
            { name: "topicId", type: "uuid", versions: "13+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partition", type: "int32", versions: "0+" },
                    { name: "currentLeaderEpoch", type: "int32", versions: "9+", default: -1 },
                    { name: "fetchOffset", type: "int64", versions: "0+" },
                    { name: "lastFetchedEpoch", type: "int32", versions: "12+", default: -1 },
                    { name: "logStartOffset", type: "int64", versions: "5+", default: -1 },
                    { name: "partitionMaxBytes", type: "int32", versions: "0+" },
                    { name: "replicaDirectoryId", type: "uuid", versions: "17+", tag: 0 },
                    { name: "highWatermark", type: "int64", versions: "18+", tag: 1, default: 2 ** 63 }
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
    {
      name: "forgottenTopicsData",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "7-12" },
            { name: "topicId", type: "uuid", versions: "13+" },
            { name: "partitions", type: { array: "int32" }, versions: "0+" }
          ]
        }
      },
      versions: "7+"
    },
    { name: "rackId", type: "string", versions: "11+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "7+" },
    { name: "sessionId", type: "int32", versions: "7+" },
    {
      name: "responses",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0-12" },
            { name: "topicId", type: "uuid", versions: "13+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "highWatermark", type: "int64", versions: "0+" },
                    { name: "lastStableOffset", type: "int64", versions: "4+", default: -1 },
                    { name: "logStartOffset", type: "int64", versions: "5+", default: -1 },
                    {
                      name: "divergingEpoch",
                      type: {
                        struct: [
                          { name: "epoch", type: "int32", versions: "0+", default: -1 },
                          { name: "endOffset", type: "int64", versions: "0+", default: -1 }
                        ]
                      },
                      versions: "12+",
                      tag: 0
                    },
                    {
                      name: "currentLeader",
                      type: {
                        struct: [
                          { name: "leaderId", type: "int32", versions: "0+", default: -1 },
                          { name: "leaderEpoch", type: "int32", versions: "0+", default: -1 }
                        ]
                      },
                      versions: "12+",
                      tag: 1
                    },
                    {
                      name: "snapshotId",
                      type: {
                        struct: [
                          { name: "endOffset", type: "int64", versions: "0+", default: -1 },
                          { name: "epoch", type: "int32", versions: "0+", default: -1 }
                        ]
                      },
                      versions: "12+",
                      tag: 2
                    },
                    {
                      name: "abortedTransactions",
                      type: {
                        array: {
                          struct: [
                            { name: "producerId", type: "int64", versions: "0+" },
                            { name: "firstOffset", type: "int64", versions: "0+" }
                          ]
                        }
                      },
                      versions: "4+",
                      nullable: "4+"
                    },
                    { name: "preferredReadReplica", type: "int32", versions: "11+", default: -1 },
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
    },
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
      versions: "16+",
      tag: 0
    }
  ]
} as const satisfies Api
