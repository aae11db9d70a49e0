/**
 * The default binding: a bijection between plain MQTT topic names and plain Kafka topic names. `sensors/room1` is
 * `sensors.room1`; no other names are bound by default.
 *
 * Source: docs/interop.md, "Names"; Kafka's `org.apache.kafka.common.internals.Topic` for what a topic may be called.
 * Invariant: `nameOfTopic(topicOfName(name)) === name` and `topicOfName(nameOfTopic(topic)) === topic` wherever the inner one
 * is defined. Levels hold no `.` and no `/`, so neither separator can be mistaken.
 */

/** Characters of a topic's name, by Kafka's rule. */
export const TOPIC_NAME_LENGTH_MAX = 249

const PLAIN_NAME = /^(?!_)[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/
const PLAIN_TOPIC = /^(?!_)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
const KAFKA_TOPIC = /^[A-Za-z0-9._-]+$/

/** The topic that a plain MQTT topic name is bound to by default; undefined for every other name. */
export function topicOfName(mqttName: string): string | undefined {
  if (mqttName.length > TOPIC_NAME_LENGTH_MAX || !PLAIN_NAME.test(mqttName)) return undefined
  return mqttName.replaceAll("/", ".")
}

/** The MQTT topic name that is bound to a plain topic by default; undefined for every other topic. */
export function nameOfTopic(kafkaName: string): string | undefined {
  if (kafkaName.length > TOPIC_NAME_LENGTH_MAX || !PLAIN_TOPIC.test(kafkaName)) return undefined
  return kafkaName.replaceAll(".", "/")
}

/** Whether a topic may be called so, by Kafka's rule. */
export function isKafkaTopicName(name: string): boolean {
  if (name.length > TOPIC_NAME_LENGTH_MAX || name === "." || name === "..") return false
  return KAFKA_TOPIC.test(name)
}
