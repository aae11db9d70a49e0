/** The brokers of these measurements: this one with segments on disk, in both of their modes and in memory; and Apache Kafka. */
import { join } from "node:path"
import { apiVersions } from "../../plugins/protocol-kafka/wire/apis.ts"
import { startKafka } from "../brokers/kafka/apache-kafka.ts"
import { KAFKA_VERSION, kafkaMissing } from "../brokers/kafka/libraries.ts"
import { BROKER_CORE, launch } from "../brokers/launch.ts"
import { type Build, commandOf } from "../brokers/manifold.ts"
import { KafkaClient } from "./KafkaClient.ts"

export interface StartedBroker {
  readonly pid: number
  readonly port: number
  readonly readyMs: number
  stop(): Promise<void>
}

export interface KafkaBroker {
  readonly name: string
  /** What an acknowledgement says. */
  readonly promise: string
  missing(): string | undefined
  start(folder: string, partitions: number): Promise<StartedBroker>
}

const START_MS_MAX = 60_000

export const kafkaBrokers = (build: Build): ReadonlyArray<KafkaBroker> => [
  manifold("manifold-hybrid", "segment", "hybrid", "handed to the system, not synced", build),
  manifold("manifold-persistent", "segment", "persistent", "synced", build),
  manifold("manifold-memory", "memory", "memory", "in memory", build),
  apache()
]

function manifold(name: string, engine: string, mode: string, promise: string, build: Build): KafkaBroker {
  return {
    name,
    promise,
    missing: () => (commandOf(build) === undefined ? "there is nothing to start" : undefined),
    start: async (folder, partitions) => {
      const ports = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
      const set = [
        ...ports.map((port) => `${port}=127.0.0.1:0`),
        `topics.engine=${engine}`,
        `topics.mode=${mode}`,
        `topics.partitions=${partitions}`,
        // As Apache Kafka is started here.
        "protocol-kafka.group_initial_rebalance_delay_ms=0",
        // All that a round stores stays: what is read is what was written.
        ...(engine === "memory"
          ? ["storage-memory.partition_bytes_max=1073741824", "storage-memory.total_bytes_max=1073741824"]
          : [])
      ].flatMap((one) => ["--set", one])
      const startMs = performance.now()
      const command = [...(commandOf(build) ?? []), "start", "--data", join(folder, "data"), ...set]
      const child = launch(command, BROKER_CORE, { silentMsMax: START_MS_MAX })
      const port = await child.line((line) => /protocol-kafka\.tcp=\S*?:(\d+)/.exec(line)?.[1])
      return { pid: child.pid, port: Number(port), readyMs: performance.now() - startMs, stop: child.stop }
    }
  }
}

/** Its acknowledgement, acks = all with one copy, comes when the page cache has it. */
function apache(): KafkaBroker {
  return {
    name: `kafka-${KAFKA_VERSION}`,
    promise: "handed to the system, not synced",
    missing: kafkaMissing,
    start: (folder, partitions) =>
      startKafka(folder, isServing, { core: BROKER_CORE, lines: [`num.partitions=${partitions}`] })
  }
}

async function isServing(port: number): Promise<boolean> {
  try {
    const client = await KafkaClient.open(port)
    const gone = new Promise<undefined>((done) => {
      client.failed = () => done(undefined)
    })
    const answer = await Promise.race([client.call(apiVersions, 0, {}), gone])
    client.close()
    return answer?.errorCode === 0
  } catch {
    return false
  }
}
