/** @platformatic/kafka: its producer, and readers that are given their offsets; groups and administration have scripts of their own. */
import { murmur2, stringDeserializers } from "@platformatic/kafka"
import { done, equal, unique } from "./cases.mjs"
import {
  adminOf,
  clientCase,
  consumerOf,
  fails,
  producerOf,
  readAll,
  refused,
  take,
  until
} from "./platformatic-kafka-clients.mjs"

const value = ({ value }) => value
const buffers = { deserializers: {} }
const upTo = (count) => Array.from({ length: count }, (_, index) => String(index))

for (const [name, acks] of [
  ["all", -1],
  ["one", 1]
]) {
  await clientCase(`acks = ${name}: key, value, headers, timestamp, null and empty`, async () => {
    const [producer, topic] = [producerOf({ serializers: {} }), unique("t")]
    const timestamp = BigInt(Date.now() - 60_000)
    const bytes = Buffer.from([0, 255, 128, 10])
    const messages = [
      { topic, key: bytes, value: bytes, timestamp, headers: new Map([[Buffer.from("h"), bytes]]) },
      { topic, key: Buffer.from("k") },
      { topic, key: Buffer.alloc(0), value: Buffer.alloc(0) },
      { topic, value: Buffer.from("no key") }
    ]
    const { offsets } = await producer.send({ acks, messages: messages.map((each) => ({ ...each, partition: 0 })) })
    equal(
      offsets.map((each) => [each.topic, each.partition, String(each.offset)]),
      [[topic, 0, "0"]]
    )
    const found = await readAll(topic, 4, unique("g"), buffers)
    const hex = (buffer) => buffer?.toString("hex") ?? null
    equal(
      found.map((each) => [String(each.offset), hex(each.key), hex(each.value)]),
      [
        ["0", "00ff800a", "00ff800a"],
        ["1", "6b", null],
        ["2", "", ""],
        ["3", null, hex(Buffer.from("no key"))]
      ]
    )
    equal(String(found[0].timestamp), String(timestamp), "timestamp")
    equal(
      [...found[0].headers].map(([key, each]) => [key.toString(), hex(each)]),
      [["h", "00ff800a"]],
      "headers"
    )
  })
}

await clientCase("acks = none", async () => {
  const [producer, admin, topic] = [producerOf(), adminOf(), unique("t")]
  await admin.createTopics({ topics: [topic] })
  for (const each of upTo(10)) await producer.send({ acks: 0, messages: [{ topic, value: each }] })
  equal((await readAll(topic, 10, unique("g"))).map(value), upTo(10))
})

for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"]) {
  await clientCase(`10 batches of 300, ${compression}`, async () => {
    const [producer, topic] = [producerOf(), unique("t")]
    const wanted = upTo(3_000).map((each) => `${each} ${"abcdefgh".repeat(10)}`)
    for (let at = 0; at < wanted.length; at += 300) {
      const messages = wanted.slice(at, at + 300).map((each) => ({ topic, value: each }))
      const { offsets } = await producer.send({ compression, messages })
      equal(String(offsets[0].offset), String(at), "base offset")
    }
    equal((await readAll(topic, wanted.length, unique("g"))).map(value), wanted)
  })
}

await clientCase("idempotent: its own id, sequences in order, many batches at once", async () => {
  const [one, other, topic] = [producerOf({ idempotent: true }), producerOf({ idempotent: true }), unique("t")]
  await adminOf().createTopics({ topics: [topic], partitions: 4 })
  const ids = await Promise.all([one, other].map((each) => each.initIdempotentProducer({})))
  equal(new Set(ids.map(({ producerId }) => producerId)).size, 2, "ids")
  for (let batch = 0; batch < 50; batch++) {
    await Promise.all(
      [one, other].map((producer, which) => {
        const messages = [0, 1, 2, 3].map((partition) => ({ topic, partition, value: `${which} ${batch}` }))
        return producer.send({ messages })
      })
    )
  }
  const found = await readAll(topic, 400, unique("g"))
  for (const partition of [0, 1, 2, 3]) {
    for (const which of ["0", "1"]) {
      const mine = found.filter((each) => each.partition === partition && each.value.startsWith(`${which} `))
      equal(
        mine.map((each) => each.value.split(" ")[1]),
        upTo(50),
        `partition ${partition}, producer ${which}`
      )
    }
  }
})

await clientCase("12 partitions: keys go where Kafka's hash says, in order of each key", async () => {
  const [producer, topic] = [producerOf(), unique("t")]
  await adminOf().createTopics({ topics: [topic], partitions: 12 })
  for (let round = 0; round < 10; round++) {
    const messages = upTo(100).map((key) => ({ topic, key, value: `${key} ${round}` }))
    await producer.send({ messages })
  }
  const found = await readAll(topic, 1_000, unique("g"))
  equal(new Set(found.map(({ partition }) => partition)).size, 12, "partitions")
  for (const key of upTo(100)) {
    const mine = found.filter((each) => each.key === key)
    equal(
      mine.map(({ value }) => value),
      upTo(10).map((round) => `${key} ${round}`)
    )
    equal([...new Set(mine.map(({ partition }) => partition))], [(murmur2(Buffer.from(key)) >>> 0) % 12], "partition")
  }
})

await clientCase("a value of 900 KB; one above max.message.bytes is refused and nothing of it stored", async () => {
  const [producer, topic] = [producerOf({ retries: 0 }), unique("t")]
  const large = "0123456789".repeat(90_000)
  await producer.send({ messages: [{ topic, value: large }] })
  await refused(producer.send({ messages: [{ topic, value: large + large }] }), "MESSAGE_TOO_LARGE")
  await producer.send({ messages: [{ topic, value: "after" }] })
  const found = await readAll(topic, 2, unique("g"))
  equal(
    found.map((each) => [String(each.offset), each.value === large ? "large" : each.value]),
    [
      ["0", "large"],
      ["1", "after"]
    ]
  )
})

await clientCase("a stream of 5,000 messages", async () => {
  const [producer, topic] = [producerOf(), unique("t")]
  const stream = producer.asStream({ batchSize: 250, batchTime: 50 })
  for (const each of upTo(5_000)) stream.write({ topic, value: each })
  await stream.close()
  equal((await readAll(topic, 5_000, unique("g"))).map(value), upTo(5_000))
})

await clientCase("offsets: earliest, latest, largest time, by time; a stream from them; lag", async () => {
  const [producer, topic] = [producerOf(), unique("t")]
  const start = BigInt(Date.now() - 60_000)
  for (const each of upTo(6)) {
    await producer.send({ messages: [{ topic, value: each, timestamp: start + BigInt(each) * 1000n }] })
  }
  const consumer = consumerOf(unique("g"), { deserializers: stringDeserializers })
  const at = async (timestamp) => String((await consumer.listOffsets({ topics: [topic], timestamp })).get(topic)[0])
  equal([await at(-2n), await at(-1n), await at(-3n), await at(start + 2_500n)], ["0", "6", "5", "3"])
  const withTimes = await consumer.listOffsetsWithTimestamps({ topics: [topic], timestamp: start + 2_500n })
  equal(String(withTimes.get(topic).get(0).timestamp), String(start + 3_000n), "time of the offset")
  await consumer.joinGroup()
  const stream = await consumer.consume({
    topics: [topic],
    mode: "manual",
    autocommit: false,
    offsets: [{ topic, partition: 0, offset: 3n }]
  })
  equal((await take(stream, 3)).map(value), ["3", "4", "5"])
  await consumer.commit({ offsets: [{ topic, partition: 0, offset: 4n, leaderEpoch: -1 }] })
  equal((await consumer.getLag({ topics: [topic] })).get(topic).map(String), ["2"], "lag")
})

await clientCase("a fetch session tells of what changed, and forgets what is no longer asked for", async () => {
  const [producer, admin, topic] = [producerOf(), adminOf(), unique("t")]
  const [{ id }] = await admin.createTopics({ topics: [topic], partitions: 5 })
  const { brokers } = await admin.metadata({ topics: [topic] })
  const [node] = brokers.keys()
  const consumer = consumerOf(unique("g"))
  const ask = async (partitions) => {
    const { sessionId, responses } = await consumer.fetch({
      node,
      maxWaitTime: 300,
      topics: [
        {
          topicId: id,
          partitions: partitions.map((partition) => ({
            partition,
            currentLeaderEpoch: -1,
            fetchOffset: 0n,
            lastFetchedEpoch: -1,
            partitionMaxBytes: 1_000_000
          }))
        }
      ]
    })
    const told = responses.flatMap((each) => each.partitions.map(({ partitionIndex }) => partitionIndex))
    return { sessionId, told: told.toSorted() }
  }
  const first = await ask([0, 1, 2, 3, 4])
  equal([first.sessionId > 0, first.told], [true, [0, 1, 2, 3, 4]], "a new session")
  equal(await ask([0, 1, 2, 3, 4]), { sessionId: first.sessionId, told: [] }, "nothing has changed")
  await producer.send({ messages: [{ topic, partition: 3, value: "x" }] })
  equal(await ask([0, 1, 2, 3, 4]), { sessionId: first.sessionId, told: [3] }, "one has a record")
  equal(await ask([0, 1, 2, 4]), { sessionId: first.sessionId, told: [] }, "it is forgotten")
})

await clientCase("a waiting reader is woken by a record", async () => {
  const [producer, topic] = [producerOf(), unique("t")]
  await producer.send({ messages: [{ topic, value: "first" }] })
  const consumer = consumerOf(unique("g"), { maxWaitTime: 5_000 })
  const stream = await consumer.consume({ topics: [topic], mode: "latest", autocommit: false })
  const waiting = take(stream, 1)
  await new Promise((resolve) => setTimeout(resolve, 500))
  const start = performance.now()
  await producer.send({ messages: [{ topic, value: "second" }] })
  equal((await waiting).map(value), ["second"])
  equal(performance.now() - start < 2_000, true, "woken in time")
})

await clientCase("a topic that is none, a name that cannot be one", async () => {
  const [producer, topic] = [producerOf({ retries: 0, autocreateTopics: false }), unique("no")]
  await fails(producer.send({ messages: [{ topic, value: "x" }] }), `Unknown topic ${topic}.`)
  const maker = producerOf({ retries: 0 })
  await refused(maker.send({ messages: [{ topic: "no/such name", value: "x" }] }), "INVALID_TOPIC_EXCEPTION")
})

await clientCase("a topic is made by its first record, with autocreateTopics", async () => {
  const [producer, admin, topic] = [producerOf({ autocreateTopics: true }), adminOf(), unique("t")]
  await producer.send({ messages: [{ topic, value: "x" }] })
  equal(await until("the topic", async () => (await admin.listTopics()).includes(topic)), true)
})

await clientCase("transactions are refused, at once", async () => {
  const producer = producerOf({ idempotent: true, transactionalId: unique("tx"), retries: 0 })
  const start = performance.now()
  await refused(producer.beginTransaction(), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
  equal(performance.now() - start < 2_000, true, "at once")
})

done()
