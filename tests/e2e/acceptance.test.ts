/**
 * The house stands: 50 MQTT.js clients publish 100,000 messages with user properties on 500 topic names at QoS 0, 1 and 2, bound by
 * one filter to a topic of 8 partitions; Kafka clients read exactly these from stored bytes; then 10,000 keyed records of kafkajs
 * reach 50 MQTT subscribers in order.
 */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { CompressionTypes, Kafka, logLevel, Partitioners } from "kafkajs"
import { brokerSuite, ROOT, RUNS_ON_DENO } from "../support/broker.ts"
import { type FleetReport, type FleetTask, fleetName, fleetQos } from "../support/mqtt-fleet.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { partitionOf, readBatches, type StoredBatch } from "../support/record-batch.ts"
import { programCommand } from "../support/runtime.ts"
import { pathOf, run, type Started, start, testWith, tools } from "../support/tools.ts"
import { until } from "../support/until.ts"

const CLIENTS = 50
const NAMES = 500
const MESSAGES = 100_000
const PER_NAME = MESSAGES / NAMES
const PARTITIONS = 8
const RECORDS = 10_000
const CONFIG = `
[[binding]]
topic = "telemetry"
filter = "devices/+/telemetry"
partitions = ${PARTITIONS}
`

const [command = "", ...first] = programCommand("tests/support/mqtt-fleet.ts")
const fleet = (task: FleetTask): Started => start(command, [...first, JSON.stringify(task)])
const isReady = (started: Started) => until("the MQTT.js clients", () => started.stdout().includes('"ready"'), 20_000)
async function reportOf(started: Started, timeoutMs: number): Promise<FleetReport> {
  const { stdout, code, stderr } = await started.end(timeoutMs)
  expect([code, stderr]).toEqual([0, ""])
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as FleetReport
}

/** What every reader reduces its records to, and what they must be. */
interface Seen {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
}
function check(records: ReadonlyArray<Seen>): void {
  expect(records).toHaveLength(MESSAGES)
  const nextOffset = new Map<number, number>()
  const nextMessage = new Map<string, number>()
  const faults: Array<string> = []
  for (const { partition, offset, key, value } of records) {
    const wantedOffset = nextOffset.get(partition) ?? 0
    const wantedMessage = nextMessage.get(key) ?? 0
    const name = Number(/^devices\/d(\d+)\/telemetry$/.exec(key)?.[1])
    if (offset !== wantedOffset) faults.push(`${partition}: offset ${offset} where ${wantedOffset} was due`)
    if (value !== `${name}:${wantedMessage}`) faults.push(`${key}: ${value} where message ${wantedMessage} was due`)
    if (partition !== partitionOf(key, PARTITIONS)) faults.push(`${key} in partition ${partition}`)
    nextOffset.set(partition, wantedOffset + 1)
    nextMessage.set(key, wantedMessage + 1)
  }
  expect(faults.slice(0, 10)).toEqual([])
  expect(nextMessage.size).toBe(NAMES)
  expect([...nextMessage.values()].every((count) => count === PER_NAME)).toBe(true)
}

brokerSuite("acceptance", { config: CONFIG }, (broker) => {
  /** The stored batches of all partitions, as the raw client read them first. */
  let stored: Array<Array<StoredBatch>> = []
  let storedBytes: Array<Buffer> = []
  const url = (): string => `mqtt://${broker().mqtt.host}:${broker().mqtt.port}`

  test("50 MQTT.js clients publish 100,000 messages on 500 names at QoS 0, 1 and 2", async () => {
    const publishing = fleet({
      url: url(),
      role: "publish",
      clients: CLIENTS,
      names: NAMES / CLIENTS,
      messages: PER_NAME,
      window: 200,
      timeoutMs: 60_000
    })
    const report = await reportOf(publishing, 70_000)
    expect(report).toMatchObject({ count: MESSAGES, faults: [] })
    const kafka = await RawKafka.open(broker().kafka)
    // QoS 0 has no acknowledgement to wait for.
    await until(
      "all records below the high watermarks",
      async () => {
        let total = 0
        for (let partition = 0; partition < PARTITIONS; partition++)
          total += (await kafka.listOffset("telemetry", partition, -1)).offset
        return total === MESSAGES
      },
      10_000
    )
    RawKafka.cutAll()
  }, 80_000)

  test("the stored batches: exactly these records, in order per name, offsets contiguous, CRCs right, 20 records or more a batch", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    storedBytes = []
    for (let partition = 0; partition < PARTITIONS; partition++)
      storedBytes.push(await kafka.readAll("telemetry", partition))
    stored = storedBytes.map((bytes) => readBatches(bytes))
    const batches = stored.flat()
    expect(batches.every((batch) => batch.isCrcRight)).toBe(true)
    check(
      stored.flatMap((each, partition) =>
        each.flatMap((batch) =>
          batch.records.map((record) => ({
            partition,
            offset: record.offset,
            key: String(Buffer.from(record.key ?? [])),
            value: String(Buffer.from(record.value ?? []))
          }))
        )
      )
    )
    for (const batch of batches) {
      expect(batch.lastOffset - batch.baseOffset + 1).toBe(batch.recordCount)
      for (const record of batch.records) {
        const [name, message] = String(Buffer.from(record.value ?? []))
          .split(":")
          .map(Number)
        const client = Math.floor((name ?? 0) / (NAMES / CLIENTS))
        const qos = fleetQos(name ?? 0)
        const wanted = [
          ["seq", String(message)],
          ["client", `c${client}`],
          ...(qos === 0 ? [] : [["mqtt.qos", String(qos)]])
        ]
        if (
          !isDeepStrictEqual(
            record.headers.map((header) => [header.name, String(Buffer.from(header.value ?? []))]),
            wanted
          )
        ) {
          throw new Error(`headers of ${name}:${message}: ${JSON.stringify(record.headers)}`)
        }
      }
    }
    console.log(`mean batch: ${(MESSAGES / batches.length).toFixed(1)} records`)
    // A durable topic's batch ends with its turn; those of Deno are shorter.
    expect(MESSAGES / batches.length).toBeGreaterThanOrEqual(RUNS_ON_DENO ? 5 : 20)
    RawKafka.cutAll()
  }, 30_000)

  testWith(
    [tools.pythonKafka],
    "kafka-python with assigned partitions reads exactly these",
    async () => {
      const script = join(ROOT, "tests/support/kafka_reader.py")
      const { stdout, code, stderr } = await run(
        pathOf(tools.pythonKafka),
        [script, broker().bootstrap, "telemetry", String(MESSAGES), "40"],
        { timeoutMs: 60_000 }
      )
      expect([code, stderr]).toEqual([0, ""])
      const lines = stdout.trim().split("\n")
      const decode = (text: string): string => Buffer.from(text, "base64").toString()
      const records = lines.slice(0, -1).map((line) => {
        const [partition, offset, key, value] = JSON.parse(line) as [number, number, string, string]
        return { partition, offset, key: decode(key), value: decode(value) }
      })
      check(records)
      const { end } = JSON.parse(lines.at(-1) ?? "{}") as { end: Record<string, number> }
      expect(Object.values(end).reduce((sum, offset) => sum + offset, 0)).toBe(MESSAGES)
    },
    70_000
  )

  testWith(
    [tools.kcat],
    "kcat, checking CRCs, reads exactly these",
    async () => {
      const args = [
        "-b",
        broker().bootstrap,
        "-C",
        "-t",
        "telemetry",
        "-o",
        "beginning",
        "-e",
        "-q",
        "-X",
        "check.crcs=true",
        "-f",
        "%p %o %k %s\n"
      ]
      const { stdout, code } = await run(pathOf(tools.kcat), args, { timeoutMs: 60_000 })
      expect(code).toBe(0)
      const records = stdout
        .trim()
        .split("\n")
        .map((line) => {
          const [partition, offset, key, value] = line.split(" ")
          return { partition: Number(partition), offset: Number(offset), key: key ?? "", value: value ?? "" }
        })
      check(records)
    },
    70_000
  )

  test("10,000 keyed records of kafkajs reach 50 MQTT subscribers, each all of them, in order per key", async () => {
    const subscribers = [0, 1].map(() =>
      fleet({
        url: url(),
        role: "subscribe",
        clients: CLIENTS / 2,
        filter: "devices/+/telemetry",
        expected: RECORDS,
        timeoutMs: 60_000
      })
    )
    await Promise.all(subscribers.map(isReady))
    const kafka = new Kafka({ brokers: [broker().bootstrap], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    for (let start = 0; start < RECORDS; start += 500) {
      const messages = Array.from({ length: 500 }, (_, index) => {
        const name = fleetName((start + index) % NAMES)
        return { key: name, value: `${name}:${Math.floor((start + index) / NAMES)}` }
      })
      await producer.send({
        topic: "telemetry",
        messages,
        acks: -1,
        compression: start % 1_000 === 0 ? CompressionTypes.GZIP : CompressionTypes.None
      })
    }
    await producer.disconnect()
    const reports = await Promise.all(subscribers.map((each) => reportOf(each, 70_000)))
    expect(reports.flatMap((report) => report.faults)).toEqual([])
    expect(reports.reduce((sum, report) => sum + report.count, 0)).toBe(RECORDS * CLIENTS)
    console.log(
      `fan-out of ${RECORDS * CLIENTS} messages: ${Math.round(Math.max(...reports.map((report) => report.ms)))} ms`
    )
  }, 90_000)

  test("after these appends the batch bytes that Fetch returned before are still the same, from any offset", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    let total = 0
    for (const [partition, before] of storedBytes.entries()) {
      const after = await kafka.readAll("telemetry", partition)
      expect(after.subarray(0, before.length).equals(before)).toBe(true)
      const batches = readBatches(after)
      expect(batches.every((batch) => batch.isCrcRight)).toBe(true)
      total += batches.reduce((sum, batch) => sum + batch.recordCount, 0)
      const middle = stored[partition]?.[Math.floor((stored[partition]?.length ?? 0) / 2)]
      if (middle === undefined) throw new Error(`partition ${partition} is empty`)
      const found = await kafka.fetch("telemetry", partition, middle.lastOffset)
      expect(found.records.subarray(0, middle.bytes.length).equals(middle.bytes)).toBe(true)
    }
    expect(total).toBe(MESSAGES + RECORDS)
    RawKafka.cutAll()
  }, 30_000)
})
