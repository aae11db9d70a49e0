/**
 * JoinGroup (11): a member asks to be in the next generation; answered when that begins. What members say in a protocol is opaque.
 *
 * Source: JoinGroupRequest/Response of Apache Kafka 4.3; KIP-62, KIP-345, KIP-394, KIP-559, KIP-800, KIP-814.
 */
import type { Api } from "../schema.ts"

export const joinGroup = {
  key: 11,
  name: "JoinGroup",
  versionMin: 0,
  versionMax: 9,
  flexibleFrom: 6,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    { name: "sessionTimeoutMs", type: "int32", versions: "0+" },
    { name: "rebalanceTimeoutMs", type: "int32", versions: "1+", default: -1 },
    { name: "memberId", type: "string", versions: "0+" },
    { name: "groupInstanceId", type: "string", versions: "5+", nullable: "5+", default: null },
    { name: "protocolType", type: "string", versions: "0+" },
    {
      name: "protocols",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "metadata", type: "bytes", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    },
    { name: "reason", type: "string", versions: "8+", nullable: "8+", default: null }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "2+" },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "generationId", type: "int32", versions: "0+", default: -1 },
    { name: "protocolType", type: "string", versions: "7+", nullable: "7+", default: null },
    { name: "protocolName", type: "string", versions: "0+", nullable: "7+" },
    { name: "leader", type: "string", versions: "0+" },
    { name: "skipAssignment", type: "bool", versions: "9+" },
    { name: "memberId", type: "string", versions: "0+" },
    {
      name: "members",
      type: {
        array: {
          struct: [
            { name: "memberId", type: "string", versions: "0+" },
            { name: "groupInstanceId", type: "string", versions: "5+", nullable: "5+", default: null },
            { name: "metadata", type: "bytes", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
