/**
 * DeleteTopics (20): by name, from 6 on by name or id.
 *
 * Source: DeleteTopicsRequest/Response of Apache Kafka 4.3; KIP-4, KIP-599, KIP-516.
 */
import type { Api } from "../schema.ts"

export const deleteTopics = {
  key: 20,
  name: "DeleteTopics",
  versionMin: 1,
  versionMax: 6,
  flexibleFrom: 4,
  request: [
    {
      name: "topics",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "6+", nullable: "6+", default: null },
            { name: "topicId", type: "uuid", versions: "6+" }
          ]
        }
      },
      versions: "6+"
    },
    { name: "topicNames", type: { array: "string" }, versions: "0-5" },
    { name: "timeoutMs", type: "int32", versions: "0+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    {
      name: "responses",
      type: {
        array: {
          struct: [
            { name: "name", type: "string", versions: "0+", nullable: "6+" },
            { name: "topicId", type: "uuid", versions: "6+" },
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "5+", nullable: "5+", default: null }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
