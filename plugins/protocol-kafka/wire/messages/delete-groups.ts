/**
 * DeleteGroups (42): forgets groups without members, with their offsets.
 *
 * Source: DeleteGroupsRequest/Response of Apache Kafka 4.3; KIP-229.
 */
import type { Api } from "../schema.ts"

export const deleteGroups = {
  key: 42,
  name: "DeleteGroups",
  versionMin: 0,
  versionMax: 2,
  flexibleFrom: 2,
  request: [{ name: "groupsNames", type: { array: "string" }, versions: "0+" }],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+" },
    {
      name: "results",
      type: {
        array: {
          struct: [
            { name: "groupId", type: "string", versions: "0+" },
            { name: "errorCode", type: "int16", versions: "0+" }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
