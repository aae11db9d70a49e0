/**
 * DescribeLogDirs (35): bytes of partitions; 4 adds those of the volume, 5 whether it takes no new partitions.
 *
 * Source: DescribeLogDirsRequest/Response of Apache Kafka 4.3; KIP-113, KIP-827, KIP-1066.
 */
import type { Api } from "../schema.ts"

export const describeLogDirs = {
  key: 35,
  name: "DescribeLogDirs",
  versionMin: 1,
  versionMax: 5,
  flexibleFrom: 2,
  request: [
    {
      name: "topics",
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
    }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+", default: 0 },
    { name: "errorCode", type: "int16", versions: "3+" },
    {
      name: "results",
      type: {
        array: {
          struct: [
            { name: "errorCode", type: "int16", versions: "0+" },
            { name: "logDir", type: "string", versions: "0+" },
            {
              name: "topics",
              type: {
                array: {
                  struct: [
                    { name: "name", type: "string", versions: "0+" },
                    {
                      name: "partitions",
                      type: {
                        array: {
                          struct: [
                            { name: "partitionIndex", type: "int32", versions: "0+" },
                            { name: "partitionSize", type: "int64", versions: "0+" },
                            { name: "offsetLag", type: "int64", versions: "0+" },
                            { name: "isFutureKey", type: "bool", versions: "0+" }
                          ]
                        }
                      },
                      versions: "0+"
                    }
                  ]
                }
              },
              versions: "0+"
            },
            { name: "totalBytes", type: "int64", versions: "4+", default: -1 },
            { name: "usableBytes", type: "int64", versions: "4+", default: -1 },
            { name: "isCordoned", type: "bool", versions: "5+" }
          ]
        }
      },
      versions: "0+"
    }
  ]
} as const satisfies Api
