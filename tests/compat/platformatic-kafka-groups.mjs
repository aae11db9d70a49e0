/** @platformatic/kafka: members of consumer groups. */
import { done, equal, unique } from "./cases.mjs"
import {
  adminOf,
  clientCase,
  closed,
  consumerOf,
  fails,
  producerOf,
  refused,
  take,
  until
} from "./platformatic-kafka-clients.mjs"

const value = ({ value }) => value
const upTo = (count) => Array.from({ length: count }, (_, index) => String(index))
/** A topic with these values, which go around its partitions. */
async function topicOf(values, partitions = 1) {
  const topic = unique("t")
  await adminOf().createTopics({ topics: [topic], partitions })
  await send(topic, values, partitions)
  return topic
}
async function send(topic, values, partitions = 1) {
  const messages = values.map((value, index) => ({ topic, partition: index % partitions, value }))
  if (messages.length > 0) await producerOf().send({ messages })
}
/** How many partitions a member has. */
const has = ({ assignments }) => (assignments ?? []).reduce((count, { partitions }) => count + partitions.length, 0)
/** What comes to a stream from now on, as it comes. */
function collect(stream, into = []) {
  stream.on("data", (message) => into.push(message))
  stream.on("error", () => {})
  return into
}

await clientCase("autocommit: the next member goes on behind what was committed", async () => {
  const [topic, group] = [await topicOf(upTo(10)), unique("g")]
  const first = consumerOf(group)
  const stream = await first.consume({ topics: [topic], mode: "committed", fallbackMode: "earliest", autocommit: 100 })
  equal((await take(stream, 10)).map(value), upTo(10))
  const committed = () => first.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })
  await until("the commit", async () => (await committed()).get(topic)[0] === 10n)
  await closed(first)
  await send(topic, ["10", "11"])
  const second = await consumerOf(group).consume({ topics: [topic], mode: "committed", fallbackMode: "earliest" })
  equal((await take(second, 2)).map(value), ["10", "11"])
})

await clientCase("manual commit: what was not committed comes again", async () => {
  const [topic, group] = [await topicOf(upTo(6)), unique("g")]
  const first = consumerOf(group)
  const stream = await first.consume({
    topics: [topic],
    mode: "committed",
    fallbackMode: "earliest",
    autocommit: false
  })
  const messages = await take(stream, 6)
  await messages[3].commit()
  await closed(first)
  const second = consumerOf(group)
  equal((await second.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })).get(topic).map(String), ["4"])
  const rest = await second.consume({ topics: [topic], mode: "committed", fallbackMode: "fail", autocommit: false })
  equal((await take(rest, 2)).map(value), ["4", "5"])
})

await clientCase("mode committed without a commit, told to fail, fails", async () => {
  const topic = await topicOf(["x"])
  const stream = await consumerOf(unique("g")).consume({ topics: [topic], mode: "committed", fallbackMode: "fail" })
  await fails(take(stream, 1), "has no committed offset")
})

await clientCase("mode latest: only what comes from now on; several topics, a pause", async () => {
  const topics = [await topicOf(["old"]), await topicOf(["old"])]
  const stream = await consumerOf(unique("g")).consume({ topics, mode: "latest", autocommit: false })
  const found = collect(stream)
  await send(topics[0], ["a"])
  await send(topics[1], ["b"])
  await until("both", () => found.length === 2)
  equal(found.map(value).toSorted(), ["a", "b"])
  stream.pause()
  await send(topics[0], ["c"])
  await new Promise((resolve) => setTimeout(resolve, 500))
  equal(found.length, 2, "paused")
  stream.resume()
  await until("the third", () => found.length === 3)
})

for (const [name, options] of [
  ["round robin", {}],
  ["cooperative sticky", { protocols: [{ name: "cooperative-sticky", version: 1 }] }]
]) {
  await clientCase(
    `${name}: two members share 6 partitions, one leaves and the other goes on, every record is seen`,
    async () => {
      const [topic, group] = [await topicOf(upTo(60), 6), unique("g")]
      const members = [consumerOf(group, options), consumerOf(group, options)]
      const found = []
      const join = async (member) => {
        const stream = await member.consume({
          topics: [topic],
          mode: "committed",
          fallbackMode: "earliest",
          autocommit: 100
        })
        collect(stream, found)
      }
      await join(members[0])
      await until("all to the first", () => has(members[0]) === 6)
      await until("the first records", () => found.length >= 60)
      await join(members[1])
      await until("three each", () => members.every((member) => has(member) === 3), 10_000)
      equal(
        members.flatMap((member) => member.assignments.flatMap(({ partitions }) => partitions)).toSorted(),
        [0, 1, 2, 3, 4, 5],
        "every partition once"
      )
      const both = upTo(60).map((each) => `both ${each}`)
      const seen = () => new Set(found.map(value))
      const start = found.length
      await send(topic, both, 6)
      await until("what both read", () => both.every((each) => seen().has(each)))
      const readers = new Set(found.slice(start).map(({ metadata }) => metadata.consumer.memberId))
      equal(readers.size, 2, "members that read")
      await closed(members[0])
      await until("all to the second", () => has(members[1]) === 6, 10_000)
      const last = upTo(60).map((each) => `last ${each}`)
      await send(topic, last, 6)
      await until("what the second reads alone", () => last.every((each) => seen().has(each)))
      equal(seen().size, 180)
    },
    30_000
  )
}

await clientCase(
  "static member: another of its name takes its place and its partitions, and the former one is not heard any more",
  async () => {
    const [topic, group] = [await topicOf(upTo(4), 4), unique("g")]
    // The first does not heartbeat, as a process that hangs: it would take its place back as soon as it hears of the other.
    const first = consumerOf(group, { groupInstanceId: "i1", heartbeatInterval: 5_900, retries: 0 })
    const [second, other] = ["i1", "i2"].map((groupInstanceId) => consumerOf(group, { groupInstanceId }))
    const join = async (member) => {
      const stream = await member.consume({ topics: [topic], mode: "earliest", autocommit: false })
      return collect(stream)
    }
    await join(other)
    await join(first)
    await until("two each", () => [first, other].every((member) => has(member) === 2))
    const before = JSON.stringify(first.assignments)
    const { generationId } = other
    const found = await join(second)
    equal(JSON.stringify(second.assignments), before, "the same partitions")
    await until("its records", () => found.length === 2)
    const offsets = [{ topic, partition: 0, offset: 1n, leaderEpoch: -1 }]
    // Its commits do not name the instance: an id that is not known, where they would else be fenced.
    await refused(first.commit({ offsets }), "UNKNOWN_MEMBER_ID")
    await second.commit({ offsets })
    equal([second.generationId, other.generationId], [generationId, generationId], "no rebalance")
  },
  20_000
)

await clientCase("administration sees the members, and removes one", async () => {
  const [topic, group, admin] = [await topicOf(upTo(2), 2), unique("g"), adminOf()]
  const member = consumerOf(group, { groupInstanceId: "fixed", clientId: "reader" })
  collect(await member.consume({ topics: [topic], mode: "earliest", autocommit: false }))
  await until("its partitions", () => has(member) === 2)
  equal((await admin.listGroups()).get(group).state, "Stable")
  equal((await admin.listGroups({ states: ["Empty"] })).has(group), false)
  const described = (await admin.describeGroups({ groups: [group] })).get(group)
  equal([described.state, described.protocolType, described.protocol], ["Stable", "consumer", "roundrobin"])
  const [found] = [...described.members.values()]
  equal([found.clientId, found.groupInstanceId, found.metadata.topics], ["reader", "fixed", [topic]])
  equal([...found.assignments.values()], [{ topic, partitions: [0, 1] }])
  await admin.removeMembersFromConsumerGroup({ groupId: group, members: [{ memberId: found.id }] })
  const state = async () => (await admin.describeGroups({ groups: [group] })).get(group)
  await until("the group without it", async () => ![...(await state()).members.keys()].includes(found.id))
})

await clientCase("the consumer protocol of KIP-848 is not offered, and the client says so at once", async () => {
  const topic = await topicOf(["x"])
  const options = { groupProtocol: "consumer", sessionTimeout: undefined, heartbeatInterval: undefined }
  const consumer = consumerOf(unique("g"), JSON.parse(JSON.stringify(options)))
  const start = performance.now()
  await fails(consumer.consume({ topics: [topic] }), "Unsupported API ConsumerGroupHeartbeat")
  equal(performance.now() - start < 2_000, true, "at once")
})

done()
