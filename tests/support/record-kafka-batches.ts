/**
 * Records what real Kafka clients put on the wire: answers ApiVersions, Metadata, FindCoordinator and InitProducerId just
 * enough that a client sends Produce, and keeps the record batch of each run as golden bytes.
 *
 *     bun tests/support/record-kafka-batches.ts [path of a Python with kafka-python, lz4, python-snappy, zstandard]
 *
 * Writes `core/log/golden/record-batches.golden.json`. A client that is not there is named and its old entries stay.
 * kafkajs is a dependency; kcat comes from the distribution; the versions found are written beside the bytes.
 */
import { execFile, execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { createServer, type Server, type Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { CompressionTypes, Kafka, logLevel } from "kafkajs"

/** A record as it was handed to the client; bytes as hex, null = null. */
interface ExpectedRecord {
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [name: string, value: string | null]>
  /** Milliseconds since 1970, or null where the client took its own clock. */
  readonly timestamp: number | null
}
interface GoldenBatch {
  readonly client: string
  readonly version: string
  readonly codec: string
  readonly note: string
  readonly hex: string
  readonly records: ReadonlyArray<ExpectedRecord>
}

const GOLDEN = fileURLToPath(new URL("../../core/log/golden/record-batches.golden.json", import.meta.url))
const TOPIC = "golden"
const CLIENT_TIMEOUT_MS = 20_000
const hex = (text: string | null): string | null => (text === null ? null : Buffer.from(text).toString("hex"))

/** Keys of the requests answered, each with the versions offered: all in the forms before flexible versions. */
const API_VERSIONS: ReadonlyArray<readonly [key: number, min: number, max: number]> = [
  [0, 0, 7],
  [1, 0, 11],
  [2, 0, 2],
  [3, 0, 4],
  [10, 0, 0],
  [18, 0, 0],
  [22, 0, 1]
]

class Writer {
  private readonly parts: Array<Buffer> = []
  int(size: 1 | 2 | 4, value: number): this {
    const part = Buffer.alloc(size)
    part.writeIntBE(value, 0, size)
    this.parts.push(part)
    return this
  }
  int64(value: number): this {
    const part = Buffer.alloc(8)
    part.writeBigInt64BE(BigInt(value))
    this.parts.push(part)
    return this
  }
  text(value: string): this {
    this.int(2, Buffer.byteLength(value)).parts.push(Buffer.from(value))
    return this
  }
  bytes(): Buffer {
    return Buffer.concat(this.parts)
  }
}

class Recorder {
  readonly batches: Array<Buffer> = []
  port = 0
  private readonly server: Server = createServer((socket) => this.accept(socket))

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve))
    const address = this.server.address()
    this.port = typeof address === "object" && address !== null ? address.port : 0
  }

  close(): void {
    this.server.close()
  }

  private accept(socket: Socket): void {
    let pending = Buffer.alloc(0)
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const end = 4 + pending.readInt32BE(0)
        const answer = this.answer(pending.subarray(4, end))
        const header = new Writer().int(4, answer.length + 4).int(4, pending.readInt32BE(8))
        socket.write(Buffer.concat([header.bytes(), answer]))
        pending = pending.subarray(end)
      }
    })
  }

  private answer(request: Buffer): Buffer {
    const key = request.readInt16BE(0)
    const version = request.readInt16BE(2)
    const body = 10 + Math.max(request.readInt16BE(8), 0)
    switch (key) {
      case 0:
        return this.produce(request, body, version)
      case 3:
        return this.metadata(version)
      case 10:
        return new Writer().int(2, 0).int(4, 1).text("127.0.0.1").int(4, this.port).bytes()
      case 18:
        return apiVersions(version)
      case 22:
        return new Writer().int(4, 0).int(2, 0).int64(4242).int(2, 7).bytes()
      default:
        throw new Error(`request ${key} version ${version} was not offered`)
    }
  }

  private metadata(version: number): Buffer {
    const out = new Writer()
    if (version >= 3) out.int(4, 0)
    out.int(4, 1).int(4, 1).text("127.0.0.1").int(4, this.port)
    if (version >= 1) out.int(2, -1)
    if (version >= 2) out.text("recorder")
    if (version >= 1) out.int(4, 1)
    out.int(4, 1).int(2, 0).text(TOPIC)
    if (version >= 1) out.int(1, 0)
    return out.int(4, 1).int(2, 0).int(4, 0).int(4, 1).int(4, 1).int(4, 1).int(4, 1).int(4, 1).bytes()
  }

  /** Keeps the batch of the one topic and partition that a run produces to. */
  private produce(request: Buffer, start: number, version: number): Buffer {
    let position = start
    if (version >= 3) position += 2 + Math.max(request.readInt16BE(position), 0)
    position += 2 + 4 + 4
    position += 2 + request.readInt16BE(position) + 4 + 4
    const size = request.readInt32BE(position)
    this.batches.push(Buffer.from(request.subarray(position + 4, position + 4 + size)))
    const out = new Writer().int(4, 1).text(TOPIC).int(4, 1).int(4, 0).int(2, 0).int64(0)
    if (version >= 2) out.int64(-1)
    if (version >= 5) out.int64(0)
    return out.int(4, 0).bytes()
  }
}

function apiVersions(version: number): Buffer {
  const out = new Writer().int(2, version > 0 ? 35 : 0).int(4, API_VERSIONS.length)
  for (const [key, min, max] of API_VERSIONS) out.int(2, key).int(2, min).int(2, max)
  return out.bytes()
}

/** What kafkajs and kafka-python are given. */
const RECORDS: ReadonlyArray<ExpectedRecord> = [
  {
    key: hex("sensors/room1"),
    value: hex("21.5"),
    headers: [
      ["unit", hex("°C")],
      ["raw", "00ff80"],
      ["empty", ""]
    ],
    timestamp: 1_700_000_000_000
  },
  { key: null, value: hex("no key"), headers: [], timestamp: 1_700_000_000_123 },
  { key: hex("sensors/room1"), value: null, headers: [], timestamp: 1_700_000_000_100 },
  { key: hex("k"), value: "", headers: [], timestamp: 1_699_999_999_000 },
  { key: hex("long"), value: hex("abcdefghij".repeat(40)), headers: [], timestamp: 1_700_000_100_000 }
]

async function record(run: (port: number) => Promise<void>): Promise<string> {
  const recorder = new Recorder()
  await recorder.listen()
  try {
    await run(recorder.port)
  } finally {
    recorder.close()
  }
  const [first, ...more] = recorder.batches
  if (first === undefined || more.length > 0) throw new Error(`expected one batch, got ${recorder.batches.length}`)
  return first.toString("hex")
}

async function recordKafkajs(): Promise<Array<GoldenBatch>> {
  const version = (createRequire(import.meta.url)("kafkajs/package.json") as { version: string }).version
  const batches: Array<GoldenBatch> = []
  for (const codec of ["none", "gzip"] as const) {
    const bytes = await record(async (port) => {
      const kafka = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING, retry: { retries: 1 } })
      const producer = kafka.producer()
      await producer.connect()
      await producer.send({
        topic: TOPIC,
        compression: codec === "gzip" ? CompressionTypes.GZIP : CompressionTypes.None,
        messages: RECORDS.map((each) => ({
          partition: 0,
          key: each.key === null ? null : Buffer.from(each.key, "hex"),
          value: each.value === null ? null : Buffer.from(each.value, "hex"),
          headers: Object.fromEntries(each.headers.map(([name, value]) => [name, Buffer.from(value ?? "", "hex")])),
          timestamp: String(each.timestamp)
        }))
      })
      await producer.disconnect()
    })
    batches.push({
      client: "kafkajs",
      version,
      codec,
      note: "headers, null key, null value",
      hex: bytes,
      records: RECORDS
    })
  }
  return batches
}

async function recordKcat(): Promise<Array<GoldenBatch>> {
  const version = /librdkafka [0-9.]+/.exec(execFileSync("kcat", ["-V"], { encoding: "utf8" }))?.[0] ?? "unknown"
  const pairs = [...Array(12).keys()].map((index): [string, string] => [
    `device-${index % 3}`,
    `reading ${index} `.repeat(9)
  ])
  pairs.push(["gone", ""])
  const records = pairs.map(([key, value]) => ({
    key: hex(key),
    value: value === "" ? null : hex(value),
    headers: [["unit", hex("C")]] as const,
    timestamp: null
  }))
  const batches: Array<GoldenBatch> = []
  for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
    const bytes = await record(
      (port) =>
        new Promise((resolve, reject) => {
          const settings = ["-X", "linger.ms=300", "-X", "message.timeout.ms=8000"]
          const target = ["-b", `127.0.0.1:${port}`, "-t", TOPIC, "-p", "0"]
          const options = ["-P", ...target, "-K", "|", "-Z", "-H", "unit=C", "-z", codec, ...settings]
          const child = execFile("kcat", options, { timeout: CLIENT_TIMEOUT_MS }, (error) =>
            error ? reject(error) : resolve()
          )
          child.stdin?.end(pairs.map(([key, value]) => `${key}|${value}\n`).join(""))
        })
    )
    batches.push({ client: "kcat", version, codec, note: "a header each, a null value", hex: bytes, records })
  }
  return batches
}

const PYTHON = `
import json, sys
from kafka import KafkaProducer
port, codec, idempotent, records = sys.argv[1], sys.argv[2], sys.argv[3] == "1", json.load(sys.stdin)
unhex = lambda text: None if text is None else bytes.fromhex(text)
producer = KafkaProducer(bootstrap_servers="127.0.0.1:" + port, linger_ms=300, enable_idempotence=idempotent,
                         compression_type=None if codec == "none" else codec)
for each in records:
    producer.send("${TOPIC}", key=unhex(each["key"]), value=unhex(each["value"]), partition=0,
                  headers=[(name, unhex(value)) for name, value in each["headers"]], timestamp_ms=each["timestamp"])
producer.flush(10)
producer.close(timeout=2)
`

async function recordKafkaPython(python: string): Promise<Array<GoldenBatch>> {
  const version = execFileSync(python, ["-c", "import kafka; print(kafka.__version__)"], { encoding: "utf8" }).trim()
  const batches: Array<GoldenBatch> = []
  for (const [codec, idempotent] of [
    ["none", 0],
    ["none", 1],
    ["gzip", 0],
    ["snappy", 0],
    ["lz4", 0],
    ["zstd", 0]
  ] as const) {
    const bytes = await record(
      (port) =>
        new Promise((resolve, reject) => {
          const options = ["-c", PYTHON, String(port), codec, String(idempotent)]
          const done = (error: Error | null) => (error ? reject(error) : resolve())
          execFile(python, options, { timeout: CLIENT_TIMEOUT_MS }, done).stdin?.end(JSON.stringify(RECORDS))
        })
    )
    const note =
      idempotent === 1 ? "idempotent: producer id 4242, epoch 7, sequence 0" : "headers, null key, null value"
    batches.push({ client: "kafka-python", version, codec, note, hex: bytes, records: RECORDS })
  }
  return batches
}

const before = existsSync(GOLDEN) ? (JSON.parse(readFileSync(GOLDEN, "utf8")) as Array<GoldenBatch>) : []
const after: Array<GoldenBatch> = []
const python = process.argv[2] ?? "python3"
for (const [client, run] of [
  ["kafkajs", recordKafkajs],
  ["kcat", recordKcat],
  ["kafka-python", () => recordKafkaPython(python)]
] as const) {
  try {
    const recorded = await run()
    after.push(...recorded)
    console.log(`${client}: ${recorded.length} batches recorded`)
  } catch (error) {
    const kept = before.filter((each) => each.client === client)
    after.push(...kept)
    console.log(`${client}: not recorded (${String(error).split("\n")[0]}), ${kept.length} old batches kept`)
  }
}
writeFileSync(GOLDEN, `${JSON.stringify(after, null, 2)}\n`)
