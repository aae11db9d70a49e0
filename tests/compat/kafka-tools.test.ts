/**
 * Apache Kafka's own console tools, by their main classes, against the broker: what they print is what their users expect.
 *
 * On demand, where KAFKA_LIBS or the benchmark's own folder has the jars of Apache Kafka (org.apache.kafka:kafka_2.13 and kafka-tools with all
 * that they need). Each call starts a Java machine, so it takes some minutes.
 */
import { afterAll, expect } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kafkaLibraries } from "../../bench/brokers/kafka/libraries.ts"
import { brokerSuite } from "../support/broker.ts"
import { pathOf, run, testWith, tools } from "../support/tools.ts"
import { kafkaJava } from "./builds.ts"

const TEST_MS_MAX = 900_000
const directory = mkdtempSync(join(tmpdir(), "manifold-tools-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const java = kafkaJava()

brokerSuite("Kafka's console tools", { config: "[topics]\nauto_create = false\n" }, (broker) => {
  /** What a tool prints, without the warnings of its logging. */
  async function tool(main: string, ...args: ReadonlyArray<string>): Promise<string> {
    const options = ["-XX:TieredStopAtLevel=1", "-Xmx160m", "-cp", join(kafkaLibraries() ?? "", "*")]
    const all = [...options, main, ...args, "--bootstrap-server", broker().bootstrap]
    const { stdout, stderr } = await run(pathOf(java), all, { timeoutMs: 120_000 })
    return `${stdout}\n${stderr}`
      .split("\n")
      .filter((line) => !/SLF4J|StatusLogger/.test(line))
      .join("\n")
      .trim()
  }
  const topics = (...args: ReadonlyArray<string>) => tool("org.apache.kafka.tools.TopicCommand", ...args)
  const configs = (...args: ReadonlyArray<string>) => tool("kafka.admin.ConfigCommand", ...args)
  const offsets = (...args: ReadonlyArray<string>) => tool("org.apache.kafka.tools.GetOffsetShell", ...args)

  testWith(
    [java, tools.kcat],
    "TopicCommand, GetOffsetShell, DeleteRecordsCommand, LogDirsCommand, LeaderElectionCommand",
    async () => {
      const wish = ["--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=3600000"]
      expect(await topics("--create", "--topic", "one", ...wish)).toBe("Created topic one.")
      expect(await topics("--create", "--topic", "one")).toContain("there is a topic")
      expect(await topics("--create", "--topic", "two", "--replication-factor", "3")).toContain(
        "the replication factor is 1, not 3"
      )
      expect(await topics("--list")).toBe("one")
      const described = await topics("--describe", "--topic", "one")
      expect(described).toMatch(
        /^Topic: one\tTopicId: \S{22}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: retention\.ms=3600000$/m
      )
      expect(described).toMatch(/\tTopic: one\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1/)
      expect(await topics("--alter", "--topic", "one", "--partitions", "3")).toBe("")
      expect(await topics("--alter", "--topic", "one", "--partitions", "2")).toContain("there is no way back")
      expect((await topics("--describe", "--topic", "one")).match(/Partition: /g)).toHaveLength(3)
      const input = "a\nb\nc\nd\ne\n"
      const produced = await run(pathOf(tools.kcat), ["-b", broker().bootstrap, "-P", "-t", "one", "-p", "0"], {
        input
      })
      expect(produced.code).toBe(0)
      expect(await offsets("--topic", "one")).toBe("one:0:5\none:1:0\none:2:0")
      const file = join(directory, "offsets.json")
      writeFileSync(file, '{"partitions":[{"topic":"one","partition":0,"offset":3}],"version":1}')
      const deleted = await tool("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file)
      expect(deleted).toContain("partition: one-0\tlow_watermark: 3")
      expect(await offsets("--topic", "one", "--time", "earliest")).toBe("one:0:3\none:1:0\none:2:0")
      const directories = await tool("org.apache.kafka.tools.LogDirsCommand", "--describe", "--topic-list", "one")
      const { brokers } = JSON.parse(directories.slice(directories.indexOf("{")))
      expect(brokers[0].logDirs[0].error).toBe(null)
      expect(brokers[0].logDirs[0].partitions).toHaveLength(3)
      const election = ["--election-type", "preferred", "--topic", "one", "--partition", "0"]
      expect(await tool("org.apache.kafka.tools.LeaderElectionCommand", ...election)).toContain("already elected")
      const listed = await run(pathOf(tools.kcat), ["-b", broker().bootstrap, "-L"], {})
      expect(listed.stdout).toContain('topic "one" with 3 partitions:')
      expect(await topics("--delete", "--topic", "one")).toBe("")
      expect(await topics("--list")).toBe("")
    },
    TEST_MS_MAX
  )

  testWith(
    [java],
    "ConfigCommand: topics, brokers, quotas; ClusterTool",
    async () => {
      await topics("--create", "--topic", "three")
      const named = ["--entity-type", "topics", "--entity-name", "three"]
      expect(
        await configs("--alter", ...named, "--add-config", "cleanup.policy=[compact,delete],segment.ms=60000")
      ).toBe("Completed updating config for topic three.")
      expect(await configs("--describe", ...named)).toBe(
        [
          "Dynamic configs for topic three are:",
          "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}",
          "  segment.ms=60000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.ms=60000, DEFAULT_CONFIG:log.roll.ms=604800000}"
        ].join("\n")
      )
      await configs("--alter", ...named, "--delete-config", "segment.ms")
      const all = await configs("--describe", ...named, "--all")
      expect(all.split("\n")).toHaveLength(34)
      expect(all).toContain("  segment.ms=604800000 sensitive=false synonyms={DEFAULT_CONFIG:log.roll.ms=604800000}")
      expect(await configs("--alter", ...named, "--add-config", "segment.ms=0")).toContain(
        "InvalidConfigurationException"
      )
      const node = ["--entity-type", "brokers", "--entity-name", "1"]
      const broker = await configs("--describe", ...node, "--all")
      expect(broker).toContain("  auto.create.topics.enable=false sensitive=false synonyms={STATIC_BROKER_CONFIG:")
      expect(await configs("--alter", ...node, "--add-config", "log.retention.ms=5")).toContain(
        "InvalidRequestException"
      )
      const client = ["--entity-type", "clients", "--entity-name", "c"]
      const rates = "producer_byte_rate=1024,consumer_byte_rate=2048"
      expect(await configs("--alter", ...client, "--add-config", rates)).toBe("Completed updating config for client c.")
      expect(await configs("--describe", ...client)).toBe(
        "Quota configs for client-id 'c' are consumer_byte_rate=2048.0, producer_byte_rate=1024.0"
      )
      await configs("--alter", "--entity-type", "users", "--entity-default", "--add-config", "request_percentage=50")
      const users = await configs("--describe", "--entity-type", "users")
      expect(users).toContain("Quota configs for the default user-principal are request_percentage=50.0")
      await configs("--alter", ...client, "--delete-config", "producer_byte_rate,consumer_byte_rate")
      expect(await configs("--describe", ...client)).toBe("")
      const address = ["--entity-type", "ips", "--entity-name", "1.2.3.4", "--add-config", "connection_creation_rate=5"]
      expect(await configs("--alter", ...address)).toContain("InvalidRequestException")
      await topics("--delete", "--topic", "three")
      expect(await tool("org.apache.kafka.tools.ClusterTool", "cluster-id")).toMatch(/^Cluster ID: \S+$/)
      expect(await tool("org.apache.kafka.tools.ClusterTool", "list-endpoints")).toMatch(/^1 .* unfenced +broker *$/m)
    },
    TEST_MS_MAX
  )
})
