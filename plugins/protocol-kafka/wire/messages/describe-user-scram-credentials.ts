/**
 * DescribeUserScramCredentials (50): which users can log in by SCRAM, without what they log in with.
 *
 * Source: DescribeUserScramCredentialsRequest/Response of Apache Kafka 4.3; KIP-554.
 */
import type { Api } from "../schema.ts"

export const describeUserScramCredentials = {
  key: 50,
  name: "DescribeUserScramCredentials",
  versionMin: 0,
  versionMax: 0,
  flexibleFrom: 0,
  request: [
    {
      name: "users",
      type: { array: { struct: [{ name: "name", type: "string", versions: "0+" }] } },
      versions: "0+",
      nullable: "0+"
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
    {
      name: "results",
      type: {
        array: {
          struct: [
            { name: "user", type: "string", versions: "0+" },
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" },
            {
              name: "credentialInfos",
              type: {
                array: {
                  struct: [
                    { name: "mechanism", type: "int8", versions: "0+" },
                    { name: "iterations", type: "int32", versions: "0+" }
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
