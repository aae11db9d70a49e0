/**
 * Consumer groups with Apache's own Java client and its console tool, and with kcat. Where there are no jars of Apache Kafka
 * (KAFKA_LIBS, or the benchmark's own folder) what needs them is skipped.
 */
import { afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kafkaLibraries } from "../../bench/brokers/kafka/libraries.ts"
import { type Broker, ROOT, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { uniqueLevel } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"
import { pathOf, run, type Started, start, testWith, tools } from "../support/tools.ts"
import { until } from "../support/until.ts"
import { kafkaJava } from "./builds.ts"

const PARTITIONS = 4
const LONG_MS = 120_000
const java = kafkaJava()
const CLASS_PATH = join(kafkaLibraries() ?? "", "*")
const TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"

const data = mkdtempSync(join(tmpdir(), "manifold-java-groups-"))
const running = new Set<Started>()
let broker: Broker | undefined
afterEach(() => {
  for (const each of running) each.child.kill("SIGKILL")
  running.clear()
  RawKafka.cutAll()
  broker?.kill()
  broker = undefined
  rmSync(data, { recursive: true, force: true })
})

let address = "127.0.0.1:0"
async function begin(shards: number): Promise<Broker> {
  const set = {
    "node.data": data,
    "protocol-kafka.tcp": address,
    "protocol-kafka.group_initial_rebalance_delay_ms": "0"
  }
  broker = await startBroker({ shards, config: `[topics]\npartitions = ${PARTITIONS}\n`, set })
  address = broker.bootstrap
  return broker
}

async function produce({ kafka }: Broker, topic: string, from: number, count: number): Promise<void> {
  const client = await RawKafka.open(kafka)
  await client.topic(topic)
  for (let index = from; index < from + count; index++) {
    await client.produce(topic, index % PARTITIONS, batch([{ value: `${index}` }]))
  }
}

/** A Java member; its lines so far, and the partitions that it has by them. */
function member(bootstrap: string, group: string, topic: string, ...settings: ReadonlyArray<string>) {
  const source = join(ROOT, "tests/compat/kafka/GroupConsumer.java")
  const started = start(pathOf(java), ["-cp", CLASS_PATH, source, bootstrap, group, topic, ...settings])
  running.add(started)
  const lines = (): ReadonlyArray<string> => started.stdout().split("\n").slice(0, -1)
  const own = (): ReadonlyArray<number> => {
    const owned = new Set<number>()
    for (const line of lines()) {
      const [what = "", rest = ""] = line.split(/ (.*)/)
      if (!["assigned", "revoked", "lost"].includes(what)) continue
      for (const each of rest.match(/\d+/g) ?? [])
        what === "assigned" ? owned.add(Number(each)) : owned.delete(Number(each))
    }
    return [...owned].toSorted()
  }
  const read = (): ReadonlyArray<string> =>
    lines()
      .filter((line) => line.startsWith("read "))
      .map((line) => line.slice(5))
  return { started, lines, own, read }
}

interface Group {
  readonly lag: number
  readonly offsetCount: number
  readonly members: ReadonlyArray<{ readonly memberId: string }>
}
/** What the broker tells of a group. */
async function groupOf(group: string): Promise<Group> {
  return (await (await fetch(`${broker?.url}/api/v1/consumer-groups/${group}`)).json()) as Group
}

async function groups(bootstrap: string, ...args: ReadonlyArray<string>): Promise<string> {
  const { stdout } = await run(pathOf(java), ["-cp", CLASS_PATH, TOOL, "--bootstrap-server", bootstrap, ...args], {
    timeoutMs: 30_000
  })
  return stdout
}
const numbers = (from: number, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${from + index}`).toSorted()
const STRATEGY = "partition.assignment.strategy=org.apache.kafka.clients.consumer"

for (const shards of SHARD_COUNTS) {
  for (const strategy of ["RangeAssignor", "CooperativeStickyAssignor"]) {
    testWith(
      [java],
      `${shards} shard(s), ${strategy}: two members share, one is killed, the other has all`,
      async () => {
        const { bootstrap } = await begin(shards)
        const topic = uniqueLevel("j")
        if (broker !== undefined) await produce(broker, topic, 0, 20)
        const one = member(bootstrap, "pair", topic, `${STRATEGY}.${strategy}`)
        await until("all read", () => one.read().length === 20, LONG_MS)
        const two = member(bootstrap, "pair", topic, `${STRATEGY}.${strategy}`)
        await until("two each", () => one.own().length === 2 && two.own().length === 2, LONG_MS)
        expect([...one.own(), ...two.own()].toSorted()).toEqual([0, 1, 2, 3])
        // Cooperative members keep what stays theirs.
        const revoked = one.lines().find((line) => line.startsWith("revoked")) ?? ""
        expect(revoked.match(/\d+/g)?.length).toBe(strategy === "RangeAssignor" ? 4 : 2)
        two.started.child.kill("SIGKILL")
        await until("all again", () => one.own().length === PARTITIONS, LONG_MS)
        if (broker !== undefined) await produce(broker, topic, 20, 20)
        await until("all of it", () => new Set(one.read()).size === 40, LONG_MS)
        one.started.child.stdin?.end()
        await until("closed", () => one.lines().at(-1) === "closed", LONG_MS)
      },
      3 * LONG_MS
    )
  }

  testWith(
    [java],
    `${shards} shard(s): a static member comes back to what it had, without a rebalance`,
    async () => {
      const { bootstrap } = await begin(shards)
      const topic = uniqueLevel("j")
      if (broker !== undefined) await produce(broker, topic, 0, 8)
      const settings = (name: string) => [`group.instance.id=${name}`, "session.timeout.ms=120000"]
      const one = member(bootstrap, "static", topic, ...settings("a"))
      const two = member(bootstrap, "static", topic, ...settings("b"))
      await until("two each", () => one.own().length === 2 && two.own().length === 2, LONG_MS)
      const [had, count] = [two.own(), one.lines().length]
      two.started.child.kill("SIGKILL")
      const back = member(bootstrap, "static", topic, ...settings("b"))
      await until("what it had", () => back.own().length === 2, LONG_MS)
      expect([back.own(), one.lines().filter((line) => !line.startsWith("read")).length <= count]).toEqual([had, true])
      expect(await groups(bootstrap, "--describe", "--group", "static", "--members", "--verbose")).toMatch(/a-.*\n.*b-/)
    },
    3 * LONG_MS
  )

  testWith(
    [java],
    `${shards} shard(s): a member goes on over kill -9 of the broker, with its id`,
    async () => {
      const { bootstrap } = await begin(shards)
      const topic = uniqueLevel("j")
      if (broker !== undefined) await produce(broker, topic, 0, 20)
      const one = member(bootstrap, "goes-on", topic, "session.timeout.ms=120000")
      await until("all read", () => one.read().length === 20, LONG_MS)
      const before = await until("committed", async () => {
        const found = await groupOf("goes-on")
        return found.lag === 0 && found.offsetCount === PARTITIONS ? found : undefined
      })
      broker?.signal("SIGKILL")
      await broker?.end()
      await begin(shards)
      if (broker !== undefined) await produce(broker, topic, 20, 20)
      await until("what is new", () => one.read().length >= 40, LONG_MS)
      expect(one.read().toSorted()).toEqual([...numbers(0, 40)])
      // It may ask for another generation because of the metadata that it saw meanwhile; nobody makes it.
      expect((await groupOf("goes-on")).members).toMatchObject([{ memberId: before.members[0]?.memberId }])
      expect(one.lines().filter((line) => line.startsWith("lost"))).toEqual([])
    },
    3 * LONG_MS
  )

  testWith(
    [java],
    `${shards} shard(s): the console tool lists, describes, resets and deletes`,
    async () => {
      const { bootstrap } = await begin(shards)
      const topic = uniqueLevel("j")
      if (broker !== undefined) await produce(broker, topic, 0, 20)
      const one = member(bootstrap, "tool", topic)
      await until("all read", () => one.read().length === 20, LONG_MS)
      expect(await groups(bootstrap, "--list", "--state")).toMatch(/^tool\s+\S*\s*Stable/im)
      expect(await groups(bootstrap, "--describe", "--group", "tool", "--state")).toMatch(/range\s+Stable\s+1/)
      const described = await groups(bootstrap, "--describe", "--group", "tool")
      expect(
        described.match(new RegExp(`^tool\\s+${topic}\\s+\\d\\s+5\\s+5\\s+0\\s+consumer-tool`, "gm"))
      ).toHaveLength(4)
      const reset = ["--reset-offsets", "--group", "tool", "--topic", topic, "--to-offset", "2", "--execute"]
      expect(await groups(bootstrap, ...reset)).toMatch(/inactive/i)
      expect(await groups(bootstrap, "--delete", "--group", "tool")).toMatch(/not empty/i)
      const remove = ["--delete-offsets", "--group", "tool", "--topic", `${topic}:0`]
      expect(await groups(bootstrap, ...remove)).toMatch(/subscribed/i)
      one.started.child.stdin?.end()
      await until("closed", () => one.lines().at(-1) === "closed", LONG_MS)
      expect(await groups(bootstrap, ...reset)).toMatch(new RegExp(`tool\\s+${topic}\\s+0\\s+2`))
      expect(await groups(bootstrap, ...remove)).toMatch(/Successful/)
      expect(await groups(bootstrap, "--describe", "--group", "tool")).toMatch(/\s1\s+2\s+5\s+3\s/)
      expect(await groups(bootstrap, "--delete", "--group", "tool")).toMatch(/successful/)
      expect(await groups(bootstrap, "--list")).not.toContain("tool")
    },
    4 * LONG_MS
  )

  testWith(
    [tools.kcat],
    `${shards} shard(s): kcat -G shares a topic`,
    async () => {
      const { bootstrap } = await begin(shards)
      const topic = uniqueLevel("k")
      if (broker !== undefined) await produce(broker, topic, 0, 20)
      const kcat = (): Started => {
        const settings = ["-X", "session.timeout.ms=6000", "-X", "auto.offset.reset=earliest", "-u"]
        const started = start(pathOf(tools.kcat), ["-b", bootstrap, ...settings, "-G", "kcat", topic])
        running.add(started)
        return started
      }
      const first = kcat()
      const read = (one: Started): ReadonlyArray<string> => one.stdout().split("\n").slice(0, -1)
      await until("all read", () => read(first).length === 20, LONG_MS)
      const second = kcat()
      const hasTwo = /assigned: \S+ \[\d\], \S+ \[\d\]\s*$/m
      await until("two partitions", () => hasTwo.test(second.stderr()), LONG_MS)
      if (broker !== undefined) await produce(broker, topic, 20, 20)
      await until("the rest", () => read(first).length + read(second).length >= 40, LONG_MS)
      expect([...read(first), ...read(second)].toSorted()).toEqual([...numbers(0, 40)])
    },
    3 * LONG_MS
  )
}

test("there is something to try", () => expect(SHARD_COUNTS.length).toBeGreaterThan(0))
