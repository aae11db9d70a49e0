/**
 * A data directory with a small budget, and a tenant with one: the oldest records go before anybody is refused; what must not go fills it,
 * and producers of both protocols are refused until there is room again.
 */
import { afterEach, expect, test } from "bun:test"
import { type Broker, IS_EXTERNAL, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"
import { sleep, until } from "../support/until.ts"

const MIB = 1_048_576
const BUDGET = 128 * MIB
const QUOTA_EXCEEDED = 0x97
const KAFKA_STORAGE_ERROR = 56
const OFFSET_OUT_OF_RANGE = 1
const NEVER = [["sessionExpiry", 4_294_967_295]] as const
/** Messages that are sent before the first is acknowledged. */
const WINDOW = 20
const TIMEOUT_MS = 120_000
const CONFIG = `
[topics]
auto_create_mqtt = "memory"

[[topics.rule]]
match = "small.*"
engine = "sqlite"
`

afterEach(() => {
  RawMqtt.cutAll()
  RawKafka.cutAll()
})

async function withBroker(set: Record<string, string>, story: (broker: Broker) => Promise<void>): Promise<void> {
  const broker = await startBroker({ config: CONFIG, set })
  try {
    await story(broker)
    await broker.stop()
  } finally {
    broker.kill()
  }
}

const budgetTest = IS_EXTERNAL ? test.skip : test

async function publish(client: RawMqtt, topic: string, payload: Uint8Array, retain = false): Promise<number> {
  client.publish({ topic, payload, qos: 1, id: 1, retain })
  return (await client.find("puback", 20_000)).code
}

const isTaken = (code: number): boolean => code < 0x80
const record = (bytes: number): Buffer => batch([{ key: null, value: Buffer.alloc(bytes, 7) }])

budgetTest(
  "what must not go fills it: both protocols refuse, and take again when a session has consumed what waits for it",
  () =>
    withBroker(
      { "node.data_bytes_max": String(BUDGET), "protocol-mqtt.queue_bytes_max": String(8 * BUDGET) },
      async (broker) => {
        const away = { version: 5, clientId: "away", clean: false, properties: NEVER } as const
        const session = await RawMqtt.connect(broker.mqtt, away)
        await session.subscribe("fill/#", 1)
        await session.disconnect()
        const watcher = await RawMqtt.connect(broker.mqtt, { version: 5 })
        await watcher.subscribe("$SYS/brokers/alarms/alert", 0)
        const alarms = new Set<string>()
        const alarm = async (name: string, isOn: boolean): Promise<void> => {
          while (alarms.has(name) !== isOn) {
            const { payload } = await watcher.expect("publish", 20_000)
            const { value } = JSON.parse(Buffer.from(payload).toString())
            if (value.alarm === "activate") alarms.add(value.name)
            else alarms.delete(value.name)
          }
        }
        const client = await RawMqtt.connect(broker.mqtt, { version: 5 })
        const kafka = await RawKafka.open(broker.kafka)
        await kafka.topic("records")
        expect((await kafka.produce("records", 0, record(100))).error).toBe(0)
        expect(isTaken(await publish(client, "kept/before", Buffer.from("here"), true))).toBe(true)

        const payload = Buffer.alloc(60_000, 1)
        let waiting = 0
        for (let isFull = false; !isFull; ) {
          for (let id = 1; id <= WINDOW; id++) client.publish({ topic: "fill/it", payload, qos: 1, id })
          for (let id = 1; id <= WINDOW; id++) {
            const { code } = await client.find("puback", 20_000)
            if (isTaken(code)) waiting += 1
            else {
              expect(code).toBe(QUOTA_EXCEEDED)
              isFull = true
            }
          }
          expect(waiting).toBeLessThan((4 * BUDGET) / payload.length)
        }
        expect((await kafka.produce("records", 0, record(100))).error).toBe(KAFKA_STORAGE_ERROR)
        expect(await publish(client, "kept/another", Buffer.from("x"), true)).toBe(QUOTA_EXCEEDED)
        // Nothing of these is stored.
        expect(isTaken(await publish(client, "plain/live", Buffer.from("x")))).toBe(true)
        expect(isTaken(await publish(client, "kept/before", Buffer.alloc(0), true))).toBe(true)
        const old = await RawMqtt.connect(broker.mqtt, { version: 4 })
        old.publish({ topic: "fill/it", payload: "x", qos: 1, id: 1 })
        await old.closed()
        await alarm("data_high", true)
        await alarm("data_full", true)
        expect(await broker.sumOf("manifold_data_full")).toBe(1)
        expect(await broker.sumOf("manifold_data_bound_bytes")).toBe(BUDGET)
        expect(await broker.sumOf("manifold_data_used_bytes")).toBeGreaterThan(0.9 * BUDGET)
        expect(broker.stderr).toContain("the data directory is full: producers are refused until there is room")

        const consumer = await RawMqtt.connect(broker.mqtt, away)
        for (let count = 0; count < waiting; count++) {
          const [message] = await consumer.messages(1, { timeoutMs: 20_000 })
          expect(message?.payload.length).toBe(payload.length)
        }
        await consumer.disconnect()
        await until(
          "room for a record",
          async () => (await kafka.produce("records", 0, record(100))).error === 0 || undefined,
          60_000
        )
        expect(isTaken(await publish(client, "kept/another", Buffer.from("x"), true))).toBe(true)
        await alarm("data_full", false)
        await alarm("data_high", false)
        expect(await broker.sumOf("manifold_data_full")).toBe(0)
        // All that was taken is there: nothing of a topic that was small had to go.
        expect((await kafka.fetch("records", 0, 0)).error).toBe(0)
      }
    ),
  TIMEOUT_MS
)

budgetTest(
  "more than the budget passes through it: the oldest records go, of both engines, and what is stored stays within",
  () =>
    withBroker({ "node.data_bytes_max": String(BUDGET), "storage-sqlite.wal_bytes": "1048576" }, async (broker) => {
      const kafka = await RawKafka.open(broker.kafka)
      for (const topic of ["large.records", "small.records"]) await kafka.topic(topic)
      const bytes = record(900_000)
      let refused = 0
      for (let count = 0; count < 200; count++) {
        for (const topic of ["large.records", "small.records"]) {
          // As a producer does that is told of an error which may be tried again.
          while ((await kafka.produce(topic, 0, bytes)).error !== 0) {
            refused += 1
            expect(refused).toBeLessThan(2_000)
            await sleep(20)
          }
        }
      }
      await until(
        "a directory that is not nearly full",
        async () => (await broker.sumOf("manifold_data_high")) === 0 || undefined,
        30_000
      )
      for (const [topic, engine] of [
        ["large.records", "segment"],
        ["small.records", "sqlite"]
      ] as const) {
        const { logStartOffset, highWatermark } = await kafka.fetch(topic, 0, 200)
        expect([topic, highWatermark]).toEqual([topic, 200])
        expect(logStartOffset).toBeGreaterThan(100)
        expect((await kafka.fetch(topic, 0, 0)).error).toBe(OFFSET_OUT_OF_RANGE)
        // The last of it may still go: it comes down further than to where the alarm ends.
        await until("what is left of a topic", async () => {
          const { logStartOffset: now } = await kafka.fetch(topic, 0, 200)
          return (await kafka.fetch(topic, 0, now)).error === 0 || undefined
        })
        const labels = (reason: string): string => `engine="${engine}",reason="${reason}"`
        expect(await broker.sumOf("manifold_storage_retention_bytes_total", labels("budget"))).toBeGreaterThan(90 * MIB)
        expect(await broker.sumOf("manifold_storage_retention_bytes_total", labels("time"))).toBe(0)
        const line = new RegExp(
          `records were deleted.*topic=${topic} partition=0 from=0 to=\\d+ bytes=\\d+ reason=budget`
        )
        expect(broker.stderr).toMatch(line)
      }
    }),
  TIMEOUT_MS
)

budgetTest(
  "a tenant keeps no more than its bound",
  () =>
    withBroker({ "node.tenant_bytes_max": String(8 * MIB) }, async (broker) => {
      const kafka = await RawKafka.open(broker.kafka)
      await kafka.topic("large.records")
      for (let count = 0; count < 40; count++) {
        expect((await kafka.produce("large.records", 0, record(500_000))).error).toBe(0)
      }
      await until(
        "a tenant within its bound",
        async () => {
          const stored = await broker.sumOf("manifold_tenant_stored_bytes_largest")
          const { logStartOffset } = await kafka.fetch("large.records", 0, 40)
          return (stored > 4 * MIB && stored <= 8 * MIB && logStartOffset > 20) || undefined
        },
        30_000
      )
      const reason = 'reason="tenant"'
      expect(await broker.sumOf("manifold_storage_retention_records_total", reason)).toBeGreaterThan(20)
    }),
  TIMEOUT_MS
)
