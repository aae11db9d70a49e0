/**
 * A full disk: producers get their protocol's error, what is there stays readable, and the broker goes on when there is room again,
 * without a restart. What was acknowledged is there at the end; what was refused is not.
 *
 * Two disks, neither of which needs a privilege that a user of a plain Linux has not:
 *  - a bound on the size of files (`prlimit --fsize`): every write behind it fails with EFBIG, in whatever file. The data outlives the
 *    broker, which is killed with SIGKILL at the end;
 *  - a small tmpfs in a mount namespace of the broker's own (`unshare -rm`), filled up from outside: ENOSPC. It ends with the broker.
 */
import { afterEach, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode, type Qos } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { type ConnectedMqtt, RawMqtt } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { programPath } from "../support/runtime.ts"
import { sleep, until, within } from "../support/until.ts"
import { BrokerProcess, type StartOptions } from "./BrokerProcess.ts"
import { HAS_DURABLE_STORAGE } from "./has-durable-storage.ts"

const QUOTA_EXCEEDED = 0x97
const NO_MATCHING_SUBSCRIBERS = 0x10
const KAFKA_STORAGE_ERROR = 56
const TMPFS_BYTES = 96 * 1_048_576
const PAYLOAD_BYTES = 16_384
/** More than the tmpfs holds. */
const MESSAGES_MAX = (2 * TMPFS_BYTES) / PAYLOAD_BYTES
const RECOVERY_MS_MAX = 15_000
const TOPIC = "home.records"
const SUBSCRIBER = { version: 5, clientId: "full-disk-subscriber", clean: false } as const
const NEVER = [["sessionExpiry", 4_294_967_295]] as const

interface Disk {
  readonly options: Partial<StartOptions>
  fill(): void
  free(): void
}

function sizeBound(broker: () => BrokerProcess): Disk {
  const bound = (soft: string): void => {
    const { status, stderr } = spawnSync("prlimit", ["--pid", String(broker().pid), `--fsize=${soft}:unlimited`])
    if (status !== 0) throw new Error(`prlimit: ${String(stderr)}`)
  }
  return { options: {}, fill: () => bound("1"), free: () => bound("unlimited") }
}

/** The command mounts, then becomes the broker: the process keeps its identifier. */
const MOUNT = `mount -t tmpfs -o size=${TMPFS_BYTES} tmpfs "$0" && exec "$@"`

function tmpfs(data: string, broker: () => BrokerProcess): Disk {
  const filler = (): string => join(`/proc/${broker().pid}/root`, data, "filler")
  return {
    options: { prefix: ["unshare", "-rm", "sh", "-c", MOUNT, data] },
    fill: () => {
      const file = openSync(filler(), "w")
      try {
        for (const size of [1_048_576, 4_096, 1]) fillWith(file, new Uint8Array(size).fill(1))
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(filler())
  }
}

function fillWith(file: number, bytes: Uint8Array): void {
  try {
    while (writeSync(file, bytes) === bytes.length);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error
  }
}

/** Publishes in a window of one; returns the reason code of PUBACK or PUBREC, with the rest of QoS 2 done. */
async function publish(client: RawMqtt, payload: string, qos: Qos, id: number): Promise<number> {
  client.publish({ topic: "full/disk", payload, qos, id })
  const { code } = await client.find(qos === 1 ? "puback" : "pubrec", 10_000)
  if (qos === 1 || code >= 0x80) return code
  client.ack("pubrel", id)
  await client.find("pubcomp", 10_000)
  return code
}

const isTaken = (code: number): boolean => code === 0 || code === NO_MATCHING_SUBSCRIBERS
const text = (number: number, size: number): string => `${number} ${"x".repeat(size)}`

/** Everything that a durable session still gets, by the numbers that the payloads begin with. */
async function drain(broker: BrokerProcess, last: number): Promise<ReadonlyArray<number>> {
  const client = await RawMqtt.connect(broker.mqtt, { ...SUBSCRIBER, properties: NEVER })
  expect(client.connack.sessionPresent).toBe(true)
  const numbers: Array<number> = []
  while (numbers.at(-1) !== last) {
    const [message] = await client.messages(1, { timeoutMs: 10_000 })
    numbers.push(Number.parseInt(Buffer.from(message?.payload ?? []).toString(), 10))
  }
  // The rest of QoS 2, and whatever may come that should not.
  await sleep(200)
  client.send(encode.pingreq())
  for (let packet = await client.next(); packet.type !== "pingresp"; packet = await client.next()) {
    if (packet.type === "pubrel") client.ack("pubcomp", packet.id)
    else numbers.push(Number.NaN)
  }
  await client.disconnect()
  return numbers
}

/** The story; `outlives`: the data is there when the broker is not. */
async function story(data: string, disk: (broker: () => BrokerProcess) => Disk, outlives: boolean): Promise<void> {
  let broker: BrokerProcess | undefined
  const running = (): BrokerProcess => {
    if (broker === undefined) throw new Error("no broker runs")
    return broker
  }
  const { options, fill, free } = disk(running)
  const start = { data, ...options, set: { "topics.engine": "sqlite", "topics.mode": "persistent" } }
  broker = await BrokerProcess.start(start)
  try {
    await tell(broker, fill, free)
    if (!outlives) return
    await broker.kill()
    broker = await BrokerProcess.start(start)
    await look(broker)
    await broker.stop()
  } finally {
    await broker.kill()
    RawMqtt.cutAll()
    RawKafka.cutAll()
  }

  async function tell(at: BrokerProcess, fill: () => void, free: () => void): Promise<void> {
    const subscriber = await RawMqtt.connect(at.mqtt, { ...SUBSCRIBER, properties: NEVER })
    await subscriber.subscribe("full/#", 2)
    await subscriber.disconnect()
    const client = await RawMqtt.connect(at.mqtt, { version: 5 })
    const watcher = await RawMqtt.connect(at.mqtt, { version: 5 })
    await watcher.subscribe("$SYS/brokers/alarms/alert", 0)
    /** The journal's own, and that of a directory without room, which may come first and keep the journal from meeting its end. */
    const alarms = new Set<string>()
    const alarm = async (isOn: boolean): Promise<void> => {
      const isThere = (): boolean => alarms.has("disk_full") || alarms.has("data_full")
      while (isThere() !== isOn) {
        const { value } = JSON.parse(Buffer.from((await watcher.expect("publish", RECOVERY_MS_MAX)).payload).toString())
        if (value.alarm === "activate") alarms.add(value.name)
        else alarms.delete(value.name)
      }
    }
    const kafka = await RawKafka.open(at.kafka)
    await kafka.topic(TOPIC)
    const taken: Array<number> = []
    let number = 0
    const one = async (size: number): Promise<number> => {
      number += 1
      const code = await publish(client, text(number, size), number % 2 === 0 ? 1 : 2, 1 + (number % 50))
      if (isTaken(code)) taken.push(number)
      return code
    }
    for (let count = 0; count < 50; count++) expect(isTaken(await one(100))).toBe(true)
    await client.publishWhole({ topic: "retained/full", payload: "here", qos: 1, retain: true })
    for (let record = 0; record < 5; record++) await produce(kafka, `before ${record}`, 0)

    fill()
    // First a name whose home is a topic on the disk: the one whose write fails is told as those behind it are.
    expect(await refusalOf(client)).toBe("PUBACK 0x97")
    let refusal = 0
    for (let count = 0; count < MESSAGES_MAX && refusal < 3; count++) {
      const code = await one(PAYLOAD_BYTES)
      if (isTaken(code)) refusal = 0
      else {
        expect(code).toBe(QUOTA_EXCEEDED)
        refusal += 1
      }
    }
    expect(refusal).toBe(3)
    await produce(kafka, "refused", KAFKA_STORAGE_ERROR)
    await produce(kafka, "refused too", KAFKA_STORAGE_ERROR)
    await unanswered(at)
    await readable(at, kafka)
    expect(at.isAlive).toBe(true)
    await alarm(true)

    free()
    const refusedMax = RECOVERY_MS_MAX / 50
    let attempts = 0
    while (!isTaken(await one(100))) {
      attempts += 1
      expect(attempts).toBeLessThan(refusedMax)
      await sleep(50)
    }
    await alarm(false)
    await until("a record that is taken again", async () => (await produceOnce(kafka, "after")) === 0, RECOVERY_MS_MAX)
    for (let count = 0; count < 50; count++) expect(isTaken(await one(100))).toBe(true)
    const last = number
    const values = await valuesOf(kafka)
    expect(values.slice(0, 5)).toEqual([0, 1, 2, 3, 4].map((record) => `before ${record}`))
    expect(values.filter((value) => value.startsWith("refused"))).toEqual([])
    expect(values.at(-1)).toBe("after")
    if (!outlives) expect(await drain(at, last)).toEqual(taken)
    expectedNumbers = taken
    expectedValues = values
    client.cut()
  }
  async function look(at: BrokerProcess): Promise<void> {
    expect(await drain(at, expectedNumbers.at(-1) ?? 0)).toEqual(expectedNumbers)
    const kafka = await RawKafka.open(at.kafka)
    expect(await valuesOf(kafka)).toEqual(expectedValues)
  }
}
let expectedNumbers: ReadonlyArray<number> = []
let expectedValues: ReadonlyArray<string> = []

async function produceOnce(kafka: RawKafka, value: string): Promise<number> {
  return (await kafka.produce(TOPIC, 0, batch([{ key: null, value }]))).error
}
async function produce(kafka: RawKafka, value: string, expected: number): Promise<void> {
  expect([value, await produceOnce(kafka, value)]).toEqual([value, expected])
}
async function valuesOf(kafka: RawKafka): Promise<ReadonlyArray<string>> {
  const batches = readBatches(await kafka.readAll(TOPIC, 0))
  return batches.flatMap(({ records }) => records.map(({ value }) => Buffer.from(value ?? []).toString()))
}

/** The first refusal of what is published to the topic's own name. */
async function refusalOf(client: RawMqtt): Promise<string> {
  for (let count = 0; count < MESSAGES_MAX; count++) {
    client.publish({ topic: "home/records", payload: "home ".padEnd(PAYLOAD_BYTES, "x"), qos: 1, id: 60 })
    const { code } = await client.find("puback", 10_000)
    if (!isTaken(code)) return `PUBACK 0x${code.toString(16)}`
  }
  return "never refused"
}

/** MQTT 3.1.1 has no word for it: no PUBACK comes, or the connection ends. */
async function unanswered(broker: BrokerProcess): Promise<void> {
  const old = await RawMqtt.connect(broker.mqtt, { version: 4 })
  old.publish({ topic: "full/disk", payload: text(0, 100), qos: 1, id: 9 })
  const answer: DecodedOf<"puback"> | undefined = await old.find("puback", 500).catch(() => undefined)
  expect(answer).toBeUndefined()
  old.cut()
}

/** What is there can be read, and what needs no disk goes on. */
async function readable(broker: BrokerProcess, kafka: RawKafka): Promise<void> {
  expect((await valuesOf(kafka)).slice(0, 5)).toEqual([0, 1, 2, 3, 4].map((record) => `before ${record}`))
  const reader: ConnectedMqtt = await RawMqtt.connect(broker.mqtt, { version: 5 })
  await reader.subscribe("retained/#")
  const [retained] = await reader.messages(1)
  expect(Buffer.from(retained?.payload ?? []).toString()).toBe("here")
  await reader.subscribe("passing/by")
  const other = await RawMqtt.connect(broker.mqtt, { version: 5 })
  other.publish({ topic: "passing/by", payload: "QoS 0", qos: 0 })
  const [passing] = await reader.messages(1)
  expect(Buffer.from(passing?.payload ?? []).toString()).toBe("QoS 0")
  const health = await within("health", fetch(`http://${broker.http.host}:${broker.http.port}/health/live`))
  expect(health.status).toBe(200)
  for (const client of [reader, other]) await client.disconnect()
}

let folder = ""
const makeFolder = (): string => {
  folder = mkdtempSync(join(tmpdir(), "manifold-full-"))
  const data = join(folder, "data")
  mkdirSync(data)
  return data
}
afterEach(() => {
  if (folder !== "") rmSync(folder, { recursive: true, force: true })
  folder = ""
})

const canBound = programPath("prlimit") !== undefined
test.skipIf(!HAS_DURABLE_STORAGE || !canBound)(
  "files may not grow: refused, readable, and well again, even after a kill -9",
  async () => {
    await story(makeFolder(), sizeBound, true)
  },
  120_000
)

function canMount(): boolean {
  const data = makeFolder()
  const { status } = spawnSync("unshare", ["-rm", "sh", "-c", MOUNT, data, "true"])
  rmSync(folder, { recursive: true, force: true })
  return status === 0
}
const hasNamespaces = canMount()
test.skipIf(!HAS_DURABLE_STORAGE || !hasNamespaces)(
  "a disk without space: refused, readable, and well again",
  async () => {
    const data = makeFolder()
    await story(data, (broker) => tmpfs(data, broker), false)
  },
  120_000
)

/** The two disks do what they say, without a broker. */
test.skipIf(!hasNamespaces || !canBound)(
  "the disks of this test fill up and get free again",
  async () => {
    const program = join(makeFolder(), "..", "writer.ts")
    writeFileSync(
      program,
      `import { appendFileSync } from "node:fs"
     process.stdin.on("data", () => {
       try { appendFileSync(process.argv[2], "12345678".repeat(1024)); console.log("ok") }
       catch (error) { console.log(error.code) }
     })
     console.log("up")`
    )
    const data = join(folder, "data")
    for (const [make, code] of [[sizeBound, "EFBIG"] as const, [tmpfs.bind(undefined, data), "ENOSPC"] as const]) {
      let pid = 0
      const disk = make(() => ({ pid }) as BrokerProcess)
      const command = [...(disk.options.prefix ?? []), process.execPath, program, join(data, "file")]
      const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe" })
      pid = child.pid
      const reader = child.stdout.getReader()
      const next = async (): Promise<string> =>
        Buffer.from((await reader.read()).value ?? [])
          .toString()
          .trim()
      const write = async (): Promise<string> => {
        child.stdin.write("x")
        await child.stdin.flush()
        return await next()
      }
      expect(await next()).toBe("up")
      expect(await write()).toBe("ok")
      disk.fill()
      expect(await write()).toBe(code)
      disk.free()
      expect(await write()).toBe("ok")
      child.kill()
      await child.exited
    }
  },
  20_000
)
