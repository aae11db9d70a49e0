/** kafkajs under Node: its producer and the admin calls that need no controller work. Its consumer always joins a group: later. */
import kafkajs from "kafkajs"
import { done, equal, testCase, unique } from "./cases.mjs"

const { CompressionTypes, Kafka, logLevel, Partitioners } = kafkajs
const kafka = new Kafka({
  brokers: [process.env.MANIFOLD_KAFKA],
  clientId: "compat",
  logLevel: logLevel.NOTHING,
  retry: { retries: 3 }
})
const producerOf = async (options = {}) => {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  return producer
}
const admin = kafka.admin()
await admin.connect()

for (const [name, acks] of [
  ["all", -1],
  ["one", 1]
]) {
  await testCase(`produce to a new topic, acks = ${name}`, async () => {
    const producer = await producerOf()
    const topic = unique("t")
    const [answer] = await producer.send({
      topic,
      acks,
      messages: [{ key: "k", value: "v", headers: { h: "1", many: ["2", "3"] } }]
    })
    equal([answer.errorCode, answer.partition, answer.baseOffset], [0, 0, "0"])
    const [next] = await producer.send({ topic, acks, messages: [{ value: null }, { value: "" }] })
    equal(next.baseOffset, "1")
    await producer.disconnect()
  })
}

await testCase("acks = none", async () => {
  const producer = await producerOf()
  const topic = unique("t")
  await producer.send({ topic, messages: [{ value: "first" }] })
  await producer.send({ topic, acks: 0, messages: [{ value: "second" }] })
  for (;;) {
    const [{ high }] = await admin.fetchTopicOffsets(topic)
    if (high === "2") break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await producer.disconnect()
})

for (const [name, compression] of Object.entries({ none: CompressionTypes.None, gzip: CompressionTypes.GZIP })) {
  await testCase(`20 batches of 500, ${name}`, async () => {
    const producer = await producerOf()
    const topic = unique("t")
    for (let index = 0; index < 20; index++) {
      const messages = Array.from({ length: 500 }, (_, each) => ({ key: `k${each % 7}`, value: `${index}-${each}` }))
      await producer.send({ topic, compression, messages })
    }
    const [{ high, low }] = await admin.fetchTopicOffsets(topic)
    equal([low, high], ["0", "10000"])
    await producer.disconnect()
  })
}

await testCase("several topics in one batch, at once from several producers", async () => {
  const topics = [unique("t"), unique("t"), unique("t")]
  const producers = await Promise.all([producerOf(), producerOf(), producerOf()])
  const topicMessages = topics.map((topic) => ({ topic, messages: [{ value: "a" }, { value: "b" }] }))
  await Promise.all(producers.map((producer) => producer.sendBatch({ topicMessages })))
  for (const topic of topics) equal((await admin.fetchTopicOffsets(topic))[0].high, "6")
  await Promise.all(producers.map((producer) => producer.disconnect()))
})

await testCase("a message of 500 KB", async () => {
  const producer = await producerOf()
  const topic = unique("t")
  await producer.send({ topic, messages: [{ value: Buffer.alloc(500_000, 1) }] })
  equal((await admin.fetchTopicOffsets(topic))[0].high, "1")
  await producer.disconnect()
})

await testCase("admin: cluster, topics, metadata, offsets by time", async () => {
  const producer = await producerOf()
  const topic = unique("t")
  const first = Date.now() - 60_000
  const second = first + 1_000
  await producer.send({ topic, messages: [{ value: "a", timestamp: String(first) }] })
  await producer.send({ topic, messages: [{ value: "b", timestamp: String(second) }] })
  const { brokers, controller } = await admin.describeCluster()
  equal(
    [brokers.length, `${brokers[0].host}:${brokers[0].port}`, controller],
    [1, process.env.MANIFOLD_KAFKA, brokers[0].nodeId]
  )
  equal((await admin.listTopics()).includes(topic), true)
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  equal(
    metadata.topics[0].partitions.map((each) => [each.partitionId, each.leader]),
    [[0, brokers[0].nodeId]]
  )
  equal((await admin.fetchTopicOffsetsByTimestamp(topic, first + 1))[0].offset, "1")
  await producer.disconnect()
})

await testCase("a topic name that is none is refused", async () => {
  const producer = await producerOf({ retry: { retries: 0 } })
  const error = await producer.send({ topic: "no/such name", messages: [{ value: "x" }] }).then(
    () => undefined,
    (reason) => reason
  )
  equal(error?.type ?? error?.cause?.type, "INVALID_TOPIC_EXCEPTION")
  await producer.disconnect()
})

await admin.disconnect()
done()
