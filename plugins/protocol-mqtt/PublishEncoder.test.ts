import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import mqttPacket, { type IPublishPacket } from "mqtt-packet"
import { headerSize, Message, writeHeader } from "../../core/mod.ts"
import { copyFrame, PublishEncoder, wireFormatOf } from "./PublishEncoder.ts"

const encoder = new TextEncoder()
const VERSIONS = [3, 4, 5] as const

function messageOf(topic: string, payload: string, headers: ReadonlyArray<readonly [string, string]> = []): Message {
  const message = new Message()
  message.topic = encoder.encode(topic)
  message.topicEnd = message.topic.length
  message.payload = encoder.encode(payload)
  message.payloadEnd = message.payload.length
  const parts = headers.map(([name, value]) => {
    const [nameBytes, valueBytes] = [encoder.encode(name), encoder.encode(value)]
    const part = new Uint8Array(headerSize(nameBytes.length, valueBytes.length))
    writeHeader(part, 0, nameBytes, valueBytes, 0, valueBytes.length)
    return part
  })
  message.headers = new Uint8Array(Buffer.concat(parts))
  message.headersEnd = message.headers.length
  message.headerCount = headers.length
  message.timestamp = 5_000
  message.begin()
  return message
}

interface How {
  readonly version?: 3 | 4 | 5
  readonly qos?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly identifiers?: ReadonlyArray<number>
  readonly nowMs?: number
  readonly packetIdentifier?: number
}

/** Encodes as a connection does, and reads the copy with somebody else's parser. */
function sent(publishes: PublishEncoder, message: Message, how: How = {}): IPublishPacket {
  const { version = 5, qos = 0, retain = false, dup = false, identifiers = [], nowMs = 0 } = how
  const frame = publishes.encode(message, version, qos, retain, dup, identifiers, nowMs)
  const target = new Uint8Array(frame.end - frame.start + 9).fill(0xee)
  copyFrame(frame, target, 4, how.packetIdentifier ?? (qos === 0 ? 0 : 77))
  assert.ok(target.subarray(0, 4).every((byte) => byte === 0xee) && target.at(-1) === 0xee)
  const parser = mqttPacket.parser({ protocolVersion: version })
  const packets: Array<IPublishPacket> = []
  parser.on("packet", (packet) => packets.push(packet as IPublishPacket))
  parser.on("error", (error) => assert.fail(error))
  parser.parse(Buffer.from(target.subarray(4, -5)))
  assert.equal(packets.length, 1)
  return packets[0] as IPublishPacket
}

test("what was published arrives, in every version, QoS and retain flag", () => {
  const publishes = new PublishEncoder()
  const message = messageOf("a/é", "hello")
  for (const version of VERSIONS) {
    for (const qos of [0, 1, 2]) {
      for (const retain of [false, true]) {
        const packet = sent(publishes, message, { version, qos, retain, packetIdentifier: qos === 0 ? 0 : 0xabcd })
        assert.deepEqual(
          [packet.topic, String(packet.payload), packet.qos, packet.retain, packet.dup],
          ["a/é", "hello", qos, retain, false]
        )
        assert.equal(packet.messageId, qos === 0 ? undefined : 0xabcd)
      }
    }
  }
})

test("any sequence of messages and ways to send them: no frame is taken for another's", () => {
  const step = fc.record({
    message: fc.nat(3),
    anew: fc.boolean(),
    version: fc.constantFrom(...VERSIONS),
    qos: fc.nat(2),
    retain: fc.boolean(),
    dup: fc.boolean(),
    identifiers: fc.constantFrom([], [5], [1, 268_435_455]),
    counts: fc.boolean()
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), (steps) => {
      const publishes = new PublishEncoder()
      const messages = Array.from({ length: 4 }, (_, index) => messageOf(`t/${index}`, "x".repeat(index * 400)))
      for (const [index, { message: pick, anew, version, qos, retain, dup, identifiers, counts }] of steps.entries()) {
        let message = messages[pick] as Message
        if (anew) {
          message = messageOf(`t/${pick}`, `new ${index}`, [["mqtt.message-expiry", "60"]])
          message.expiresAtMs = 65_000
          messages[pick] = message
        }
        const isDup = dup && qos > 0
        const packet = sent(publishes, message, {
          version,
          qos,
          retain,
          dup: isDup,
          identifiers,
          nowMs: counts ? 15_000 : 0
        })
        const payload = new TextDecoder().decode(message.payload.subarray(message.payloadStart, message.payloadEnd))
        assert.deepEqual([packet.topic, String(packet.payload)], [`t/${pick}`, payload])
        assert.deepEqual([packet.qos, packet.retain, packet.dup], [qos, retain, isDup])
        if (version !== 5) continue
        const expiry = message.expiresAtMs === 0 ? undefined : counts ? 50 : 60
        assert.equal(packet.properties?.messageExpiryInterval, expiry)
        const found = packet.properties?.subscriptionIdentifier
        assert.deepEqual(found === undefined ? [] : [found].flat(), identifiers)
      }
    }),
    { numRuns: 150 }
  )
})

test("one encoding serves all subscribers of one kind; those with properties of their own get their own", () => {
  const publishes = new PublishEncoder()
  const message = messageOf("a", "x")
  const bytesOf = (how: How): Uint8Array =>
    publishes.encode(message, how.version ?? 5, 1, false, how.dup ?? false, how.identifiers ?? [], 0).bytes
  assert.equal(bytesOf({}), bytesOf({}))
  assert.equal(bytesOf({ version: 4 }), bytesOf({ version: 3 }))
  assert.notEqual(bytesOf({ identifiers: [1] }), bytesOf({}))
  assert.notEqual(bytesOf({ dup: true }), bytesOf({}))
})

test("bytes as they came go on as they are, with a new packet identifier", () => {
  const publishes = new PublishEncoder()
  for (const version of VERSIONS) {
    for (const qos of [0, 1, 2] as const) {
      const packet = {
        cmd: "publish",
        topic: "a/b",
        payload: Buffer.from("as it came"),
        qos,
        retain: false,
        dup: false
      } as const
      const numbered = qos === 0 ? packet : { ...packet, messageId: 9 }
      const wire = new Uint8Array(mqttPacket.generate(numbered, { protocolVersion: version }))
      const message = messageOf("other", "other")
      message.wire = wire
      message.wireStart = 0
      message.wireEnd = wire.length
      message.wireFormat = wireFormatOf(version, qos, false)
      message.topic = wire
      message.topicStart = 4
      message.topicEnd = 7
      message.begin()
      const got = sent(publishes, message, { version, qos, packetIdentifier: qos === 0 ? 0 : 500 })
      assert.deepEqual(
        [got.topic, String(got.payload), got.messageId],
        ["a/b", "as it came", qos === 0 ? undefined : 500]
      )
      const other = sent(publishes, message, { version, qos, retain: true })
      assert.equal(String(other.payload), "other")
    }
  }
})

test("an interval that is over is sent as 0, never as less", () => {
  const message = messageOf("a", "x", [["mqtt.message-expiry", "10"]])
  message.expiresAtMs = 15_000
  const publishes = new PublishEncoder()
  for (const [nowMs, left] of [
    [5_000, 10],
    [5_001, 10],
    [14_001, 1],
    [15_000, 0],
    [99_000, 0]
  ] as const) {
    assert.equal(sent(publishes, message, { nowMs }).properties?.messageExpiryInterval, left)
  }
})

test("of a record that a Kafka client produced: its timestamp, and a key that is not the topic name, also one that is no text", () => {
  const publishes = new PublishEncoder()
  const rows: ReadonlyArray<readonly [Uint8Array | undefined, Record<string, string>]> = [
    [undefined, {}],
    [encoder.encode("kéy"), { "manifold-key": "kéy" }],
    [new Uint8Array(0), { "manifold-key": "" }],
    [Uint8Array.of(255, 0), { "manifold-key-b64": "/wA=" }],
    [new Uint8Array(65_535).fill(97), { "manifold-key": "a".repeat(65_535) }],
    [new Uint8Array(65_536).fill(97), {}],
    [new Uint8Array(60_000).fill(255), {}]
  ]
  for (const [key, expected] of rows) {
    const message = messageOf("a", "x", [["colour", "red"]])
    message.gathered = false
    if (key !== undefined) {
      const { headersEnd } = message
      message.headers = new Uint8Array(Buffer.concat([message.headers, key]))
      message.keyStart = headersEnd
      message.keyEnd = headersEnd + key.length
    }
    const properties = { colour: "red", "manifold-timestamp": "5000", ...expected }
    assert.deepEqual({ ...sent(publishes, message).properties?.userProperties }, properties)
    assert.equal(sent(publishes, message, { version: 4 }).properties, undefined)
  }
})
