/**
 * OffsetCommit (8): keeps how far a group has read. Topics by name before version 10, by id from it on; a retention of one's own in 2 to 4.
 *
 * Source: OffsetCommitRequest/Response of Apache Kafka 4.3; KIP-211, KIP-320, KIP-345, KIP-516, KIP-848.
 */
import type { Api } from "../schema.ts"

export const offsetCommit = {
  key: 8,
  name: "OffsetCommit",
  versionMin: 2,
  versionMax: 10,
  flexibleFrom: 8,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    { name: "generationIdOrMemberEpoch", type: "int32", versions: "1+", default: -1 },
    { name: "memberId", type: "string", versions: "1+" },
    { name: "groupInstanceId", type: "string", versions: "7+", nullable: "7+", default: null },
    { name: "retentionTimeMs", type: "int64", versions: "2-4", default: -1 },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-9" },
            { name: "topicId", type: "uuid", versions: "10+" },
            {
              name: "partitions",
              type: {
                array: {
                  struct: [
                    { name: "partitionIndex", type: "int32", versions: "0+" },
                    { name: "committedOffset", type: "int64", versions: "0+" },
                    { name: "committedLeaderEpoch", type: "int32", versions: "6+", default: -1 },
                    { name: "committedMetadata", type: "string", versions: "0+", nullable: "0+" }
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
    { name: "throttleTimeMs", type: "int32", versions: "3+" },
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0-9" },
            { name: "topicId", type: "uuid", versions: "10+" },
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
