/**
 * DescribeGroups (15): state, protocol and members of groups. From version 6 on one that is unknown is an error.
 *
 * Source: DescribeGroupsRequest/Response of Apache Kafka 4.3; KIP-345, KIP-430, KIP-1043.
 */
import type { Api } from "../schema.ts"

export const describeGroups = {
  key: 15,
  name: "DescribeGroups",
  versionMin: 0,
  versionMax: 6,
  flexibleFrom: 5,
  request: [
    { name: "groups", type: { array: "string" }, versions: "0+" },
    { name: "includeAuthorizedOperations", type: "bool", versions: "3+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "1+" },
    {
      name: "groups",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "6+", nullable: "6+", default: null },
            { name: "groupId", type: "string", versions: "0+" },
            { name: "groupState", type: "string", versions: "0+" },
            { name: "protocolType", type: "string", versions: "0+" },
            { name: "protocolData", type: "string", versions: "0+" },
            {
              name: "members",
              type: {
                array: {
                  struct: [
                    { name: "memberId", type: "string", versions: "0+" },
                    { name: "groupInstanceId", type: "string", versions: "4+", nullable: "4+", default: null },
                    { name: "clientId", type: "string", versions: "0+" },
                    { name: "clientHost", type: "string", versions: "0+" },
                    { name: "memberMetadata", type: "bytes", versions: "0+" },
                    { name: "memberAssignment", type: "bytes", versions: "0+" }
                  ]
                }
              },
              versions: "0+"
            },
            { name: "authorizedOperations", type: "int32", versions: "3+", default: -2147483648 }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
