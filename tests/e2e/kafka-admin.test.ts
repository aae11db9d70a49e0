/**
 * Administration as kafkajs does it, an unchanged client: topics, configurations, partitions, records, quotas; what is changed holds at
 * once, beside MQTT clients that go on, and after a kill.
 */
import { afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Admin, ConfigResourceTypes, Kafka, logLevel } from "kafkajs"
import { type Broker, brokerSuite, IS_EXTERNAL, RUNS_ON_DENO, startBroker } from "../support/broker.ts"
import { Writer } from "../support/kafka-fields.ts"
import { API, RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { partitionOf, readBatches } from "../support/record-batch.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[topics]
partitions = 2
auto_create = false

[[topics.rule]]
match = "memory*"
engine = "memory"
mode = "memory"

[[topics.rule]]
match = "state*"
configs = { "cleanup.policy" = "compact" }

[[binding]]
topic = "telemetry"
filter = "devices/+/telemetry"
partitions = 2
`
/** What kafkajs throws: with the type of Kafka's error, that of one of many, or that of the last of some attempts. */
interface Refusal {
  readonly type?: string
  readonly errors?: ReadonlyArray<{ readonly type?: string }>
  readonly cause?: { readonly type?: string }
}
const text = (bytes: Uint8Array | null): string => (bytes === null ? "" : Buffer.from(bytes).toString())

function kafkaOf(broker: Broker, clientId = "administrator"): Kafka {
  return new Kafka({ clientId, brokers: [broker.bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 2 } })
}

async function withAdmin<A>(broker: Broker, use: (admin: Admin) => Promise<A>): Promise<A> {
  const admin = kafkaOf(broker).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

async function configsOf(admin: Admin, name: string): Promise<Map<string, readonly [string, boolean]>> {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name }]
  const { resources: found } = await admin.describeConfigs({ includeSynonyms: true, resources })
  return new Map(
    found[0]?.configEntries.map(({ configName, configValue, isDefault }) => [configName, [configValue, isDefault]])
  )
}

brokerSuite("kafka administration", { config: CONFIG }, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  test("topics are created, listed, described, altered and deleted", async () => {
    const [one, two] = [uniqueLevel("a"), uniqueLevel("state")]
    await withAdmin(broker(), async (admin) => {
      const configEntries = [{ name: "retention.ms", value: "60000" }]
      const topics = [{ topic: one, numPartitions: 3, replicationFactor: 1, configEntries }, { topic: two }]
      expect(await admin.createTopics({ topics, validateOnly: true, waitForLeaders: false })).toBe(true)
      expect(await admin.listTopics()).not.toContain(one)
      expect(await admin.createTopics({ topics })).toBe(true)
      expect(await admin.createTopics({ topics })).toBe(false)
      expect(await admin.listTopics()).toEqual(expect.arrayContaining([one, two]))
      const { topics: described } = await admin.fetchTopicMetadata({ topics: [one, two] })
      const counts = new Map(described.map(({ name, partitions }) => [name, partitions.length]))
      expect([counts.get(one), counts.get(two)]).toEqual([3, 2])
      expect((await configsOf(admin, one)).get("retention.ms")?.[0]).toBe("60000")
      expect((await configsOf(admin, two)).get("cleanup.policy")?.[0]).toBe("compact")
      const changed = {
        type: ConfigResourceTypes.TOPIC,
        name: one,
        configEntries: [{ name: "segment.ms", value: "5000" }]
      }
      await admin.alterConfigs({ validateOnly: false, resources: [changed] })
      const after = await configsOf(admin, one)
      // AlterConfigs replaces all: what it does not name goes back.
      expect([after.get("segment.ms")?.[0], after.get("retention.ms")?.[0]]).toEqual(["5000", "604800000"])
      await admin.createPartitions({ topicPartitions: [{ topic: one, count: 5 }] })
      expect((await admin.fetchTopicOffsets(one)).map(({ high }) => high)).toEqual(["0", "0", "0", "0", "0"])
      await admin.deleteTopics({ topics: [one, two] })
      expect(await admin.listTopics()).not.toContain(one)
    })
  })

  test("what is wrong is refused with Kafka's own errors", async () => {
    const name = uniqueLevel("a")
    await withAdmin(broker(), async (admin) => {
      const refusal = (work: Promise<unknown>): Promise<string> =>
        work.then(
          () => "none",
          (error: Refusal) => error.errors?.[0]?.type ?? error.type ?? error.cause?.type ?? String(error)
        )
      const create = (more: object): Promise<string> =>
        refusal(admin.createTopics({ topics: [{ topic: name, ...more }] }))
      expect(await create({ replicationFactor: 3, numPartitions: 1 })).toBe("INVALID_REPLICATION_FACTOR")
      expect(await create({ numPartitions: 10_001 })).toBe("POLICY_VIOLATION")
      expect(await create({ configEntries: [{ name: "no.such", value: "1" }] })).toBe("INVALID_CONFIG")
      expect(await create({ topic: "a/b" })).toBe("INVALID_TOPIC_EXCEPTION")
      expect(await refusal(admin.deleteTopics({ topics: [name] }))).toBe("UNKNOWN_TOPIC_OR_PARTITION")
      expect(await refusal(configsOf(admin, name))).toBe("UNKNOWN_TOPIC_OR_PARTITION")
      const resource = {
        type: ConfigResourceTypes.BROKER,
        name: "1",
        configEntries: [{ name: "log.retention.ms", value: "1" }]
      }
      expect(await refusal(admin.alterConfigs({ validateOnly: false, resources: [resource] }))).toBe("INVALID_REQUEST")
    })
  })

  test("records are deleted up to an offset, and up to the end", async () => {
    const name = uniqueLevel("a")
    const producer = kafkaOf(broker()).producer()
    await producer.connect()
    await withAdmin(broker(), async (admin) => {
      await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }] })
      for (const value of ["a", "b", "c", "d"]) await producer.send({ topic: name, messages: [{ value }] })
      // It looks for leaders among the topics that it has asked for before.
      await admin.fetchTopicOffsets(name)
      await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: "3" }] })
      expect(await admin.fetchTopicOffsets(name)).toEqual([{ partition: 0, offset: "4", high: "4", low: "3" }])
      const beyond = admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: "5" }] })
      expect(await beyond.catch((error: Error) => error.message)).toBe("Error while deleting records")
      await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: "-1" }] })
      expect((await admin.fetchTopicOffsets(name))[0]?.low).toBe("4")
    })
    await producer.disconnect()
  })

  test("a shorter retention holds on logs that are open", async () => {
    const name = uniqueLevel("memory")
    const producer = kafkaOf(broker()).producer()
    await producer.connect()
    await withAdmin(broker(), async (admin) => {
      await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }] })
      const send = () => producer.send({ topic: name, messages: [{ value: "x".repeat(1_000) }] })
      for (let count = 0; count < 20; count++) await send()
      expect((await admin.fetchTopicOffsets(name))[0]?.low).toBe("0")
      const configEntries = [{ name: "retention.bytes", value: "5000" }]
      const resources = [{ type: ConfigResourceTypes.TOPIC, name, configEntries }]
      await admin.alterConfigs({ validateOnly: false, resources })
      await send()
      expect(Number((await admin.fetchTopicOffsets(name))[0]?.low)).toBeGreaterThan(14)
    })
    await producer.disconnect()
  })

  test("partitions are added while devices publish: each message once, each name in order, in the partition of its time", async () => {
    const names = Array.from({ length: 16 }, () => `devices/${uniqueLevel("d")}/telemetry`)
    const devices = await Promise.all(
      names.map(async (topic) => ({ topic, device: await RawMqtt.connect(broker().mqtt) }))
    )
    const rounds = 30
    let isAltered = false
    await withAdmin(broker(), async (admin) => {
      const before = (await admin.fetchTopicMetadata({ topics: ["telemetry"] })).topics[0]?.partitions.length ?? 0
      const count = before + 4
      for (let round = 0; round < rounds; round++) {
        const published = Promise.all(
          devices.map(({ topic, device }) => device.publishWhole({ topic, payload: String(round), qos: 1 }))
        )
        if (round === 10) {
          await admin.createPartitions({ topicPartitions: [{ topic: "telemetry", count }] })
          isAltered = true
        }
        await published
      }
      expect(isAltered).toBe(true)
      const kafka = await RawKafka.open(broker().kafka)
      const found = new Map<string, Array<Array<number>>>()
      for (let partition = 0; partition < count; partition++) {
        for (const { records } of readBatches(await kafka.readAll("telemetry", partition))) {
          for (const { key, value } of records) {
            const name = text(key)
            if (!names.includes(name)) continue
            const lists = found.get(name) ?? []
            found.set(name, lists)
            const list = lists[partition] ?? []
            lists[partition] = list
            list.push(Number(text(value)))
          }
        }
      }
      for (const name of names) {
        const [first, last] = [partitionOf(name, before), partitionOf(name, count)]
        const lists = found.get(name) ?? []
        const stored = first === last ? (lists[first] ?? []) : [...(lists[first] ?? []), ...(lists[last] ?? [])]
        expect(stored).toEqual(Array.from({ length: rounds }, (_, round) => round))
        expect(lists.flat()).toHaveLength(rounds)
        // What came after the change lies where the new count says.
        expect(lists[last]).toContain(rounds - 1)
      }
    })
  })

  test("a million names of topics that are not there cost nothing that stays, and nobody else waits", async () => {
    const client = await RawKafka.open(broker().kafka)
    const other = await RawKafka.open(broker().kafka)
    const ask = async (round: number): Promise<void> => {
      const names = Array.from({ length: 5_000 }, (_, index) => `absent-${round}-${index}`)
      const body = new Writer()
      body.array(names, (name) => body.text(name)).int8(1)
      const correlation = client.request(API.metadata, 4, body.end())
      const asked = other.metadata([])
      await client.response(correlation, 20_000)
      await asked
    }
    for (let round = 0; round < 40; round++) await ask(round)
    const before = broker().isExternal ? 0 : broker().residentBytes()
    for (let round = 40; round < 200; round++) await ask(round)
    // Deno's heap grows by more before it is looked through.
    const bound = (RUNS_ON_DENO ? 200 : 60) * 1_048_576
    if (!broker().isExternal) expect(broker().residentBytes() - before).toBeLessThan(bound)
    expect((await other.metadata(null)).topics.filter(({ name }) => name.startsWith("absent-"))).toEqual([])
  }, 120_000)
})

test.skipIf(IS_EXTERNAL)(
  "what was altered outlives a kill",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "manifold-admin-"))
    const start = (): Promise<Broker> =>
      startBroker({
        shards: 2,
        readyMs: 60_000,
        config: CONFIG,
        set: { "node.data": directory, "topics.auto_create": "true" }
      })
    try {
      const first = await start()
      const producer = kafkaOf(first).producer()
      await producer.connect()
      await withAdmin(first, async (admin) => {
        const configEntries = [{ name: "cleanup.policy", value: "compact,delete" }]
        await admin.createTopics({ topics: [{ topic: "kept", numPartitions: 2, configEntries }] })
        await admin.createPartitions({ topicPartitions: [{ topic: "kept", count: 3 }] })
        for (let index = 0; index < 10; index++) {
          await producer.send({ topic: "kept", messages: [{ key: `k${index}`, value: String(index), partition: 2 }] })
        }
        await admin.fetchTopicOffsets("kept")
        await admin.deleteTopicRecords({ topic: "kept", partitions: [{ partition: 2, offset: "7" }] })
        const resources = [
          {
            type: ConfigResourceTypes.TOPIC,
            name: "telemetry",
            configEntries: [{ name: "retention.ms", value: "5000" }]
          }
        ]
        await admin.alterConfigs({ validateOnly: false, resources })
        await admin.createTopics({ topics: [{ topic: "gone" }] })
        await admin.deleteTopics({ topics: ["gone"] })
      })
      first.signal("SIGKILL")
      await first.end()
      const second = await start()
      await withAdmin(second, async (admin) => {
        expect((await admin.listTopics()).toSorted()).toEqual(["kept", "telemetry"])
        expect((await admin.fetchTopicOffsets("kept")).map(({ low, high }) => [low, high])).toEqual([
          ["0", "0"],
          ["0", "0"],
          ["7", "10"]
        ])
        expect((await configsOf(admin, "kept")).get("cleanup.policy")?.[0]).toBe("compact,delete")
        // The manifest declares it, and says nothing of this.
        expect((await configsOf(admin, "telemetry")).get("retention.ms")?.[0]).toBe("5000")
      })
      second.signal("SIGKILL")
      await second.end()
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  },
  60_000
)

test.skipIf(IS_EXTERNAL)(
  "a producer over its quota is told to wait, and waits",
  async () => {
    const broker = await startBroker({ config: "" })
    try {
      const client = await RawKafka.open(broker.kafka)
      // AlterClientQuotas 0: one entity, one value.
      const body = new Writer().int32(1).int32(1).text("client-id").text("slow").int32(1).text("producer_byte_rate")
      const value = Buffer.alloc(8)
      value.writeDoubleBE(20_000)
      await client.call(49, 0, body.raw(value).int8(0).int8(0).end())
      const producer = kafkaOf(broker, "slow").producer()
      await producer.connect()
      const send = () => producer.send({ topic: "t", messages: [{ value: "x".repeat(100_000) }] })
      const quickAt = performance.now()
      await send()
      const quickMs = performance.now() - quickAt
      // 200,000 bytes may be taken at once, and 20,000 a second after that.
      await send()
      const slowAt = performance.now()
      await send()
      await send()
      const slowMs = performance.now() - slowAt
      expect(quickMs).toBeLessThan(3_000)
      expect(slowMs).toBeGreaterThan(4_000)
      await until(
        "a count of throttled answers",
        async () => (await broker.sumOf("manifold_kafka_throttled_total")) > 0
      )
      await producer.disconnect()
    } finally {
      RawKafka.cutAll()
      await broker.stop()
    }
  },
  60_000
)
