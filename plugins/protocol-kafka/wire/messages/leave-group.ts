/**
 * LeaveGroup (13): a member goes; from version 3 on several, each by its id or its instance id.
 *
 * Source: LeaveGroupRequest/Response of Apache Kafka 4.3; KIP-345, KIP-800.
 */
import type { Api } from "../schema.ts"

export const leaveGroup = {
  key: 13,
  name: "LeaveGroup",
  versionMin: 0,
  versionMax: 5,
  flexibleFrom: 4,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    { name: "memberId", type: "string", versions: "0-2" },
    {
      name: "members",
      type: {
        array: {
          struct: [
            { name: "memberId", type: "string", versions: "3+" },
            { name: "groupInstanceId", type: "string", versions: "3+", nullable: "3+", default: null },
            { name: "reason", type: "string", versions: "5+", nullable: "5+", default: null }
          ]
        }
      },
      versions: "3+"
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "0+" },
    {
      name: "members",
      type: {
        array: {
          struct: [
            { name: "memberId", type: "string", versions: "3+" },
            { name: "groupInstanceId", type: "string", versions: "3+", nullable: "3+" },
            { name: "errorCode", type: "int16", versions: "3+" }
          ]
        }
      },
      versions: "3+"
    }
  ]
} as const satisfies Api
