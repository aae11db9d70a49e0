/**
 * FindCoordinator (10): which broker keeps a consumer group (key type 0), a transaction (1) or a share group's state (2). One key
 * before version 4, a list of keys from it on.
 *
 * Source: FindCoordinatorRequest/Response of Apache Kafka 4.3; KIP-699, KIP-890, KIP-932.
 */
import type { Api } from "../schema.ts"

export const findCoordinator = {
  key: 10,
  name: "FindCoordinator",
  versionMin: 0,
  versionMax: 6,
  flexibleFrom: 3,
  request: [
    { name: "key", type: "string", versions: "0-3" },
    { name: "keyType", type: "int8", versions: "1+", default: 0 },
    { name: "coordinatorKeys", type: { array: "string" }, versions: "4+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "0-3" },
    { name: "errorMessage", type: "string", versions: "1-3", nullable: "1-3" },
    { name: "nodeId", type: "int32", versions: "0-3" },
    { name: "host", type: "string", versions: "0-3" },
    { name: "port", type: "int32", versions: "0-3" },
    {
      name: "coordinators",
      type: {
        array: {
          struct: [
            { name: "key", type: "string", versions: "0+" },
            { name: "nodeId", type: "int32", versions: "0+" },
            { name: "host", type: "string", versions: "0+" },
            { name: "port", type: "int32", versions: "0+" },
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" }
          ]
        }
      },
      versions: "4+"
    }
  ]
} as const satisfies Api
