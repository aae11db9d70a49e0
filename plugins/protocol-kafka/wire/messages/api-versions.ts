/**
 * ApiVersions (18): which APIs and versions a broker speaks. Its response header is always version 0, and an unknown version is
 * answered in the form of version 0 with error 35, so that any client can start a conversation with any broker.
 *
 * Source: ApiVersionsRequest/Response of Apache Kafka 4.3; KIP-511, KIP-584.
 */
import type { Api } from "../schema.ts"

export const apiVersions = {
  key: 18,
  name: "ApiVersions",
  versionMin: 0,
  versionMax: 4,
  flexibleFrom: 3,
  request: [
    { name: "clientSoftwareName", type: "string", versions: "3+" },
    { name: "clientSoftwareVersion", type: "string", versions: "3+" }
  ],
  response: [
    { name: "errorCode", type: "int16", versions: "0+" },
    {
      name: "apiKeys",
      type: {
        array: {
          struct: [
            { name: "apiKey", type: "int16", versions: "0+" },
            { name: "minVersion", type: "int16", versions: "0+" },
            { name: "maxVersion", type: "int16", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    },
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    {
      name: "supportedFeatures",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "minVersion", type: "int16", versions: "0+" },
            { name: "maxVersion", type: "int16", versions: "0+" }
          ]
        }
      },
      versions: "3+",
      tag: 0
    },
    { name: "finalizedFeaturesEpoch", type: "int64", versions: "3+", tag: 1, default: -1 },
    {
      name: "finalizedFeatures",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+" },
            { name: "maxVersionLevel", type: "int16", versions: "0+" },
            { name: "minVersionLevel", type: "int16", versions: "0+" }
          ]
        }
      },
      versions: "3+",
      tag: 2
    },
    { name: "zkMigrationReady", type: "bool", versions: "3+", tag: 3, default: false }
  ]
} as const satisfies Api
