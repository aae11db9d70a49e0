/**
 * AlterConfigs (33): replaces all configurations of a resource; what is not named goes back to its default.
 *
 * Source: AlterConfigsRequest/Response of Apache Kafka 4.3; KIP-133.
 */
import type { Api } from "../schema.ts"

export const alterConfigs = {
  key: 33,
  name: "AlterConfigs",
  versionMin: 0,
  versionMax: 2,
  flexibleFrom: 2,
  request: [
    {
      name: "resources",
      type: {
        array: {
          struct: [
            { name: "resourceType", type: "int8", versions: "0+" },
            { name: "resourceName", type: "string", versions: "0+" },
            {
              name: "configs",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "0+" },
                    { name: "value", type: "string", versions: "0+", nullable: "0+" }
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
    { name: "validateOnly", type: "bool", versions: "0+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    {
      name: "responses",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
            { name: "resourceType", type: "int8", versions: "0+" },
            { name: "resourceName", type: "string", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
