/**
 * ListConfigResources (74): what configurations may be asked for; version 0 knows client metrics alone.
 *
 * Source: ListConfigResourcesRequest/Response of Apache Kafka 4.3; KIP-714, KIP-1142.
 */
import type { Api } from "../schema.ts"

export const listConfigResources = {
  key: 74,
  name: "ListConfigResources",
  versionMin: 0,
  versionMax: 1,
  flexibleFrom: 0,
  request: [{ name: "resourceTypes", type: { array: "int8" }, versions: "1+" }],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "0+" },
    {
      name: "configResources",
      type: {
        array: {
          struct: [
            { name: "resourceName", type: "string", versions: "0+" },
            { name: "resourceType", type: "int8", versions: "1+", default: 16 }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
