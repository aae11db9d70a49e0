/**
 * DescribeClientQuotas (48): the quotas of entities that match all components: by name (0), the default (1), any that is named or
 * the default (2).
 *
 * Source: DescribeClientQuotasRequest/Response of Apache Kafka 4.3; KIP-546.
 */
import type { Api } from "../schema.ts"

export const describeClientQuotas = {
  key: 48,
  name: "DescribeClientQuotas",
  versionMin: 0,
  versionMax: 1,
  flexibleFrom: 1,
  request: [
    {
      name: "components",
      type: {
        array: {
          struct: [
            { name: "entityType", type: "string", versions: "0+" },
            { name: "matchType", type: "int8", versions: "0+" },
            { name: "match", type: "string", versions: "0+", nullable: "0+" }
          ]
        }
      },
      versions: "0+"
    },
    { name: "strict", type: "bool", versions: "0+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
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
              name: "values",
              type: {
                array: {
                  struct: [
                    { name: "key", type: "string", versions: "0+" },
                    { name: "value", type: "float64", versions: "0+" }
                  ]
                }
              },
              versions: "0+"
            }
          ]
        }
      },
      versions: "0+",
      nullable: "0+"
    }
  ]
} as const satisfies Api
