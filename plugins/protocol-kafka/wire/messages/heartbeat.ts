/**
 * Heartbeat (12): a member is alive, and asks whether the group rebalances.
 *
 * Source: HeartbeatRequest/Response of Apache Kafka 4.3; KIP-345.
 */
import type { Api } from "../schema.ts"

export const heartbeat = {
  key: 12,
  name: "Heartbeat",
  versionMin: 0,
  versionMax: 4,
  flexibleFrom: 4,
  request: [
    { name: "groupId", type: "string", versions: "0+" },
    { name: "generationId", type: "int32", versions: "0+" },
    { name: "memberId", type: "string", versions: "0+" },
    { name: "groupInstanceId", type: "string", versions: "3+", nullable: "3+", default: null }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "0+" }
  ]
} as const satisfies Api
