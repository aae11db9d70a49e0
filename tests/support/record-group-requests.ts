/**
 * Writes plugins/protocol-kafka/wire/golden/group-clients.golden.json: requests of consumer groups as the Java client, its console tool,
 * kafkajs and kcat (librdkafka) send them to this broker, each with the values that Apache's own classes read out of its body.
 *
 * The clients talk to a broker through a wire that is listened to. Run by hand: `KAFKA_LIBS=<folder of jars> bun
 * tests/support/record-group-requests.ts`; the tests read the file alone.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { Kafka, logLevel, Partitioners } from "kafkajs"
import { apiOf } from "../../plugins/protocol-kafka/wire/apis.ts"
import { Reader } from "../../plugins/protocol-kafka/wire/codec.ts"
import { decodeRequestHeader, FrameReader } from "../../plugins/protocol-kafka/wire/framing.ts"
import type { Fields } from "../../plugins/protocol-kafka/wire/schema.ts"
import { startBroker } from "./broker.ts"
import { readWithJava } from "./kafka-java-oracle.ts"

const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/group-clients.golden.json", import.meta.url)
const TOPIC = "recorded"
/** The APIs of consumer groups. */
const GROUP_KEYS: ReadonlySet<number> = new Set([8, 9, 11, 12, 13, 14, 15, 16, 42, 47])
const PER_REQUEST_MAX = 2
const libraries = `${process.env.KAFKA_LIBS}/*`

interface Recorded {
  readonly client: string
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly bodyHex: string
  readonly fields: Fields
}
const recorded: Array<Recorded> = []
let client = ""

function record(frame: Uint8Array): void {
  const reader = new Reader(frame, 0, frame.length)
  const header = decodeRequestHeader(reader, apiOf)
  const api = apiOf(header.apiKey)
  if (api === undefined || !GROUP_KEYS.has(api.key)) return
  const [message, version] = [`${api.name}Request`, header.apiVersion]
  const seen = recorded.filter((row) => row.client === client && row.message === message && row.version === version)
  if (seen.length >= PER_REQUEST_MAX) return
  const bodyHex = frame.subarray(reader.position).toHex()
  recorded.push({ client, message, version, hex: frame.toHex(), bodyHex, fields: api.request })
}

interface Ends {
  readonly frames: FrameReader
  readonly far: Promise<Bun.Socket>
}
let target = 0
const wire = Bun.listen<Ends>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open: (near) => {
      const back = { data: (_: Bun.Socket, chunk: Buffer) => void near.write(chunk), close: () => void near.end() }
      const far = Bun.connect({ hostname: "127.0.0.1", port: target, socket: back }) as Promise<Bun.Socket>
      near.data = { frames: new FrameReader(2 ** 26), far }
    },
    data: (near, chunk) => {
      const { frames, far } = near.data
      frames.push(chunk.slice())
      while (frames.next()) record(frames.bytes.slice(frames.start, frames.end))
      const copy = chunk.slice()
      void far.then((socket) => socket.write(copy))
    },
    close: (near) => void near.data.far.then((socket) => socket.end())
  }
})
const bootstrap = `127.0.0.1:${wire.port}`
const set = { "protocol-kafka.advertised": bootstrap, "protocol-kafka.group_initial_rebalance_delay_ms": "0" }
const broker = await startBroker({ set })
target = broker.kafka.port

async function ran(name: string, command: string, args: ReadonlyArray<string>, forMs: number): Promise<void> {
  client = name
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "ignore"] })
  const over = new Promise((done) => child.once("close", done))
  const end = setTimeout(() => child.stdin?.end(), forMs)
  const late = setTimeout(() => child.kill(command === "kcat" ? "SIGTERM" : "SIGKILL"), forMs + 6_000)
  await over
  clearTimeout(end)
  clearTimeout(late)
}

client = "kafkajs 2.2.4"
const kafka = new Kafka({ clientId: "recorded", brokers: [bootstrap], logLevel: logLevel.NOTHING })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
await producer.connect()
await producer.send({ topic: TOPIC, messages: [{ value: "v" }] })
await producer.disconnect()
const consumer = kafka.consumer({ groupId: "js" })
await consumer.connect()
await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
await consumer.run({ autoCommitThreshold: 1, eachMessage: async () => {} })
await Bun.sleep(4_000)
await consumer.disconnect()
const admin = kafka.admin()
await admin.connect()
await admin.listGroups()
await admin.describeGroups(["js"])
await admin.fetchOffsets({ groupId: "js" })
await admin.deleteGroups(["js"])
await admin.disconnect()

const source = new URL("../compat/kafka/GroupConsumer.java", import.meta.url).pathname
const java = "Java client 4.3.1"
await ran(java, "java", ["-cp", libraries, source, bootstrap, "java", TOPIC], 30_000)
const tool = [
  "-cp",
  libraries,
  "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  "--bootstrap-server",
  bootstrap
]
for (const args of [
  ["--list", "--state"],
  ["--describe", "--group", "java"],
  ["--reset-offsets", "--group", "java", "--topic", TOPIC, "--to-earliest", "--execute"],
  ["--delete-offsets", "--group", "java", "--topic", TOPIC],
  ["--delete", "--group", "java"]
]) {
  await ran(java, "java", [...tool, ...args], 20_000)
}
await ran(
  "kcat 1.7.1, librdkafka 2.0.2",
  "kcat",
  ["-b", bootstrap, "-X", "auto.offset.reset=earliest", "-G", "kcat", TOPIC],
  2_000
)
await broker.stop()
wire.stop(true)

const answers = readWithJava(recorded.map((row) => ({ ...row, hex: row.bodyHex })))
const rows = recorded.map(({ client: name, message, version, hex }, index) =>
  JSON.stringify({ client: name, message, version, hex, value: answers[index]?.value })
)
writeFileSync(GOLDEN, `[\n${rows.join(",\n")}\n]\n`)
console.log([...new Set(recorded.map((row) => `${row.client}: ${row.message} ${row.version}`))].join("\n"))
process.exit(0)
