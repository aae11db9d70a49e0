/**
 * Arbitrary packets for the tests of this folder, in the form of mqtt-packet, the oracle. Not part of the product.
 */
import fc from "fast-check"
import type { IConnectPacket, IPublishPacket } from "mqtt-packet"

/** Strings that MQTT can carry: any code point but U+0000 and surrogates; U+FEFF, controls and non-characters too. */
export const mqttString = (maxLength = 12) =>
  fc.string({ unit: "binary", maxLength }).filter((text) => !text.includes("\0") && text.isWellFormed())

/** Names without wildcards, one character at least. */
export const topicName = mqttString(20).filter((name) => name !== "" && !/[+#]/.test(name))

export const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 100, maxLength: 300 }))

/**
 * Values by name, as mqtt-packet wants them: it groups equal names, and writes no packet at all for an empty record.
 */
export const userProperties = fc
  .dictionary(
    mqttString(6).filter((name) => name !== "" && name !== "__proto__"),
    fc.array(mqttString(6), { minLength: 1, maxLength: 3 }),
    { minKeys: 1, maxKeys: 3, noNullPrototype: true }
  )
  .map((record) =>
    Object.fromEntries(
      Object.entries(record).map(([name, [only = "", ...more]]) => [name, more.length ? [only, ...more] : only])
    )
  )

const seconds = fc.integer({ min: 0, max: 0xffffffff })
const twoBytes = fc.integer({ min: 0, max: 65_535 })
const positive = fc.integer({ min: 1, max: 65_535 })
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value))

export const packetIdentifier = positive

export const messageProperties = fc.record(
  {
    payloadFormatIndicator: fc.boolean(),
    messageExpiryInterval: seconds,
    contentType: mqttString(),
    responseTopic: topicName,
    correlationData: bytes(20),
    userProperties
  },
  { requiredKeys: [] }
)

export const publishPacket: fc.Arbitrary<IPublishPacket> = fc
  .record({
    topic: topicName,
    payload: payload.map((value) => Buffer.from(value)),
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId: packetIdentifier,
    properties: messageProperties,
    topicAlias: fc.option(positive, { nil: undefined })
  })
  .map(({ topicAlias, properties, ...packet }) => ({
    ...packet,
    cmd: "publish" as const,
    qos: packet.qos as 0 | 1 | 2,
    dup: packet.dup && packet.qos > 0,
    properties: topicAlias === undefined ? properties : { ...properties, topicAlias }
  }))

const connectProperties = fc.record(
  {
    sessionExpiryInterval: seconds,
    receiveMaximum: positive,
    maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
    topicAliasMaximum: twoBytes,
    requestResponseInformation: fc.boolean(),
    requestProblemInformation: fc.boolean(),
    userProperties,
    authenticationMethod: mqttString()
  },
  { requiredKeys: [] }
)

/** A CONNECT that version 3, 4 and 5 allow alike; properties are for version 5. */
export const connectPacket: fc.Arbitrary<IConnectPacket> = fc
  .record({
    protocolVersion: fc.constantFrom(3, 4, 5),
    clientId: mqttString().filter((text) => text !== ""),
    clean: fc.boolean(),
    keepalive: twoBytes,
    // mqtt-packet leaves an empty user name out.
    username: fc.option(
      mqttString().filter((text) => text !== ""),
      { nil: undefined }
    ),
    password: fc.option(
      bytes(10).filter((value) => value.length > 0),
      { nil: undefined }
    ),
    will: fc.option(
      fc.record({
        topic: topicName,
        payload: payload.map((value) => Buffer.from(value)),
        qos: fc.constantFrom(0, 1, 2),
        retain: fc.boolean(),
        properties: fc
          .tuple(messageProperties, fc.option(seconds, { nil: undefined }))
          .map(([properties, delay]) =>
            delay === undefined ? properties : { ...properties, willDelayInterval: delay }
          )
      }),
      { nil: undefined }
    ),
    properties: connectProperties
  })
  .map(({ username, password, will, ...packet }) => {
    const protocolVersion = packet.protocolVersion as 3 | 4 | 5
    const withName = username !== undefined && { username }
    const withPassword = password !== undefined && username !== undefined && { password }
    const withWill = will !== undefined && { will: { ...will, qos: will.qos as 0 | 1 | 2 } }
    const protocolId = protocolVersion === 3 ? ("MQIsdp" as const) : ("MQTT" as const)
    return {
      ...packet,
      cmd: "connect" as const,
      protocolVersion,
      protocolId,
      ...withName,
      ...withPassword,
      ...withWill
    }
  })

/** The same list of User Properties as pairs in the order in which mqtt-packet writes them. */
export function pairsOf(record: Record<string, string | Array<string>> | undefined): Array<[string, string]> {
  return Object.entries(record ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value): [string, string] => [name, value])
  )
}
