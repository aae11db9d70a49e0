/** kafkajs: administration of topics, configurations, records, groups and their offsets. */
import kafkajs from "kafkajs"
import { done, equal, unique } from "./cases.mjs"
import { admin, clientCase, consumerOf, producerOf, refused, until } from "./kafkajs-clients.mjs"

const { ConfigResourceTypes, ConfigSource } = kafkajs
await admin.connect()

/** A topic with `count` records in its partition 0. */
async function topicWith(count, numPartitions = 1) {
  const topic = unique("t")
  await admin.createTopics({ topics: [{ topic, numPartitions }] })
  const producer = await producerOf()
  // A batch each: records are deleted by whole batches.
  for (let index = 0; index < count; index++) {
    await producer.send({ topic, messages: [{ partition: 0, value: String(index) }] })
  }
  return topic
}
const partitionsOf = async (topic) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length

await clientCase("topics: create, list, add partitions, delete", async () => {
  const topic = unique("t")
  equal(await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic }] }), true)
  equal((await admin.listTopics()).includes(topic), false, "only validated")
  equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), true)
  equal(await admin.createTopics({ topics: [{ topic }] }), false, "it is there")
  equal([(await admin.listTopics()).includes(topic), await partitionsOf(topic)], [true, 2])
  await refused(
    admin.createTopics({ topics: [{ topic: unique("t"), replicationFactor: 3 }] }),
    "INVALID_REPLICATION_FACTOR"
  )
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  equal(await partitionsOf(topic), 5)
  await refused(admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }), "INVALID_PARTITIONS")
  await admin.deleteTopics({ topics: [topic] })
  equal((await admin.listTopics()).includes(topic), false)
  await refused(admin.deleteTopics({ topics: [topic] }), "UNKNOWN_TOPIC_OR_PARTITION")
})

await clientCase("configurations: describe, alter, refuse", async () => {
  const name = unique("t")
  await admin.createTopics({ topics: [{ topic: name, configEntries: [{ name: "retention.ms", value: "3600000" }] }] })
  const type = ConfigResourceTypes.TOPIC
  const configOf = async (configName) => {
    const { resources } = await admin.describeConfigs({
      resources: [{ type, name, configNames: [configName] }],
      includeSynonyms: true
    })
    const [{ configValue, configSource, configSynonyms }] = resources[0].configEntries
    return [configValue, configSource, configSynonyms.length]
  }
  equal(await configOf("retention.ms"), ["3600000", ConfigSource.TOPIC_CONFIG, 2])
  const alter = (configEntries, validateOnly = false) =>
    admin.alterConfigs({ validateOnly, resources: [{ type, name, configEntries }] })
  await alter([{ name: "cleanup.policy", value: "compact" }], true)
  equal((await configOf("cleanup.policy"))[0], "delete", "only validated")
  await alter([{ name: "cleanup.policy", value: "compact" }])
  equal(await configOf("cleanup.policy"), ["compact", ConfigSource.TOPIC_CONFIG, 2])
  equal(await configOf("retention.ms"), ["604800000", ConfigSource.DEFAULT_CONFIG, 1], "all were replaced")
  await refused(alter([{ name: "cleanup.policy", value: "forget" }]), "INVALID_CONFIG")
  const { controller } = await admin.describeCluster()
  const broker = [{ type: ConfigResourceTypes.BROKER, name: String(controller) }]
  const { resources } = await admin.describeConfigs({ resources: broker, includeSynonyms: false })
  const node = resources[0].configEntries.find(({ configName }) => configName === "node.id")
  equal([node.configValue, node.readOnly], [String(controller), true])
})

await clientCase("records: delete up to an offset, up to the end", async () => {
  const topic = await topicWith(10)
  const bounds = async () => {
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    return [low, high]
  }
  equal(await bounds(), ["0", "10"])
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] })
  equal(await bounds(), ["6", "10"])
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "-1" }] })
  equal(await bounds(), ["10", "10"])
})

/** Each time that kafkajs sets offsets it joins, and waits for five seconds. */
await clientCase(
  "offsets of a group: set, fetch, reset; the group: list, describe, delete",
  async () => {
    const [topic, group] = [await topicWith(10, 2), unique("g")]
    const offsets = async () => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      return partitions.toSorted((one, other) => one.partition - other.partition).map(({ offset }) => offset)
    }
    const read = async (count) => {
      const consumer = await consumerOf(group)
      await consumer.subscribe({ topics: [topic] })
      const found = []
      await consumer.run({ eachMessage: async ({ message }) => void found.push(message.value.toString()) })
      await until(`${count} records`, () => found.length >= count)
      return [consumer, found]
    }
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "7" }] })
    equal(await offsets(), ["7", "-1"])
    const [consumer, found] = await read(3)
    equal(found, ["7", "8", "9"])
    equal(
      (await admin.listGroups()).groups.some(
        ({ groupId, protocolType }) => groupId === group && protocolType === "consumer"
      ),
      true
    )
    const described = async () => (await admin.describeGroups([group])).groups[0]
    const { state, members, protocol } = await described()
    equal([state, members.length, members[0].clientId, protocol], ["Stable", 1, "compat", "RoundRobinAssigner"])
    await refused(admin.deleteGroups([group]), "NON_EMPTY_GROUP")
    await consumer.disconnect()
    await until("nobody", async () => (await described()).state === "Empty")
    equal(await offsets(), ["10", "-1"])
    await admin.resetOffsets({ groupId: group, topic, earliest: true })
    // Its way of saying "from the beginning": a committed offset of -2.
    equal(await offsets(), ["-2", "-2"])
    await admin.deleteGroups([group])
    equal(
      (await admin.listGroups()).groups.some(({ groupId }) => groupId === group),
      false
    )
    await refused(admin.deleteGroups([group]), "GROUP_ID_NOT_FOUND")
  },
  25_000
)

await clientCase(
  "several groups at once: describe, delete; one that is none",
  async () => {
    const [topic, ...groups] = [await topicWith(1), unique("g"), unique("g")]
    const partitions = [{ partition: 0, offset: "1" }]
    await Promise.all(groups.map((groupId) => admin.setOffsets({ groupId, topic, partitions })))
    const none = unique("none")
    const described = (await admin.describeGroups([...groups, none])).groups
    equal(
      described.map(({ groupId, state }) => [groupId, state]).toSorted(),
      [...groups.map((group) => [group, "Empty"]), [none, "Dead"]].toSorted()
    )
    const results = await admin.deleteGroups(groups)
    equal(
      results.map(({ errorCode }) => errorCode),
      [0, 0]
    )
  },
  20_000
)

await clientCase("no reassignment is under way, and none of access control lists", async () => {
  equal((await admin.listPartitionReassignments({})).topics, [])
  const filter = { resourceType: 1, resourcePatternType: 1, operation: 1, permissionType: 1 }
  const error = await admin.describeAcls(filter).catch((reason) => reason)
  equal(error?.name, "KafkaJSServerDoesNotSupportApiKey")
})

await admin.disconnect()
done()
