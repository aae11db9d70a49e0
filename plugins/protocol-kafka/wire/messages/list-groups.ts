/**
 * ListGroups (16): the groups of a broker, from version 4 on of some states, from 5 on of some types.
 *
 * Source: ListGroupsRequest/Response of Apache Kafka 4.3; KIP-518, KIP-848.
 */
import type { Api } from "../schema.ts"

export const listGroups = {
  key: 16,
  name: "ListGroups",
  versionMin: 0,
  versionMax: 5,
  flexibleFrom: 3,
  request: [
    { name: "statesFilter", type: { array: "string" }, versions: "4+" },
    { name: "typesFilter", type: { array: "string" }, versions: "5+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    { name: "errorCode", type: "int16", versions: "0+" },
    {
      name: "groups",
      type: {
        array: {
          struct: [
            { name: "groupId", type: "string", versions: "0+" },
            { name: "protocolType", type: "string", versions: "0+" },
            { name: "groupState", type: "string", versions: "4+" },
            { name: "groupType", type: "string", versions: "5+" }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
