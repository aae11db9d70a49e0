/**
 * DescribeCluster (60): the brokers, or from 1 on the controllers (endpoint type 2).
 *
 * Source: DescribeClusterRequest/Response of Apache Kafka 4.3; KIP-700, KIP-919, KIP-1073.
 */
import type { Api } from "../schema.ts"

export const describeCluster = {
  key: 60,
  name: "DescribeCluster",
  versionMin: 0,
  versionMax: 2,
  flexibleFrom: 0,
  request: [
    { name: "includeClusterAuthorizedOperations", type: "bool", versions: "0+" },
    { name: "endpointType", type: "int8", versions: "1+", default: 1 },
    { name: "includeFencedBrokers", type: "bool", versions: "2+" }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+", default: null },
    { name: "endpointType", type: "int8", versions: "1+", default: 1 },
    { name: "clusterId", type: "string", versions: "0+" },
    { name: "controllerId", type: "int32", versions: "0+", default: -1 },
    {
      name: "brokers",
      type: {
        array: {
          struct: [
            { name: "brokerId", type: "int32", versions: "0+" },
            { name: "host", type: "string", versions: "0+" },
            { name: "port", type: "int32", versions: "0+" },
            { name: "rack", type: "string", versions: "0+", nullable: "0+", default: null },
            { name: "isFenced", type: "bool", versions: "2+" }
          ]
        }
      },
      versions: "0+"
    },
    { name: "clusterAuthorizedOperations", type: "int32", versions: "0+", default: -2147483648 }
  ]
} as const satisfies Api
