/** Consumer groups with kafkajs: work is shared, progress is kept over restarts of every kind, an administrator sees and deletes. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Consumer, Kafka, logLevel, Partitioners } from "kafkajs"
import { type Broker, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

const PARTITIONS = 4
const SESSION_MS = 6_000
const CONFIG = `[topics]\npartitions = ${PARTITIONS}\n`
const SETTINGS = { "protocol-kafka.group_initial_rebalance_delay_ms": "0" }

const directories: Array<string> = []
const brokers = new Set<Broker>()
const consumers = new Set<Consumer>()
afterEach(async () => {
  // A client whose broker is gone may take its time: nobody waits for it.
  await Promise.race([
    Promise.all([...consumers].map((consumer) => consumer.disconnect().catch(() => {}))),
    sleep(3_000)
  ])
  consumers.clear()
  for (const broker of brokers) broker.kill()
  brokers.clear()
})
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** Starts brokers one after the other on one directory, at one address. */
function starter(shards: number): () => Promise<Broker> {
  const data = mkdtempSync(join(tmpdir(), "manifold-groups-"))
  directories.push(data)
  let address = "127.0.0.1:0"
  return async () => {
    const set = { ...SETTINGS, "node.data": data, "protocol-kafka.tcp": address }
    const broker = await startBroker({ shards, config: CONFIG, set })
    address = broker.bootstrap
    brokers.add(broker)
    return broker
  }
}

const kafkaAt = (broker: Broker): Kafka =>
  new Kafka({
    clientId: "groups",
    brokers: [broker.bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500 }
  })

async function produce(broker: Broker, topic: string, from: number, count: number): Promise<void> {
  const producer = kafkaAt(broker).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, index) => ({
    value: `${from + index}`,
    partition: index % PARTITIONS
  }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

/** A member of a group: what it has read, and which partitions are its own. */
async function member(broker: Broker, groupId: string, topic: string) {
  const consumer = kafkaAt(broker).consumer({
    groupId,
    sessionTimeout: SESSION_MS,
    heartbeatInterval: 500,
    rebalanceTimeout: 10_000
  })
  consumers.add(consumer)
  const read: Array<string> = []
  const owned = { partitions: [] as ReadonlyArray<number> }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    owned.partitions = payload.memberAssignment[topic] ?? []
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => void read.push(String(message.value))
  })
  return { consumer, read, owned }
}

const numbers = (from: number, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${from + index}`).toSorted()

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`${shards} shard(s): two consumers share a topic, one goes on alone`, async () => {
    const broker = await starter(shards)()
    const topic = uniqueLevel("g")
    await produce(broker, topic, 0, 40)
    const one = await member(broker, "pair", topic)
    await until("all read by one", () => one.read.length === 40, 20_000)
    const two = await member(broker, "pair", topic)
    const isShared = (): boolean => one.owned.partitions.length === 2 && two.owned.partitions.length === 2
    await until("two partitions each", isShared, 20_000)
    expect([...one.owned.partitions, ...two.owned.partitions].toSorted()).toEqual([0, 1, 2, 3])
    await produce(broker, topic, 40, 40)
    await until("the rest", () => one.read.length + two.read.length >= 80, 20_000)
    expect([...one.read, ...two.read].toSorted()).toEqual([...numbers(0, 80)])
    await two.consumer.disconnect()
    await until("four partitions again", () => one.owned.partitions.length === PARTITIONS, 20_000)
  }, 90_000)

  test(`${shards} shard(s): after a restart and after kill -9 a group goes on where it was`, async () => {
    const start = starter(shards)
    let broker = await start()
    const topic = uniqueLevel("g")
    await produce(broker, topic, 0, 20)
    const first = await member(broker, "kept", topic)
    await until("all read", () => first.read.length === 20, 20_000)
    await first.consumer.disconnect()
    let from = 20
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      broker.signal(signal)
      await broker.end()
      broker = await start()
      await produce(broker, topic, from, 20)
      const next = await member(broker, "kept", topic)
      await until("what is new", () => next.read.length >= 20, 20_000)
      expect(next.read.toSorted()).toEqual([...numbers(from, 20)])
      await next.consumer.disconnect()
      from += 20
    }
  }, 120_000)

  test(`${shards} shard(s): a consumer that was in a group stays in it over a kill -9, and reads on`, async () => {
    const start = starter(shards)
    const broker = await start()
    const topic = uniqueLevel("g")
    await produce(broker, topic, 0, 20)
    const { read } = await member(broker, "stays", topic)
    await until("all read", () => read.length === 20, 20_000)
    await sleep(200)
    broker.signal("SIGKILL")
    await broker.end()
    const again = await start()
    await produce(again, topic, 20, 20)
    await until("what is new", () => new Set(read).size === 40, 40_000)
    const group = (await kafkaAt(again).admin().describeGroups(["stays"])).groups[0]
    expect([group?.state, group?.members.length]).toEqual(["Stable", 1])
  }, 120_000)

  test(`${shards} shard(s): groups by the command line, with members, lag, and their deletion`, async () => {
    const broker = await starter(shards)()
    const topic = uniqueLevel("g")
    await produce(broker, topic, 0, 20)
    const { consumer, read } = await member(broker, "seen", topic)
    await until("all read", () => read.length === 20, 20_000)
    const manifold = async (...args: ReadonlyArray<string>) => {
      const { code, stdout, stderr } = await runCommand([
        "consumer-group",
        ...args,
        "--url",
        broker.url,
        "--output",
        "json"
      ])
      return { code, stderr, told: stdout.trim() === "" ? undefined : JSON.parse(stdout) }
    }
    const item = await until("all committed", async () => {
      const { told } = await manifold("get", "seen")
      return told?.lag === 0 && told.offsetCount === PARTITIONS ? told : undefined
    })
    expect(item).toMatchObject({ id: "seen", state: "Stable", protocolType: "consumer", memberCount: 1, lag: 0 })
    expect(item.members[0]).toMatchObject({ clientId: "groups", host: "127.0.0.1", isLeader: true })
    expect((await manifold("delete", "seen")).stderr).toContain("group-not-empty")
    await consumer.disconnect()
    await produce(broker, topic, 20, 5)
    expect((await manifold("get", "seen")).told).toMatchObject({ state: "Empty", lag: 5, members: [] })
    expect(await broker.sumOf("manifold_kafka_groups", 'state="Empty"')).toBe(1)
    expect(await broker.sumOf("manifold_kafka_group_rebalances_total")).toBeGreaterThan(0)
    expect((await manifold("delete", "seen")).code).toBe(0)
    expect((await kafkaAt(broker).admin().listGroups()).groups).toEqual([])
  }, 60_000)
}
