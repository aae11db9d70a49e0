/** What Kafka clients do in a measurement. */

export interface KafkaScenario {
  readonly name: string
  readonly kind: "produce" | "fetch"
  readonly valueBytes: number
  readonly partitions: number
}

const shapes = [
  { suffix: "100b-1", valueBytes: 100, partitions: 1 },
  { suffix: "1k-1", valueBytes: 1_024, partitions: 1 },
  { suffix: "100b-100", valueBytes: 100, partitions: 100 },
  { suffix: "1k-100", valueBytes: 1_024, partitions: 100 }
] as const

export const KAFKA_SCENARIOS: ReadonlyArray<KafkaScenario> = (["produce", "fetch"] as const).flatMap((kind) =>
  shapes.map(({ suffix, ...shape }) => ({ name: `${kind}-${suffix}`, kind, ...shape }))
)

/** Bytes of one batch, about: a Java producer's default. */
export const BATCH_BYTES = 16_384
export const CONNECTIONS = 4
/** Batches of one connection that are not acknowledged: a Java producer's default. */
export const IN_FLIGHT = 5
/** Stored before a fetch is measured; read again and again. */
export const STORED_BYTES = 268_435_456

/** What the driver is told. */
export interface DriverTask extends KafkaScenario {
  readonly port: number
  readonly pid: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly storedBytes: number
}

export interface DriverReport {
  readonly seconds: number
  readonly records: number
  readonly bytes: number
  /** Requests that were answered. */
  readonly requests: number
  readonly brokerCpuSeconds: number
  readonly driverCpuSeconds: number
  readonly rssMiB: number
  /** Errors in answers, and offsets that did not follow each other; the figures are no result where there is one. */
  readonly faults: number
}
