import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { isKafkaTopicName, nameOfTopic, TOPIC_NAME_LENGTH_MAX, topicOfName } from "./default-binding.ts"

const longest = "x".repeat(TOPIC_NAME_LENGTH_MAX)

const bound: ReadonlyArray<readonly [name: string, topic: string]> = [
  ["sensors/room1", "sensors.room1"],
  ["a", "a"],
  ["-", "-"],
  ["a_/_b/-", "a_._b.-"],
  [longest, longest],
  [`a/${longest.slice(2)}`, `a.${longest.slice(2)}`]
]
for (const [name, topic] of bound) {
  test(`${name.slice(0, 20)} is ${topic.slice(0, 20)}`, () => {
    assert.strictEqual(topicOfName(name), topic)
    assert.strictEqual(nameOfTopic(topic), name)
  })
}

for (const name of [
  ...["", "/", "/a", "a/", "a//b", "a.b", "a/b.c", "_a", "_", "__x/y", "$SYS/a", "a b", "é", "a\n", "a/b\n", "a+", "#"],
  `${longest}x`
]) {
  test(`MQTT ${JSON.stringify(name.slice(0, 20))} has no topic`, () => assert.strictEqual(topicOfName(name), undefined))
}

for (const topic of ["", ".", "..", ".a", "a.", "a..b", "a/b", "_a", "_schemas", "a\n", "é", `${longest}x`]) {
  test(`Kafka ${JSON.stringify(topic.slice(0, 20))} has no name`, () =>
    assert.strictEqual(nameOfTopic(topic), undefined))
}

/** Kafka, `org.apache.kafka.common.internals.TopicTest`: valid and invalid names. */
const kafkaNames: ReadonlyArray<readonly [name: string, valid: boolean]> = [
  ["valid", true],
  ["TOPIC", true],
  ["nAmEs", true],
  ["ar6", true],
  ["VaL1d", true],
  ["_0-9_.", true],
  ["...", true],
  ["_", true],
  [longest, true],
  ["", false],
  ["foo bar", false],
  ["..", false],
  [".", false],
  ["foo:bar", false],
  ["foo=bar", false],
  ["a\n", false],
  [`${longest}x`, false]
]
for (const [name, valid] of kafkaNames) {
  test(`${JSON.stringify(name.slice(0, 20))} ${valid ? "may" : "may not"} be a topic's name`, () => {
    assert.strictEqual(isKafkaTopicName(name), valid)
  })
}

test("it is a bijection: there and back gives the same, from both sides", () => {
  const candidate = fc
    .array(fc.constantFrom("a", "B", "0", "_", "-", ".", "/", "$", "+", "é", "room"), { maxLength: 8 })
    .map((parts) => parts.join(""))
  fc.assert(
    fc.property(candidate, (text) => {
      const topic = topicOfName(text)
      if (topic !== undefined) {
        assert.strictEqual(nameOfTopic(topic), text)
        assert.ok(isKafkaTopicName(topic))
      }
      const name = nameOfTopic(text)
      if (name !== undefined) assert.strictEqual(topicOfName(name), text)
    }),
    { numRuns: 5000 }
  )
})
