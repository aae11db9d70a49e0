/**
 * AlterClientQuotas (49): sets and removes quotas, each entity with its own outcome.
 *
 * Source: AlterClientQuotasRequest/Response of Apache Kafka 4.3; KIP-546.
 */
import type { Api } from "../schema.ts"

export const alterClientQuotas = {
  key: 49,
  name: "AlterClientQuotas",
  versionMin: 0,
  versionMax: 1,
  flexibleFrom: 1,
  request: [
    {
      name: "entries",
      type: {
        array: {
          struct: [
            {
              name: "entity",
              type: {
                array: {
                  struct: [
                    { name: "entityType", type: "string", versions: "0+" },
                    { name: "entityName", type: "string", versions: "0+", nullable: "0+" }
                  ]
                }
              },
              versions: "0+"
            },
            {
              name: "ops",
              type: {
                array: {
                  struct: [
                    { name: "key", type: "string", versions: "0+" },
                    { name: "value", type: "float64", versions: "0+" },
                    { name: "remove", type: "bool", versions: "0+" }
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
      name: "entries",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
            {
              name: "entity",
              type: {
                array: {
                  struct: [
                    { name: "entityType", type: "string", versions: "0+" },
                    { name: "entityName", type: "string", versions: "0+", nullable: "0+" }
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
