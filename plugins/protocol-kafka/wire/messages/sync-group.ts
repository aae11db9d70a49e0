/**
 * SyncGroup (14): the leader says who gets what, and every member asks for its part. Assignments are opaque.
 *
 * Source: SyncGroupRequest/Response of Apache Kafka 4.3; KIP-345, KIP-559.
 */
import type { Api } from "../schema.ts"

export const syncGroup = {
  key: 14,
  name: "SyncGroup",
  versionMin: 0,
  versionMax: 5,
  flexibleFrom: 4,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    { name: "generationId", type: "int32", versions: "0+" },
    { name: "memberId", type: "string", versions: "0+" },
    { name: "groupInstanceId", type: "string", versions: "3+", nullable: "3+", default: null },
    { name: "protocolType", type: "string", versions: "5+", nullable: "5+", default: null },
    { name: "protocolName", type: "string", versions: "5+", nullable: "5+", default: null },
    {
      name: "assignments",
      type: {
        array: {
          struct: [
            { name: "memberId", type: "string", versions: "0+" },
            { name: "assignment", type: "bytes", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "protocolType", type: "string", versions: "5+", nullable: "5+", default: null },
    { name: "protocolName", type: "string", versions: "5+", nullable: "5+", default: null },
    { name: "assignment", type: "bytes", versions: "0+" }
  ]
} as const satisfies Api
