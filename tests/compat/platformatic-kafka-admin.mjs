/** @platformatic/kafka: administration of topics, configurations, offsets, groups, quotas. */
import { done, equal, unique } from "./cases.mjs"
import {
  adminOf,
  clientCase,
  closed,
  consumerOf,
  errorsOf,
  producerOf,
  refused,
  take,
  until
} from "./platformatic-kafka-clients.mjs"

const TOPIC = 2
const BROKER = 4
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3]
const upTo = (count) => Array.from({ length: count }, (_, index) => String(index))
const producedTo = async (topic, count) =>
  producerOf().send({ messages: upTo(count).map((value) => ({ topic, partition: 0, value })) })

await clientCase("topics: create, list, describe, add partitions, delete", async () => {
  const [admin, topic] = [adminOf(), unique("t")]
  const configs = [{ name: "retention.ms", value: "3600000" }]
  const [created] = await admin.createTopics({ topics: [topic], partitions: 3, configs })
  equal(
    [created.name, created.partitions, created.replicas, created.configuration["retention.ms"]],
    [topic, 3, 1, "3600000"]
  )
  equal((await admin.listTopics()).includes(topic), true)
  await refused(admin.createTopics({ topics: [topic] }), "TOPIC_ALREADY_EXISTS")
  await refused(admin.createTopics({ topics: ["no/name"] }), "INVALID_TOPIC_EXCEPTION")
  await refused(admin.createTopics({ topics: [unique("t")], replicas: 2 }), "INVALID_REPLICATION_FACTOR")
  const described = async () => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
  equal([(await described()).id, (await described()).partitionsCount], [created.id, 3])
  await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }], validateOnly: true })
  equal((await described()).partitionsCount, 3, "only validated")
  await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }] })
  equal((await described()).partitionsCount, 5)
  await refused(
    admin.createPartitions({ topics: [{ name: topic, count: 4, assignments: null }] }),
    "INVALID_PARTITIONS"
  )
  await admin.deleteTopics({ topics: [topic] })
  equal((await admin.listTopics()).includes(topic), false)
  await refused(admin.deleteTopics({ topics: [topic] }), "UNKNOWN_TOPIC_OR_PARTITION")
})

await clientCase("configurations: of a topic, altered as a whole and one by one, refused, of the broker", async () => {
  const [admin, topic] = [adminOf(), unique("t")]
  await admin.createTopics({ topics: [topic], configs: [{ name: "retention.ms", value: "3600000" }] })
  const resource = { resourceType: TOPIC, resourceName: topic }
  const configOf = async (name) => {
    const [{ configs }] = await admin.describeConfigs({
      resources: [{ ...resource, configurationKeys: [name] }],
      includeSynonyms: true
    })
    equal(configs.length, 1, "only what was asked for")
    return [configs[0].value, configs[0].configSource, configs[0].synonyms.length]
  }
  equal(await configOf("retention.ms"), ["3600000", 1, 2])
  equal(await configOf("segment.jitter.ms"), ["0", 5, 1])
  const alter = (configs, validateOnly = false) =>
    admin.incrementalAlterConfigs({ resources: [{ ...resource, configs }], validateOnly })
  await alter([{ name: "retention.ms", configOperation: SET, value: "7200000" }], true)
  equal((await configOf("retention.ms"))[0], "3600000", "only validated")
  await alter([
    { name: "retention.ms", configOperation: SET, value: "7200000" },
    { name: "cleanup.policy", configOperation: APPEND, value: "compact" }
  ])
  equal([(await configOf("retention.ms"))[0], (await configOf("cleanup.policy"))[0]], ["7200000", "delete,compact"])
  await alter([
    { name: "retention.ms", configOperation: DELETE },
    { name: "cleanup.policy", configOperation: SUBTRACT, value: "delete" }
  ])
  equal([(await configOf("retention.ms"))[0], (await configOf("cleanup.policy"))[0]], ["604800000", "compact"])
  await admin.alterConfigs({ resources: [{ ...resource, configs: [{ name: "segment.bytes", value: "2097152" }] }] })
  equal(
    [(await configOf("segment.bytes"))[0], (await configOf("cleanup.policy"))[0]],
    ["2097152", "delete"],
    "replaced"
  )
  await refused(alter([{ name: "retention.ms", configOperation: SET, value: "soon" }]), "INVALID_CONFIG")
  await refused(alter([{ name: "no.such", configOperation: SET, value: "1" }]), "INVALID_CONFIG")
  const [{ nodeId }] = await admin.findCoordinator({ keyType: 0, keys: ["g"] })
  const [{ configs }] = await admin.describeConfigs({
    resources: [{ resourceType: BROKER, resourceName: String(nodeId) }]
  })
  equal(configs.find(({ name }) => name === "node.id").value, String(nodeId))
})

await clientCase("offsets and records: list, delete up to an offset", async () => {
  const [admin, topic] = [adminOf(), unique("t")]
  await admin.createTopics({ topics: [topic], partitions: 2 })
  for (let batch = 0; batch < 5; batch++) await producedTo(topic, 2)
  const at = async (timestamp) => {
    const [found] = await admin.listOffsets({
      topics: [{ name: topic, partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, timestamp })) }]
    })
    return found.partitions.map(({ offset }) => String(offset))
  }
  equal(
    [await at(-2n), await at(-1n)],
    [
      ["0", "0"],
      ["10", "0"]
    ]
  )
  const deleteTo = (offset) =>
    admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset }] }] })
  equal(String((await deleteTo(6n))[0].partitions[0].lowWatermark), "6")
  equal(await at(-2n), ["6", "0"])
  await refused(deleteTo(11n), "OFFSET_OUT_OF_RANGE")
  equal(String((await deleteTo(-1n))[0].partitions[0].lowWatermark), "10")
  equal(
    [await at(-2n), await at(-1n)],
    [
      ["10", "0"],
      ["10", "0"]
    ]
  )
})

await clientCase("offsets of a group: alter, list, delete; the group: find, describe, delete", async () => {
  const [admin, topic, group] = [adminOf(), unique("t"), unique("g")]
  await admin.createTopics({ topics: [topic], partitions: 2 })
  await producedTo(topic, 10)
  const partitionOffsets = [
    { partition: 0, offset: 7n },
    { partition: 1, offset: 0n }
  ]
  await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] })
  const offsets = async () => {
    const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
    const flat = found.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, committedOffset }) => `${name} ${partitionIndex} ${committedOffset}`)
    )
    return flat.toSorted()
  }
  equal(await offsets(), [`${topic} 0 7`, `${topic} 1 0`])
  const consumer = consumerOf(group)
  const stream = await consumer.consume({ topics: [topic], mode: "committed", fallbackMode: "fail", autocommit: false })
  equal(
    (await take(stream, 3)).map(({ value }) => value),
    ["7", "8", "9"]
  )
  await refused(admin.deleteGroups({ groups: [group] }), "NON_EMPTY_GROUP")
  await closed(consumer)
  await until("the group is empty", async () => (await admin.listGroups()).get(group)?.state === "Empty")
  await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionIndexes: [1] }] })
  equal(await offsets(), [`${topic} 0 7`])
  const [found] = await admin.findCoordinator({ keyType: 0, keys: [group] })
  equal([found.key, `${found.host}:${found.port}`], [group, process.env.MANIFOLD_KAFKA])
  await admin.deleteGroups({ groups: [group] })
  equal((await admin.listGroups()).has(group), false)
  await refused(admin.deleteGroups({ groups: [group] }), "GROUP_ID_NOT_FOUND")
})

await clientCase("quotas of clients: set, describe, remove", async () => {
  const [admin, name] = [adminOf(), unique("client")]
  const entities = [{ entityType: "client-id", entityName: name }]
  const described = async () => {
    const entries = await admin.describeClientQuotas({
      components: [{ entityType: "client-id", matchType: 0, match: name }],
      strict: true
    })
    return (entries ?? []).flatMap(({ values }) => values.map(({ key, value }) => [key, value]))
  }
  const set = (ops) => admin.alterClientQuotas({ entries: [{ entities, ops }] })
  await set([{ key: "producer_byte_rate", value: 1_000_000, remove: false }])
  equal(await described(), [["producer_byte_rate", 1_000_000]])
  await set([{ key: "producer_byte_rate", remove: true }])
  equal(await described(), [])
})

await clientCase("log directories: each partition and its bytes", async () => {
  const [admin, topic] = [adminOf(), unique("t")]
  await admin.createTopics({ topics: [topic], partitions: 2 })
  await producedTo(topic, 100)
  const [{ results }] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0, 1] }] })
  const partitions = results[0].topics.find(({ name }) => name === topic).partitions
  equal(partitions.map(({ partitionIndex, partitionSize }) => [partitionIndex, partitionSize > 100n]).toSorted(), [
    [0, true],
    [1, false]
  ])
})

await clientCase("access control lists are not offered, and the client says so", async () => {
  const filter = { resourceType: 1, resourceName: null, resourcePatternType: 1, principal: null, host: null }
  const asked = adminOf().describeAcls({ filter: { ...filter, operation: 1, permissionType: 1 } })
  equal(await errorsOf(asked), ["PLT_KFK_UNSUPPORTED_API"])
})

done()
