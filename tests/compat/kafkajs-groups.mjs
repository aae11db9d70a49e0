/** kafkajs: members of consumer groups. */
import kafkajs from "kafkajs"
import { done, equal, unique } from "./cases.mjs"
import { admin, clientCase, consumerOf, producerOf, until } from "./kafkajs-clients.mjs"

await admin.connect()
const upTo = (count, word = "") => Array.from({ length: count }, (_, index) => `${word}${index}`)

/** A topic with these values, which go around its partitions. */
async function topicOf(values, numPartitions = 1, name = unique("t")) {
  await admin.createTopics({ topics: [{ topic: name, numPartitions }] })
  await send(name, values, numPartitions)
  return name
}
async function send(topic, values, numPartitions = 1) {
  const producer = await producerOf()
  await producer.send({
    topic,
    messages: values.map((value, index) => ({ value, partition: index % numPartitions }))
  })
}
/** Runs the consumer and gives the values that come, as they come; `each` is called with every message. */
async function collect(consumer, topics, options = {}, each = async () => {}) {
  const { fromBeginning = true, ...rest } = options
  await consumer.subscribe({ topics, fromBeginning })
  const found = []
  await consumer.run({
    ...rest,
    eachMessage: async (payload) => {
      found.push(payload.message.value.toString())
      await each(payload)
    }
  })
  return found
}
const committed = async (groupId, topic) => {
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  return partitions.toSorted((one, other) => one.partition - other.partition).map(({ offset }) => offset)
}

await clientCase("eachMessage, autocommit: the next member goes on behind what was committed", async () => {
  const [topic, group] = [await topicOf(upTo(10)), unique("g")]
  const first = await consumerOf(group)
  const found = await collect(first, [topic], { autoCommitInterval: 100 })
  await until("10", () => found.length === 10)
  await first.disconnect()
  equal(await committed(group, topic), ["10"])
  await send(topic, ["10", "11"])
  const rest = await collect(await consumerOf(group), [topic])
  await until("2", () => rest.length >= 2)
  equal([found, rest], [upTo(10), ["10", "11"]])
})

await clientCase("fromBeginning: false reads what comes after it joined", async () => {
  const topic = await topicOf(["old"])
  const consumer = await consumerOf(unique("g"))
  const isFetching = new Promise((resolve) => consumer.on(consumer.events.FETCH, resolve))
  const found = await collect(consumer, [topic], { fromBeginning: false })
  await isFetching
  await send(topic, ["new"])
  await until("one", () => found.length > 0)
  equal(found, ["new"])
})

await clientCase("eachBatch: resolved offsets are committed, the rest comes again", async () => {
  const [topic, group] = [await topicOf(upTo(20)), unique("g")]
  const first = await consumerOf(group)
  await first.subscribe({ topics: [topic], fromBeginning: true })
  let told
  await first.run({
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, uncommittedOffsets }) => {
      if (told) return
      for (const { offset } of batch.messages.slice(0, 7)) {
        resolveOffset(offset)
        await heartbeat()
      }
      const { topics } = uncommittedOffsets()
      await commitOffsetsIfNecessary(uncommittedOffsets())
      told = [batch.messages.length, batch.highWatermark, topics[0].partitions[0].offset]
    }
  })
  await until("a batch", () => told)
  await first.disconnect()
  equal([told, await committed(group, topic)], [[20, "20", "7"], ["7"]])
  const rest = await collect(await consumerOf(group), [topic])
  await until("13", () => rest.length >= 13)
  equal(rest, upTo(20).slice(7))
})

await clientCase("manual commitOffsets, with metadata", async () => {
  const [topic, group] = [await topicOf(upTo(6)), unique("g")]
  const first = await consumerOf(group)
  const found = await collect(first, [topic], { autoCommit: false })
  await until("6", () => found.length === 6)
  equal(await committed(group, topic), ["-1"], "nothing is committed by itself")
  await first.commitOffsets([{ topic, partition: 0, offset: "4", metadata: "four" }])
  const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  equal([partitions[0].offset, partitions[0].metadata], ["4", "four"])
  await first.disconnect()
  const rest = await collect(await consumerOf(group), [topic])
  await until("2", () => rest.length >= 2)
  equal(rest, ["4", "5"])
})

await clientCase("seek back, pause, resume", async () => {
  const topic = await topicOf(upTo(5))
  const consumer = await consumerOf(unique("g"))
  const found = await collect(consumer, [topic])
  await until("5", () => found.length === 5)
  consumer.seek({ topic, partition: 0, offset: "3" })
  await until("2 more", () => found.length === 7)
  equal(found, ["0", "1", "2", "3", "4", "3", "4"])
  consumer.pause([{ topic }])
  equal(consumer.paused(), [{ topic, partitions: [0] }])
  await send(topic, ["5"])
  await new Promise((resolve) => setTimeout(resolve, 500))
  equal(found.length, 7, "paused")
  consumer.resume([{ topic }])
  await until("the rest", () => found.length === 8)
  equal(found[7], "5")
})

await clientCase("a topic by a regular expression", async () => {
  const word = unique("re")
  const topics = [await topicOf(["a"], 1, `${word}-a`), await topicOf(["b"], 1, `${word}-b`)]
  await topicOf(["c"], 1, `other-${word}`)
  const found = await collect(await consumerOf(unique("g")), [new RegExp(`^${word}-`)])
  await until("both", () => found.length >= 2)
  await send(topics[0], ["d"])
  await until("one more", () => found.length >= 3)
  equal(found.toSorted(), ["a", "b", "d"])
})

await clientCase(
  "two members share 6 partitions, one leaves and the other goes on, every record is seen",
  async () => {
    const [topic, group] = [await topicOf(upTo(60, "first "), 6), unique("g")]
    const shares = [[], []]
    const joined = []
    const join = async (which) => {
      const consumer = await consumerOf(group)
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        joined[which] = payload.memberAssignment[topic] ?? []
      })
      await collect(consumer, [topic], { autoCommitInterval: 100 }, async ({ message }) => {
        shares[which].push(message.value.toString())
      })
      return consumer
    }
    const has = (values) => {
      const seen = new Set(shares.flat())
      return values.every((value) => seen.has(value))
    }
    const first = await join(0)
    await until("the first reads all", () => has(upTo(60, "first ")))
    const second = await join(1)
    await until("three each", () => joined[0]?.length === 3 && joined[1]?.length === 3, 10_000)
    equal(joined.flat().toSorted(), [0, 1, 2, 3, 4, 5], "every partition once")
    const before = shares.map((share) => share.length)
    await send(topic, upTo(60, "both "), 6)
    await until("both read", () => has(upTo(60, "both ")))
    equal(
      shares.map((share, which) => share.length - before[which] >= 30),
      [true, true],
      "each has its half"
    )
    const { members, state } = (await admin.describeGroups([group])).groups[0]
    equal([state, members.length], ["Stable", 2])
    equal(
      members
        .flatMap(({ memberAssignment }) => {
          const { assignment } = kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)
          return assignment[topic]
        })
        .toSorted(),
      [0, 1, 2, 3, 4, 5]
    )
    await first.disconnect()
    await until("all to the second", () => joined[1].length === 6, 10_000)
    await send(topic, upTo(60, "last "), 6)
    await until("the second reads alone", () => has(upTo(60, "last ")))
    equal(new Set(shares.flat()).size, 180)
    await second.disconnect()
  },
  30_000
)

await clientCase(
  "a member without heartbeats is put out, and what it did not commit is read by the other",
  async () => {
    const [topic, group] = [await topicOf(upTo(4), 2), unique("g")]
    // It hangs in its first message for as long as the case takes.
    let free
    const hung = new Promise((resolve) => {
      free = resolve
    })
    const first = await consumerOf(group, { retry: { retries: 0 } })
    const stuck = await collect(first, [topic], { autoCommit: false }, () => hung)
    await until("it hangs", () => stuck.length === 1)
    const found = await collect(await consumerOf(group), [topic])
    await until("the other reads all", () => new Set(found).size === 4, 15_000)
    const { members } = (await admin.describeGroups([group])).groups[0]
    equal(members.length, 1, "members")
    free()
  },
  25_000
)

await admin.disconnect()
done()
