/**
 * OffsetFetch (9): how far a group has read; null topics ask for all. One group before version 8, a list of groups from it on.
 *
 * Source: OffsetFetchRequest/Response of Apache Kafka 4.3; KIP-320, KIP-447, KIP-709, KIP-848.
 */
import type { Api } from "../schema.ts"

export const offsetFetch = {
  key: 9,
  name: "OffsetFetch",
  versionMin: 1,
  versionMax: 10,
  flexibleFrom: 6,
  request: [
    { name: "groupId", type: "string", versions: "0-7" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-7" },
            { name: "partitionIndexes", type: { array: "int32" }, versions: "0-7" }
          ]
        }
      },
      versions: "0-7",
      nullable: "2-7"
    },
    {
      name: "groups",
      type: {
        array: {
          struct: [
            { name: "groupId", type: "string", versions: "8+" },
            { name: "memberId", type: "string", versions: "9+", nullable: "9+", default: null },
            { name: "memberEpoch", type: "int32", versions: "9+", default: -1 },
            {
              name: "topics",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "8-9" },
                    { name: "topicId", type: "uuid", versions: "10+" },
                    { name: "partitionIndexes", type: { array: "int32" }, versions: "8+" }
                  ]
                }
              },
              versions: "8+",
              nullable: "8+"
            }
          ]
        }
      },
      versions: "8+"
    },
    { name: "requireStable", type: "bool", versions: "7+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "3+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-7" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partitionIndex", type: "int32", versions: "0-7" },
                    { name: "committedOffset", type: "int64", versions: "0-7" },
                    { name: "committedLeaderEpoch", type: "int32", versions: "5-7", default: -1 },
                    { name: "metadata", type: "string", versions: "0-7", nullable: "0-7" },
                    { name: "errorCode", type: "int16", versions: "0-7" }
                  ]
                }
              },
              versions: "0-7"
            }
          ]
        }
      },
      versions: "0-7"
    },
    { name: "errorCode", type: "int16", versions: "2-7" },
    {
      name: "groups",
      type: {
        array: {
          struct: [
            { name: "groupId", type: "string", versions: "8+" },
            {
              name: "topics",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "8-9" },
                    { name: "topicId", type: "uuid", versions: "10+" },
                    {
                      name: "partitions",
                      type: {
                        array: {
                          struct: [
                            { name: "partitionIndex", type: "int32", versions: "8+" },
                            { name: "committedOffset", type: "int64", versions: "8+" },
                            { name: "committedLeaderEpoch", type: "int32", versions: "8+", default: -1 },
                            { name: "metadata", type: "string", versions: "8+", nullable: "8+" },
                            { name: "errorCode", type: "int16", versions: "8+" }
                          ]
                        }
                      },
                      versions: "8+"
                    }
                  ]
                }
              },
              versions: "8+"
            },
            { name: "errorCode", type: "int16", versions: "8+" }
          ]
        }
      },
      versions: "8+"
    }
  ]
} as const satisfies Api
