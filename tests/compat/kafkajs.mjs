/** kafkajs: its producer, and what of administration needs no group; groups have a script of their own. */

import { done, equal, unique } from "./cases.mjs"
import { admin, CODECS, clientCase, producerOf, readAll, refused, useCodecs } from "./kafkajs-clients.mjs"

useCodecs()
await admin.connect()

for (const [name, acks] of [
  ["all", -1],
  ["one", 1]
]) {
  await clientCase(`produce to a new topic, acks = ${name}`, async () => {
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
  })
}

await clientCase("acks = none", async () => {
  const producer = await producerOf()
  const topic = unique("t")
  await producer.send({ topic, messages: [{ value: "first" }] })
  await producer.send({ topic, acks: 0, messages: [{ value: "second" }] })
  for (;;) {
    const [{ high }] = await admin.fetchTopicOffsets(topic)
    if (high === "2") break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
})

for (const [name, compression] of CODECS) {
  await clientCase(`10 batches of 500, ${name}: read as they were written`, async () => {
    const [producer, topic] = [await producerOf(), unique("t")]
    const wanted = Array.from({ length: 5_000 }, (_, index) => `${index} ${"abcdefgh".repeat(10)}`)
    for (let at = 0; at < wanted.length; at += 500) {
      const messages = wanted.slice(at, at + 500).map((value) => ({ key: `k${value.length}`, value }))
      const [{ baseOffset }] = await producer.send({ topic, compression, messages })
      equal(baseOffset, String(at))
    }
    const found = await readAll(topic, wanted.length)
    equal(
      found.map(({ message }) => message.value.toString()),
      wanted
    )
  })
}

await clientCase("key, value, headers, timestamp, null and empty, as they were written", async () => {
  const [producer, topic] = [await producerOf(), unique("t")]
  const timestamp = String(Date.now() - 60_000)
  const bytes = Buffer.from([0, 255, 128, 10])
  const messages = [
    { key: bytes, value: bytes, timestamp, headers: { h: bytes, many: ["2", "3"] } },
    { key: "k", value: null },
    { key: null, value: "" }
  ]
  await producer.send({ topic, messages })
  const found = (await readAll(topic, 3)).map(({ message }) => message)
  const hex = (buffer) => buffer?.toString("hex") ?? null
  equal(
    found.map(({ offset, key, value }) => [offset, hex(key), hex(value)]),
    [
      ["0", "00ff800a", "00ff800a"],
      ["1", "6b", null],
      ["2", null, ""]
    ]
  )
  equal(
    [found[0].timestamp, hex(found[0].headers.h), found[0].headers.many.map(String)],
    [timestamp, "00ff800a", ["2", "3"]]
  )
})

await clientCase("idempotent: two producers, many batches at once, each in order and once", async () => {
  const topic = unique("t")
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  const producers = [await producerOf({ idempotent: true }), await producerOf({ idempotent: true })]
  await Promise.all(
    producers.map(async (producer, which) => {
      for (let batch = 0; batch < 40; batch++) {
        const messages = [0, 1, 2].map((partition) => ({ partition, value: `${which} ${batch}` }))
        await producer.send({ topic, messages })
      }
    })
  )
  const found = await readAll(topic, 240)
  for (const partition of [0, 1, 2]) {
    for (const which of [0, 1]) {
      const mine = found
        .filter((each) => each.partition === partition)
        .map(({ message }) => message.value.toString())
        .filter((value) => value.startsWith(`${which} `))
      equal(
        mine,
        Array.from({ length: 40 }, (_, batch) => `${which} ${batch}`),
        `partition ${partition}, producer ${which}`
      )
    }
  }
})

await clientCase("a transaction is refused, at once", async () => {
  const producer = await producerOf({ transactionalId: unique("tx"), maxInFlightRequests: 1, idempotent: true })
  const start = performance.now()
  // It does not tell of the broker's error, which is one that it gives up after.
  const error = await producer.transaction().catch((reason) => reason)
  equal(error?.name, "KafkaJSGroupCoordinatorNotFound")
  equal(performance.now() - start < 2_000, true, "at once")
})

await clientCase("several topics in one batch, at once from several producers", async () => {
  const topics = [unique("t"), unique("t"), unique("t")]
  const producers = await Promise.all([producerOf(), producerOf(), producerOf()])
  const topicMessages = topics.map((topic) => ({ topic, messages: [{ value: "a" }, { value: "b" }] }))
  await Promise.all(producers.map((producer) => producer.sendBatch({ topicMessages })))
  for (const topic of topics) equal((await admin.fetchTopicOffsets(topic))[0].high, "6")
})

await clientCase("a message of 500 KB", async () => {
  const producer = await producerOf()
  const topic = unique("t")
  await producer.send({ topic, messages: [{ value: Buffer.alloc(500_000, 1) }] })
  equal((await admin.fetchTopicOffsets(topic))[0].high, "1")
})

await clientCase("admin: cluster, topics, metadata, offsets by time", async () => {
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
})

await clientCase("a topic name that is none is refused", async () => {
  const producer = await producerOf({ retry: { retries: 0 } })
  await refused(producer.send({ topic: "no/such name", messages: [{ value: "x" }] }), "INVALID_TOPIC_EXCEPTION")
})

await clientCase("a message above max.message.bytes is refused", async () => {
  const [producer, topic] = [await producerOf({ retry: { retries: 0 } }), unique("t")]
  await refused(producer.send({ topic, messages: [{ value: Buffer.alloc(1_100_000) }] }), "MESSAGE_TOO_LARGE")
  await producer.send({ topic, messages: [{ value: "after" }] })
  equal((await admin.fetchTopicOffsets(topic))[0].high, "1")
})

await admin.disconnect()
done()
