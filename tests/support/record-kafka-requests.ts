/**
 * Writes plugins/protocol-kafka/wire/golden/real-clients.golden.json: requests as kcat (librdkafka), kafka-python and kafkajs send
 * them, each with the values that kafka-python reads out of its body.
 *
 * The clients talk to a stand-in that knows one topic of one partition and answers just enough for them to go on. Run by hand:
 * `bun tests/support/record-kafka-requests.ts`; the tests read the file alone.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import {
  APIS,
  apiOf,
  apiVersions,
  fetch,
  findCoordinator,
  listOffsets,
  metadata,
  produce
} from "../../plugins/protocol-kafka/wire/apis.ts"
import { decodeRequest, encodeResponse, Reader } from "../../plugins/protocol-kafka/wire/codec.ts"
import { beginResponse, decodeRequestHeader, endFrame, FrameReader } from "../../plugins/protocol-kafka/wire/framing.ts"
import type { Api } from "../../plugins/protocol-kafka/wire/schema.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"
import { readWithKafkaPython } from "./kafka-oracle.ts"

const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/real-clients.golden.json", import.meta.url)
const TOPIC = "recorded"
const TOPIC_ID = "11111111-2222-4333-8444-555555555555"
const PER_REQUEST_MAX = 2
const CLIENT_MS_MAX = 8_000

interface Recorded {
  readonly client: string
  readonly message: string
  readonly version: number
  /** The whole request without its size. */
  readonly hex: string
  readonly bodyHex: string
}
const recorded: Array<Recorded> = []
let client = ""

function record(api: Api, version: number, frame: Uint8Array, bodyStart: number): void {
  const message = `${api.name}Request`
  const seen = recorded.filter((row) => row.client === client && row.message === message && row.version === version)
  if (seen.length >= PER_REQUEST_MAX) return
  recorded.push({ client, message, version, hex: frame.toHex(), bodyHex: frame.subarray(bodyStart).toHex() })
}

interface Connection {
  readonly frames: FrameReader
}
const server = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open: (socket) => {
      socket.data = { frames: new FrameReader(2 ** 26) }
    },
    data: (socket, chunk) => {
      const { frames } = socket.data
      frames.push(chunk)
      while (frames.next()) {
        const reader = new Reader(frames.bytes, frames.start, frames.end)
        const header = decodeRequestHeader(reader, apiOf)
        const api = apiOf(header.apiKey)
        if (api === undefined || header.apiVersion > api.versionMax) {
          console.log(`${client} asked API ${header.apiKey} version ${header.apiVersion}`)
          socket.end()
          return
        }
        const frame = frames.bytes.slice(frames.start, frames.end)
        record(api, header.apiVersion, frame, reader.position - frames.start)
        const writer = new Writer()
        const start = beginResponse(writer, api, header.apiVersion, header.correlationId)
        answer(api, header.apiVersion, reader, writer)
        endFrame(writer, start)
        const bytes = writer.bytes.subarray(0, writer.position)
        if (api === fetch) setTimeout(() => socket.write(bytes), 50)
        else socket.write(bytes)
      }
    }
  }
})

function answer(api: Api, version: number, reader: Reader, writer: Writer): void {
  const topic = { name: TOPIC, topicId: TOPIC_ID }
  if (api === apiVersions) {
    const apiKeys = APIS.map((one) => ({ apiKey: one.key, minVersion: one.versionMin, maxVersion: one.versionMax }))
    encodeResponse(apiVersions, version, writer, { errorCode: 0, apiKeys })
  } else if (api === metadata) {
    const partition = { errorCode: 0, partitionIndex: 0, leaderId: 0, leaderEpoch: 0, replicaNodes: [0], isrNodes: [0] }
    encodeResponse(metadata, version, writer, {
      brokers: [{ nodeId: 0, host: "127.0.0.1", port: server.port }],
      controllerId: 0,
      topics: [{ errorCode: 0, ...topic, partitions: [partition] }]
    })
  } else if (api === produce) {
    encodeResponse(produce, version, writer, {
      responses: [{ ...topic, partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 0 }] }]
    })
  } else if (api === fetch) {
    const records = { bytes: new Uint8Array(0), start: 0, end: 0 }
    const asked = decodeRequest(fetch, version, reader).topics.length > 0
    const partitions = [{ partitionIndex: 0, errorCode: 0, highWatermark: 1, lastStableOffset: 1, records }]
    encodeResponse(fetch, version, writer, {
      responses: asked ? [{ topic: TOPIC, topicId: TOPIC_ID, partitions }] : []
    })
  } else if (api === listOffsets) {
    encodeResponse(listOffsets, version, writer, {
      topics: [{ ...topic, partitions: [{ partitionIndex: 0, errorCode: 0, offset: 1, timestamp: 1 }] }]
    })
  } else {
    const none = { errorCode: 15, nodeId: -1, host: "", port: -1, errorMessage: null }
    encodeResponse(findCoordinator, version, writer, { ...none, coordinators: [{ ...none, key: "g" }] })
  }
}

const bootstrap = `127.0.0.1:${server.port}`
const python = (body: string): ReadonlyArray<string> => [".venv/bin/python", "-c", body]
const kafkajs = (body: string): ReadonlyArray<string> => [
  process.execPath,
  "-e",
  `const { Kafka, logLevel, CompressionTypes } = require("kafkajs");
   const kafka = new Kafka({ clientId: "manifold-test", brokers: ["${bootstrap}"], logLevel: logLevel.NOTHING, retry: { retries: 1 } });
   (async () => { ${body} })().finally(() => process.exit(0))`
]
const runs: ReadonlyArray<readonly [string, ReadonlyArray<string>, string]> = [
  ["kcat 1.7.1, librdkafka 2.0.2", ["kcat", "-b", bootstrap, "-L"], ""],
  [
    "kcat 1.7.1, librdkafka 2.0.2",
    ["kcat", "-b", bootstrap, "-P", "-t", TOPIC, "-K:", "-H", "name=value"],
    "key:value\n"
  ],
  [
    "kcat 1.7.1, librdkafka 2.0.2",
    ["kcat", "-b", bootstrap, "-P", "-t", TOPIC, "-z", "gzip", "-X", "acks=1"],
    `${"x".repeat(400)}\n`
  ],
  ["kcat 1.7.1, librdkafka 2.0.2", ["kcat", "-b", bootstrap, "-Q", "-t", `${TOPIC}:0:-1`], ""],
  ["kcat 1.7.1, librdkafka 2.0.2", ["kcat", "-b", bootstrap, "-C", "-t", TOPIC, "-p", "0", "-o", "beginning"], ""],
  ["kcat 1.7.1, librdkafka 2.0.2", ["kcat", "-b", bootstrap, "-G", "group", TOPIC], ""],
  [
    "kafka-python 3.0.12",
    python(`
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers="${bootstrap}", enable_idempotence=False, acks="all")
producer.send("${TOPIC}", key=b"k", value=b"v", headers=[("h", b"1")]).get(5)
producer.close()`),
    ""
  ],
  [
    "kafka-python 3.0.12",
    python(`
from kafka import KafkaConsumer, TopicPartition
consumer = KafkaConsumer(bootstrap_servers="${bootstrap}", group_id=None)
consumer.assign([TopicPartition("${TOPIC}", 0)])
consumer.seek_to_beginning()
consumer.poll(500)
consumer.offsets_for_times({TopicPartition("${TOPIC}", 0): 1700000000000})
consumer.close()`),
    ""
  ],
  [
    "kafkajs 2.2.4",
    kafkajs(`const producer = kafka.producer(); await producer.connect();
      await producer.send({ topic: "${TOPIC}", acks: -1, messages: [{ key: "k", value: "v", headers: { h: "1" } }] });
      await producer.send({ topic: "${TOPIC}", acks: 1, compression: CompressionTypes.GZIP, messages: [{ value: null }] })`),
    ""
  ],
  [
    "kafkajs 2.2.4",
    kafkajs(`const admin = kafka.admin(); await admin.connect(); await admin.fetchTopicOffsets("${TOPIC}");
      await admin.fetchTopicMetadata(); const consumer = kafka.consumer({ groupId: "group" }); await consumer.connect();
      await consumer.subscribe({ topic: "${TOPIC}" }); await consumer.run({ eachMessage: async () => {} });
      await new Promise((done) => setTimeout(done, 2000))`),
    ""
  ]
]
for (const [name, [command = "", ...args], input] of runs) {
  client = name
  const child: ChildProcess = spawn(command, args, { stdio: ["pipe", "ignore", "inherit"] })
  child.stdin?.end(input)
  const late = setTimeout(() => child.kill("SIGKILL"), CLIENT_MS_MAX)
  await new Promise((done) => child.once("close", done))
  clearTimeout(late)
}
server.stop(true)

const bodies = recorded.map(({ message, version, bodyHex }) => ({ message, version, hex: bodyHex }))
const answers = readWithKafkaPython(bodies)
const rows = recorded.map(({ client, message, version, hex }, index) =>
  JSON.stringify({ client, message, version, hex, value: answers[index]?.value })
)
writeFileSync(GOLDEN, `[\n${rows.join(",\n")}\n]\n`)
console.log([...new Set(recorded.map((row) => `${row.client}: ${row.message} ${row.version}`))].join("\n"))
process.exit(0)
