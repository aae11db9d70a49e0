/**
 * Apache Kafka as one process of KRaft, broker and controller, on loopback: formatted in an empty folder, started, and stopped.
 *
 * Its settings are its own but for addresses, folders, one copy of everything, and topics that are made as they are asked for.
 */
import { spawnSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Child, freePort, launch } from "../launch.ts"
import { kafkaLibraries } from "./libraries.ts"

/** Any UUID in its form; it names the cluster of one. */
const CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
const START_MS_MAX = 60_000
const HEAP = ["-Xms1g", "-Xmx1g"]

export interface RunningKafka {
  readonly pid: number
  readonly port: number
  /** From the start of the process to its first answer that names a broker. */
  readonly readyMs: number
  stop(): Promise<void>
}

export interface KafkaOptions {
  /** The core that it runs on; undefined = any. */
  readonly core?: number | undefined
  /** Further lines of server.properties. */
  readonly lines?: ReadonlyArray<string>
  /** Of the virtual machine; a heap of 1 GiB, as Kafka's own script has it, where none are given. */
  readonly javaOptions?: ReadonlyArray<string>
  /** Of an earlier start in the same folder; else a free one. */
  readonly port?: number
}

/** Starts it over `folder`, which is formatted where it is empty. `isReady` asks whether it serves. */
export async function startKafka(
  folder: string,
  isReady: (port: number) => Promise<boolean>,
  options: KafkaOptions = {}
): Promise<RunningKafka> {
  const libraries = kafkaLibraries()
  if (libraries === undefined) throw new Error("Apache Kafka is not installed")
  const port = options.port ?? (await freePort())
  const controller = await freePort()
  const file = join(folder, "server.properties")
  writeFileSync(file, `${propertiesOf(folder, port, controller, options.lines ?? []).join("\n")}\n`)
  const log = join(folder, "log4j2.yaml")
  writeFileSync(log, 'Configuration:\n  Loggers:\n    Root:\n      level: "OFF"\n')
  const java = [
    "java",
    ...(options.javaOptions ?? HEAP),
    `-Dlog4j2.configurationFile=${log}`,
    "-cp",
    join(libraries, "*")
  ]
  if (!existsSync(join(folder, "data/meta.properties"))) format(java, file)
  const startMs = performance.now()
  const child: Child = launch([...java, "kafka.Kafka", file], options.core, { silentMsMax: START_MS_MAX })
  while (!(await isReady(port))) {
    if (performance.now() - startMs > START_MS_MAX) {
      await child.kill()
      throw new Error("Apache Kafka does not answer")
    }
    await new Promise((goOn) => setTimeout(goOn, 20))
  }
  return { pid: child.pid, port, readyMs: performance.now() - startMs, stop: child.stop }
}

function format(java: ReadonlyArray<string>, file: string): void {
  const [program = "", ...rest] = java
  const run = spawnSync(program, [...rest, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file], {
    encoding: "utf8"
  })
  if (run.status !== 0) throw new Error(`the folder could not be formatted: ${run.stderr}`)
}

function propertiesOf(folder: string, port: number, controller: number, lines: ReadonlyArray<string>): string[] {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controller}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    "controller.listener.names=CONTROLLER",
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    `log.dirs=${join(folder, "data")}`,
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    ...lines
  ]
}
