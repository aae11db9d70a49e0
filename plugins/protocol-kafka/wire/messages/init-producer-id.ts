/**
 * InitProducerId (22): an id for an idempotent producer. Version 1 is the same as 0, 2 is flexible, 3 adds the id and epoch that a
 * producer has, 4 and 5 know further errors. Version 6 (two-phase commit, KIP-939) is not stable in Apache Kafka 4.3 and left out.
 *
 * Source: InitProducerIdRequest/Response of Apache Kafka 4.3; KIP-98, KIP-360, KIP-588, KIP-890.
 */
import type { Api } from "../schema.ts"

export const initProducerId = {
  key: 22,
  name: "InitProducerId",
  versionMin: 0,
  versionMax: 5,
  flexibleFrom: 2,
  request: [
    { name: "transactionalId", type: "string", versions: "0+", nullable: "0+" },
    { name: "transactionTimeoutMs", type: "int32", versions: "0+" },
    { name: "producerId", type: "int64", versions: "3+", default: -1 },
    { name: "producerEpoch", type: "int16", versions: "3+", default: -1 }
  ],
  response: [
    { name: "throttleTimeMs", type: "int32", versions: "0+" },
    { name: "errorCode", type: "int16", versions: "0+" },
    { name: "producerId", type: "int64", versions: "0+", default: -1 },
    { name: "producerEpoch", type: "int16", versions: "0+" }
  ]
} as const satisfies Api
