/**
 * Kafka Connect, distributed, and an application of Kafka Streams keep their state in the broker and find it after restarts of theirs and of the
 * broker. Minutes long, and 130 MB of libraries: on demand, `mvn -f tests/compat/kafka-platform compile`, then with MANIFOLD_COMPAT_LONG=1.
 */
import { afterAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, ROOT, startBroker } from "../support/broker.ts"
import { programPath } from "../support/runtime.ts"
import { sleep, until } from "../support/until.ts"

const BUILT = join(ROOT, ".cache/compat/kafka-platform")
const JAVA = programPath("java")
const isAsked = process.env.MANIFOLD_COMPAT_LONG === "1" && !IS_EXTERNAL
const isThere = JAVA !== undefined && existsSync(join(BUILT, "classes/compat/WordCounts.class"))
const why = !isAsked ? "minutes long: MANIFOLD_COMPAT_LONG=1" : "not built: mvn -f tests/compat/kafka-platform compile"
const canRun = isAsked && isThere
const titled = (title: string): string => (canRun ? title : `${title} [skipped: ${why}]`)

const folder = mkdtempSync(join(tmpdir(), "manifold-platform-"))
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

class Java {
  output = ""
  readonly #child: ChildProcess

  constructor(mainClass: string, args: ReadonlyArray<string>) {
    const path = ["classes", "libraries/*"].map((each) => join(BUILT, each)).join(":")
    this.#child = spawn(JAVA ?? "java", ["-Xmx256m", "-cp", path, mainClass, ...args], {
      stdio: ["pipe", "pipe", "pipe"]
    })
    running.add(this.#child)
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.output = (this.output + bytes.toString()).slice(-200_000)
      })
    }
  }

  /** Its end; with SIGKILL at once. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve))
    this.#child.stdin?.end()
    this.#child.kill(signal)
    await ended
    running.delete(this.#child)
  }

  /** Runs a tool to its end; what it has written. */
  static async run(mainClass: string, args: ReadonlyArray<string>): Promise<string> {
    const java = new Java(mainClass, args)
    await new Promise((resolve) => java.#child.once("exit", resolve))
    running.delete(java.#child)
    return java.output
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Of a connector, as Connect tells it. */
interface Status {
  readonly connector?: { readonly state: string }
  readonly tasks?: ReadonlyArray<{ readonly state: string }>
}

/** A broker that comes back at its address. */
async function brokerAt(port: number, data: string): Promise<Broker> {
  return startBroker({
    set: { "node.data": data, "protocol-kafka.tcp": `127.0.0.1:${port}` },
    shards: 2
  })
}

const LONG_MS = 90_000
const eventually = (what: string, isSo: () => boolean | Promise<boolean>): Promise<unknown> =>
  until(what, async () => isSo(), LONG_MS)

/** A topic from its beginning, as lines "key value". */
async function contents(bootstrap: string, topic: string, deserializer = "String"): Promise<ReadonlyArray<string>> {
  const serde = "org.apache.kafka.common.serialization"
  const output = await Java.run("org.apache.kafka.tools.consumer.ConsoleConsumer", [
    ...["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning", "--timeout-ms", "4000"],
    ...["--formatter-property", "print.key=true", "--formatter-property", "key.separator= "],
    ...["--formatter-property", `key.deserializer=${serde}.StringDeserializer`],
    ...["--formatter-property", `value.deserializer=${serde}.${deserializer}Deserializer`]
  ])
  return output.split("\n").filter((line) => /^\S+ \S+$/.test(line))
}

test.skipIf(!canRun)(
  titled(
    "Kafka Connect: its configuration, offsets and states are found again, after kills of the broker and of a worker"
  ),
  async () => {
    const port = await freePort()
    const bootstrap = `127.0.0.1:${port}`
    const data = join(folder, "connect-data")
    let broker = await brokerAt(port, data)
    const restPort = await freePort()
    const rest = `http://127.0.0.1:${restPort}`
    const properties = join(folder, "connect.properties")
    const converter = "org.apache.kafka.connect.storage.StringConverter"
    writeFileSync(
      properties,
      [
        `bootstrap.servers=${bootstrap}`,
        `listeners=${rest}`,
        "group.id=connect-cluster",
        ...["config", "offset", "status"].flatMap((kind) => [
          `${kind}.storage.topic=connect-${kind}s`,
          `${kind}.storage.replication.factor=1`
        ]),
        "offset.storage.partitions=5",
        "status.storage.partitions=3",
        "offset.flush.interval.ms=500",
        `key.converter=${converter}`,
        `value.converter=${converter}`,
        "plugin.discovery=only_scan"
      ].join("\n")
    )
    const [input, output] = [join(folder, "in.txt"), join(folder, "out.txt")]
    writeFileSync(input, "")
    const worker = (): Java => new Java("org.apache.kafka.connect.cli.ConnectDistributed", [properties])
    const ask = async (method: string, path: string, body?: object) => {
      const content = body === undefined ? {} : { body: JSON.stringify(body) }
      const headers = { "content-type": "application/json" }
      const answer = await fetch(`${rest}${path}`, { method, headers, ...content }).catch(() => undefined)
      return answer?.ok === true ? ((await answer.json()) as unknown) : undefined
    }
    const isRunning = async (name: string): Promise<boolean> => {
      const status = (await ask("GET", `/connectors/${name}/status`)) as Status | undefined
      return status?.connector?.state === "RUNNING" && status?.tasks?.[0]?.state === "RUNNING"
    }
    let connect = worker()
    await eventually("Connect is up", async () => (await ask("GET", "/connectors")) !== undefined)
    const connector = (name: string, config: object) =>
      ask("PUT", `/connectors/${name}/config`, { "tasks.max": "1", topic: "lines", topics: "lines", ...config })
    await connector("source", {
      "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
      file: input
    })
    await connector("sink", {
      "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
      file: output
    })
    await eventually("both run", async () => (await isRunning("source")) && (await isRunning("sink")))
    let written = 0
    const write = (count: number): void => {
      for (let index = 0; index < count; index++) appendFileSync(input, `line-${written++}\n`)
    }
    const lines = (): ReadonlyArray<string> =>
      existsSync(output) ? readFileSync(output, "utf8").split("\n").filter(Boolean) : []
    const hasAll = (): boolean => new Set(lines()).size === written
    write(100)
    await eventually("the lines have come", hasAll)
    expect(lines().length).toBe(100)
    const configs = await Java.run("kafka.admin.ConfigCommand", [
      ...["--bootstrap-server", bootstrap, "--describe", "--all", "--entity-type", "topics"],
      ...["--entity-name", "connect-offsets"]
    ])
    expect(configs).toContain("cleanup.policy=compact")

    await broker.kill()
    write(50)
    broker = await brokerAt(port, data)
    await eventually("the lines of the time without a broker have come", hasAll)
    await sleep(1_500)
    await connect.end("SIGKILL")
    write(50)
    connect = worker()
    await eventually("Connect is up again", async () => (await isRunning("source")) && (await isRunning("sink")))
    await eventually("the lines of the time without a worker have come", hasAll)
    // At least once; what was committed before is not read again.
    expect(lines().filter((line) => line === "line-0")).toHaveLength(1)
    expect(await ask("GET", "/connectors")).toEqual(expect.arrayContaining(["source", "sink"]))
    await connect.end()
    await broker.stop()
  },
  600_000
)

test.skipIf(!canRun)(
  titled(
    "Kafka Streams, at least once: counts are right after kills of the application and the broker, and its store comes back from its changelog"
  ),
  async () => {
    const port = await freePort()
    const bootstrap = `127.0.0.1:${port}`
    const data = join(folder, "streams-data")
    let broker = await brokerAt(port, data)
    for (const topic of ["words-in", "words-out"]) {
      await Java.run("org.apache.kafka.tools.TopicCommand", [
        ...["--bootstrap-server", bootstrap, "--create", "--topic", topic, "--partitions", "4"]
      ])
    }
    const { Kafka, logLevel } = await import("kafkajs")
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 20 } })
    const producer = kafka.producer()
    await producer.connect()
    const counts = new Map<string, number>()
    let number = 0
    const send = async (count: number): Promise<void> => {
      const messages = Array.from({ length: count }, () => {
        const words = [`w${number % 13}`, `w${number % 7}`, `v${number % 5}`]
        for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
        return { key: `k${number++ % 9}`, value: words.join(" ") }
      })
      await producer.send({ topic: "words-in", messages })
    }
    const application = (state: string): Java =>
      new Java("compat.WordCounts", [bootstrap, "word-counts", "words-in", "words-out", join(folder, state)])
    const latest = async (): Promise<Record<string, number>> => {
      const found: Record<string, number> = {}
      for (const line of await contents(bootstrap, "words-out", "Long")) {
        const [word = "", count] = line.split(" ")
        found[word] = Number(count)
      }
      return found
    }
    const isRight = async (): Promise<boolean> => {
      const found = await latest()
      return [...counts].every(([word, count]) => found[word] === count)
    }
    let streams = application("state-1")
    await send(2_000)
    await eventually("the counts are right", isRight)
    await streams.end()
    // A state of its own: the store has to come from its changelog.
    streams = application("state-2")
    await send(500)
    await eventually("the counts go on", isRight)
    await broker.kill()
    broker = await brokerAt(port, data)
    await send(500)
    await eventually("the counts go on after a kill of the broker", isRight)
    // What was read of the repartition topic is deleted from it.
    await eventually("the repartition topic is purged", async () => {
      const offsets = await Java.run("org.apache.kafka.tools.GetOffsetShell", [
        ...["--bootstrap-server", bootstrap, "--topic", "word-counts-words-repartition", "--time", "earliest"]
      ])
      const starts = [...offsets.matchAll(/repartition:\d+:(\d+)/g)].map((match) => Number(match[1]))
      return starts.length === 4 && starts.every((start) => start > 0)
    })
    await streams.end()
    await producer.disconnect()
    await broker.stop()
  },
  600_000
)
