/**
 * ElectLeaders (43): of each partition, the preferred replica (0) or, from 1 on, any (1).
 *
 * Source: ElectLeadersRequest/Response of Apache Kafka 4.3; KIP-183, KIP-460.
 */
import type { Api } from "../schema.ts"

export const electLeaders = {
  key: 43,
  name: "ElectLeaders",
  versionMin: 0,
  versionMax: 2,
  flexibleFrom: 2,
  request: [
    { name: "electionType", type: "int8", versions: "1+" },
    {
      name: "topicPartitions",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0+" },
            { name: "partitions", type: { array: "int32" }, versions: "0+" }
          ]
        }
      },
      versions: "0+",
      nullable: "0+"
    },
    { name: "timeoutMs", type: "int32", versions: "0+", default: 60000 }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "1+" },
    {
      name: "replicaElectionResults",
      type: {
        array: {
          struct: [
            { name: "topic", type: "string", versions: "0+" },
            {
              name: "partitionResult",
              type: {
                array: {
                  struct: [
                    { name: "partitionId", type: "int32", versions: "0+" },
                    { name: "errorCode", type: "int16", versions: "0+" },
                    { name: "errorMessage", type: "string", versions: "0+", nullable: "0+" }
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
