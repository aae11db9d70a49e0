/**
 * DescribeConfigs (32): configurations of topics and brokers with their sources; 3 adds types and documentation.
 *
 * Source: DescribeConfigsRequest/Response of Apache Kafka 4.3; KIP-133, KIP-226, KIP-569.
 */
import type { Api } from "../schema.ts"

export const describeConfigs = {
  key: 32,
  name: "DescribeConfigs",
  versionMin: 1,
  versionMax: 4,
  flexibleFrom: 4,
  request: [
    {
      name: "resources",
      type: {
        array: {
          struct: [
            { name: "resourceType", type: "int8", versions: "0+" },
            { name: "resourceName", type: "string", versions: "0+" },
            { name: "configurationKeys", type: { array: "string" }, versions: "0+", nullable: "0+" }
          ]
        }
      },
      versions: "0+"
    },
    { name: "includeSynonyms", type: "bool", versions: "1+" },
    { name: "includeDocumentation", type: "bool", versions: "3+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    {
      name: "results",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
            { name: "resourceType", type: "int8", versions: "0+" },
            { name: "resourceName", type: "string", versions: "0+" },
            {
              name: "configs",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "0+" },
                    { name: "value", type: "string", versions: "0+", nullable: "0+" },
                    { name: "readOnly", type: "bool", versions: "0+" },
                    { name: "configSource", type: "int8", versions: "1+", default: -1 },
                    { name: "isSensitive", type: "bool", versions: "0+" },
                    {
                      name: "synonyms",
                      type: {
                        array: {
                          struct: [
                            { name: "name", type: "string", versions: "1+" },
                            { name: "value", type: "string", versions: "1+", nullable: "0+" },
                            { name: "source", type: "int8", versions: "1+" }
                          ]
                        }
                      },
                      versions: "1+"
                    },
                    { name: "configType", type: "int8", versions: "3+" },
                    { name: "documentation", type: "string", versions: "3+", nullable: "0+" }
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
