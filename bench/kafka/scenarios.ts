/** What Kafka clients do in a measurement. */
import type { CodecName } from "../../tests/support/record-batch.ts"

interface Described {
  readonly name: string
  readonly valueBytes: number
  readonly partitions: number
}

/** Bytes through the broker, as many as it takes. */
export interface FlowScenario extends Described {
  readonly kind: "produce" | "fetch"
  readonly codec: CodecName
}

/** Something else to be measured, told as figures with names of their own. */
export interface FigureScenario extends Described {
  readonly kind: "latency" | "groups" | "rebalance" | "partitions"
  readonly about: string
}

export type KafkaScenario = FlowScenario | FigureScenario

export const isFlow = (scenario: KafkaScenario): scenario is FlowScenario =>
  scenario.kind === "produce" || scenario.kind === "fetch"

const shapes = [
  { suffix: "100b-1", valueBytes: 100, partitions: 1, codec: "none" },
  { suffix: "1k-1", valueBytes: 1_024, partitions: 1, codec: "none" },
  { suffix: "100b-100", valueBytes: 100, partitions: 100, codec: "none" },
  { suffix: "1k-100", valueBytes: 1_024, partitions: 100, codec: "none" }
] as const

const flows: ReadonlyArray<FlowScenario> = (["produce", "fetch"] as const).flatMap((kind) =>
  shapes.map(({ suffix, ...shape }) => ({ name: `${kind}-${suffix}`, kind, ...shape }))
)

/** A broker looks into what it is sent, and out of what it keeps: only producing differs. */
const packed: ReadonlyArray<FlowScenario> = (["gzip", "snappy", "lz4", "zstd"] as const).map((codec) => {
  return { name: `produce-${codec}`, kind: "produce", valueBytes: 1_024, partitions: 1, codec }
})

const figures: ReadonlyArray<FigureScenario> = [
  {
    name: "latency",
    kind: "latency",
    valueBytes: 100,
    partitions: 1,
    about:
      "500 records/s, one a batch, acks = all, read by a consumer that waits: ms until acknowledged, and until read"
  },
  {
    name: "groups",
    kind: "groups",
    valueBytes: 100,
    partitions: 10,
    about:
      "1,000 consumers in 100 groups: seconds until all have their assignment; then each long-polls, sends heartbeats every 3 s, commits every 5 s"
  },
  {
    name: "rebalance",
    kind: "rebalance",
    valueBytes: 100,
    partitions: 100,
    about:
      "a group of 100 members with heartbeats every 100 ms: ms from one more that joins until all have the next generation's assignment"
  },
  {
    name: "partitions",
    kind: "partitions",
    valueBytes: 100,
    partitions: 1,
    about:
      "a topic of 10,000 partitions: seconds to make it, to write a batch to each, and to read them all; ms of a Metadata"
  }
]

export const KAFKA_SCENARIOS: ReadonlyArray<KafkaScenario> = [...flows, ...packed, ...figures]

/** Bytes of one batch, about: a Java producer's default. */
export const BATCH_BYTES = 16_384
export const CONNECTIONS = 4
/** Batches of one connection that are not acknowledged: a Java producer's default. */
export const IN_FLIGHT = 5
/** Stored before a fetch is measured; read again and again. */
export const STORED_BYTES = 268_435_456

/** What the driver is told. */
export interface DriverFacts {
  readonly port: number
  readonly pid: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly storedBytes: number
}
export type FlowTask = FlowScenario & DriverFacts
export type FigureTask = FigureScenario & DriverFacts
export type DriverTask = FlowTask | FigureTask

export interface FlowReport {
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

/** By their names, in the order in which they are told; `faults` among them. */
export type Figures = Readonly<Record<string, number>>
