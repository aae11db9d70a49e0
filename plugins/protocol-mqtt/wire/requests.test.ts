/**
 * SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH, their answers, PINGREQ and PINGRESP.
 */
import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { mqttString, packetIdentifier, pairsOf, topicName, userProperties } from "./arbitraries.ts"
import { authSize, decodeAuth, writeAuth } from "./auth.ts"
import { checkPingreq, decodeDisconnect, disconnectSize, writeDisconnect, writePingresp } from "./disconnect.ts"
import type { ProtocolVersion } from "./packet-types.ts"
import { Refusal } from "./refusal.ts"
import { decodeSubscribe, subackSize, writeSuback } from "./subscribe.ts"
import { embed, frameOf, hex, hexOf, oracleDecode, oracleEncode } from "./testing.ts"
import { decodeUnsubscribe, unsubackSize, writeUnsuback } from "./unsubscribe.ts"

type Decoder = (bytes: Uint8Array, start: number, end: number, version: ProtocolVersion) => object

const decoders: Readonly<Record<string, Decoder>> = {
  SUBSCRIBE: decodeSubscribe,
  UNSUBSCRIBE: decodeUnsubscribe,
  DISCONNECT: decodeDisconnect,
  AUTH: decodeAuth
}

function accept<Packet extends object>(
  decode: (bytes: Uint8Array, start: number, end: number, version: ProtocolVersion) => Packet | Refusal,
  bytes: Uint8Array,
  version: ProtocolVersion
): Packet {
  const frame = embed(frameOf(bytes))
  const packet = decode(frame.bytes, frame.start, frame.end, version)
  if (packet instanceof Refusal) assert.fail(`refused: ${packet.reasonCode}`)
  return packet
}

const versions = fc.constantFrom<ProtocolVersion>(3, 4, 5)
const filter = fc.oneof(topicName, fc.constantFrom("#", "+/a", "$share/g/t", "a/#"), mqttString())
const subscription = fc.record({
  topic: filter,
  qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  nl: fc.boolean(),
  rap: fc.boolean(),
  rh: fc.constantFrom(0, 1, 2)
})

test("SUBSCRIBE: what mqtt-packet writes we read", () => {
  const sent = fc.record({
    messageId: packetIdentifier,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 5 }),
    identifier: fc.integer({ min: 1, max: 268_435_455 }),
    list: userProperties
  })
  fc.assert(
    fc.property(sent, versions, ({ messageId, subscriptions, identifier, list }, version) => {
      const allowed = subscriptions.map((one) => ({ ...one, nl: one.nl && !one.topic.startsWith("$share/") }))
      const properties = { subscriptionIdentifier: identifier, userProperties: list }
      const bytes = oracleEncode({ cmd: "subscribe", messageId, subscriptions: allowed, properties }, version)
      const packet = accept(decodeSubscribe, bytes, version)
      assert.equal(packet.packetIdentifier, messageId)
      assert.equal(packet.subscriptionIdentifier, version === 5 ? identifier : 0)
      assert.deepEqual(packet.userProperties, version === 5 ? pairsOf(list) : [])
      assert.deepEqual(
        packet.subscriptions.map(({ reasonCode, ...one }) => one),
        allowed.map(({ topic, qos, nl, rap, rh }) =>
          version === 5
            ? { filter: topic, qos, noLocal: nl, retainAsPublished: rap, retainHandling: rh }
            : { filter: topic, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }
        )
      )
    })
  )
})

test("SUBSCRIBE: a bad filter fails alone", () => {
  const packet = accept(decodeSubscribe, hex("82 0c 0001 00 0002 6123 01 0001 23 02"), 5)
  assert.deepEqual(
    packet.subscriptions.map(({ filter: text, reasonCode }) => [text, reasonCode]),
    [
      ["a#", 0x8f],
      ["#", 0]
    ]
  )
})

test("UNSUBSCRIBE: what mqtt-packet writes we read", () => {
  const filters = fc.array(mqttString(), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(packetIdentifier, filters, userProperties, versions, (messageId, unsubscriptions, list, version) => {
      const properties = { userProperties: list }
      const bytes = oracleEncode({ cmd: "unsubscribe", messageId, unsubscriptions, properties }, version)
      const packet = accept(decodeUnsubscribe, bytes, version)
      assert.equal(packet.packetIdentifier, messageId)
      assert.deepEqual(packet.userProperties, version === 5 ? pairsOf(list) : [])
      assert.deepEqual(
        packet.filters.map((one) => one.filter),
        unsubscriptions
      )
    })
  )
})

test("DISCONNECT: what mqtt-packet writes we read", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 4, 0x80, 0x98),
      mqttString(),
      userProperties,
      fc.nat(),
      (reasonCode, reasonString, list, seconds) => {
        const properties = { sessionExpiryInterval: seconds, reasonString, userProperties: list }
        const bytes = oracleEncode({ cmd: "disconnect", reasonCode, properties }, 5)
        assert.deepEqual(accept(decodeDisconnect, bytes, 5), {
          reasonCode,
          sessionExpiryInterval: seconds,
          reasonString,
          userProperties: pairsOf(list)
        })
      }
    )
  )
  const plain = { reasonCode: 0, sessionExpiryInterval: -1, userProperties: [] }
  assert.deepEqual(accept(decodeDisconnect, hex("e0 00"), 4), plain)
  assert.deepEqual(accept(decodeDisconnect, hex("e0 00"), 5), plain)
  assert.deepEqual(accept(decodeDisconnect, hex("e0 01 04"), 5), { ...plain, reasonCode: 4 })
  assert.deepEqual(accept(decodeDisconnect, hex("e0 02 00 00"), 5), plain)
})

test("AUTH: what mqtt-packet writes we read", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0x18, 0x19),
      mqttString(),
      fc.uint8Array({ maxLength: 9 }),
      userProperties,
      (reasonCode, method, data, list) => {
        const properties = { authenticationMethod: method, authenticationData: Buffer.from(data), userProperties: list }
        const packet = accept(decodeAuth, oracleEncode({ cmd: "auth", reasonCode, properties }, 5), 5)
        assert.deepEqual(packet, {
          reasonCode,
          authenticationMethod: method,
          authenticationData: data,
          userProperties: pairsOf(list)
        })
      }
    )
  )
})

// Packet, version, bytes, Reason Code, what it is.
const illegal: ReadonlyArray<readonly [string, ProtocolVersion, string, number, string]> = [
  ["SUBSCRIBE", 4, "82 00", 0x81, "nothing"],
  ["SUBSCRIBE", 4, "82 01 00", 0x81, "half an identifier"],
  ["SUBSCRIBE", 4, "82 02 0001", 0x82, "no filter"],
  ["SUBSCRIBE", 5, "82 03 0001 00", 0x82, "no filter"],
  ["SUBSCRIBE", 5, "82 02 0001", 0x81, "no Property Length"],
  ["SUBSCRIBE", 4, "82 06 0000 0001 61 00", 0x82, "Packet Identifier 0"],
  ["SUBSCRIBE", 5, "82 07 0000 00 0001 61 00", 0x82, "Packet Identifier 0"],
  ["SUBSCRIBE", 4, "82 05 0001 0001 61", 0x81, "no options"],
  ["SUBSCRIBE", 5, "82 0a 0001 00 0001 61 00 0001 62", 0x81, "no options at the last filter"],
  ["SUBSCRIBE", 4, "82 06 0001 0005 61 00", 0x81, "a filter longer than the packet"],
  ["SUBSCRIBE", 4, "82 06 0001 0001 61 03", 0x81, "QoS 3"],
  ["SUBSCRIBE", 4, "82 06 0001 0001 61 04", 0x81, "an option of version 5"],
  ["SUBSCRIBE", 5, "82 07 0001 00 0001 61 03", 0x82, "QoS 3"],
  ["SUBSCRIBE", 5, "82 07 0001 00 0001 61 30", 0x82, "Retain Handling 3"],
  ["SUBSCRIBE", 5, "82 07 0001 00 0001 61 40", 0x81, "a reserved option"],
  ["SUBSCRIBE", 5, "82 07 0001 00 0001 61 80", 0x81, "a reserved option"],
  ["SUBSCRIBE", 5, "82 10 0001 00 000a 24736861 72652f672f74 04", 0x82, "No Local on a Shared Subscription"],
  ["SUBSCRIBE", 5, "82 07 0001 00 0001 00 00", 0x81, "U+0000 in a filter"],
  ["SUBSCRIBE", 5, "82 09 0001 00 0003 eda080 00", 0x81, "a surrogate in a filter"],
  ["SUBSCRIBE", 5, "82 09 0001 02 0b00 0001 61 00", 0x82, "Subscription Identifier 0"],
  ["SUBSCRIBE", 5, "82 0b 0001 04 0b010b02 0001 61 00", 0x82, "two Subscription Identifiers"],
  ["SUBSCRIBE", 5, "82 09 0001 02 0101 0001 61 00", 0x81, "a property of PUBLISH"],
  ["SUBSCRIBE", 5, "82 07 0001 7f 0001 61 00", 0x81, "properties longer than the packet"],
  ["UNSUBSCRIBE", 4, "a2 02 0001", 0x82, "no filter"],
  ["UNSUBSCRIBE", 5, "a2 03 0001 00", 0x82, "no filter"],
  ["UNSUBSCRIBE", 4, "a2 05 0000 0001 61", 0x82, "Packet Identifier 0"],
  ["UNSUBSCRIBE", 4, "a2 05 0001 0002 61", 0x81, "a filter longer than the packet"],
  ["UNSUBSCRIBE", 4, "a2 06 0001 0001 61 00", 0x81, "a byte too many"],
  ["UNSUBSCRIBE", 5, "a2 06 0001 00 0001 00", 0x81, "U+0000 in a filter"],
  ["UNSUBSCRIBE", 5, "a2 08 0001 02 0b01 0001 61", 0x81, "a Subscription Identifier"],
  ["DISCONNECT", 4, "e0 01 00", 0x81, "a body before version 5"],
  ["DISCONNECT", 5, "e0 01 8b", 0x82, "Server shutting down, from a client"],
  ["DISCONNECT", 5, "e0 01 01", 0x82, "no Reason Code of DISCONNECT"],
  ["DISCONNECT", 5, "e0 02 00 01", 0x81, "properties longer than the packet"],
  ["DISCONNECT", 5, "e0 03 00 00 00", 0x81, "bytes after the properties"],
  ["DISCONNECT", 5, "e0 06 00 04 1c000161", 0x82, "a Server Reference from a client"],
  ["DISCONNECT", 5, "e0 05 00 03 210001", 0x81, "a property of CONNECT"],
  ["AUTH", 5, "f0 00", 0x82, "the short form of Success, which a server sends"],
  ["AUTH", 5, "f0 01 18", 0x81, "no Property Length"],
  ["AUTH", 5, "f0 02 18 00", 0x82, "no Authentication Method"],
  ["AUTH", 5, "f0 06 00 04 15000161", 0x82, "Success from a client"],
  ["AUTH", 5, "f0 06 17 04 15000161", 0x82, "no Reason Code of AUTH"],
  ["AUTH", 5, "f0 0a 18 08 1500016115000162", 0x82, "two Authentication Methods"],
  ["AUTH", 5, "f0 07 18 04 15000161 00", 0x81, "bytes after the properties"]
]
for (const [packet, version, digits, reasonCode, name] of illegal) {
  test(`${packet}, version ${version}: ${name}: 0x${reasonCode.toString(16)}`, () => {
    const frame = embed(frameOf(hex(digits)))
    const refusal = decoders[packet]?.(frame.bytes, frame.start, frame.end, version)
    assert.ok(refusal instanceof Refusal)
    assert.equal(refusal.reasonCode, reasonCode)
  })
}

const subackCodes = fc.array(fc.constantFrom(0, 1, 2, 0x80, 0x87, 0x8f, 0xa2), { minLength: 1, maxLength: 200 })

test("SUBACK: what we write mqtt-packet reads; before version 5 every failure is 0x80", () => {
  fc.assert(
    fc.property(
      packetIdentifier,
      subackCodes,
      fc.option(mqttString(), { nil: undefined }),
      versions,
      (messageId, codes, reason, version) => {
        const target = new Uint8Array(subackSize(version, codes.length, reason))
        assert.equal(writeSuback(target, 0, version, messageId, codes, reason), target.length)
        const read = oracleDecode(target, version)
        assert.ok(read?.cmd === "suback")
        assert.equal(read.messageId, messageId)
        assert.deepEqual(
          read.granted,
          codes.map((code) => (version === 5 ? code : Math.min(code, 0x80)))
        )
        assert.equal(read.properties?.reasonString, version === 5 ? reason : undefined)
      }
    )
  )
})

test("UNSUBACK: what we write mqtt-packet reads; before version 5 without codes", () => {
  const codes = fc.array(fc.constantFrom(0, 0x11, 0x87, 0x8f), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(
      packetIdentifier,
      codes,
      fc.option(mqttString(), { nil: undefined }),
      versions,
      (messageId, granted, reason, version) => {
        const target = new Uint8Array(unsubackSize(version, granted.length, reason))
        assert.equal(writeUnsuback(target, 0, version, messageId, granted, reason), target.length)
        if (version !== 5) return assert.equal(hexOf(target), `b002${messageId.toString(16).padStart(4, "0")}`)
        const read = oracleDecode(target, version)
        assert.ok(read?.cmd === "unsuback" && read.messageId === messageId)
        assert.deepEqual(read.granted, granted)
        assert.equal(read.properties?.reasonString, reason)
      }
    )
  )
})

test("DISCONNECT: what we write mqtt-packet reads, in the shortest form", () => {
  const target = new Uint8Array(300)
  assert.equal(writeDisconnect(target, 1, 0), 3)
  assert.equal(hexOf(target.slice(1, 3)), "e000")
  assert.equal(writeDisconnect(target, 1, 0x8b), 4)
  assert.equal(hexOf(target.slice(1, 4)), "e0018b")
  fc.assert(
    fc.property(
      fc.constantFrom(0, 0x8b, 0x9d),
      mqttString(),
      mqttString(),
      (reasonCode, reasonString, serverReference) => {
        const options = { reasonString, serverReference, userProperties: [["k", "v"] as const] }
        const end = writeDisconnect(target, 0, reasonCode, options)
        assert.equal(end, disconnectSize(reasonCode, options))
        const read = oracleDecode(target.slice(0, end), 5)
        assert.ok(read?.cmd === "disconnect" && read.reasonCode === reasonCode)
        assert.equal(read.properties?.reasonString, reasonString)
        assert.equal(read.properties?.serverReference, serverReference)
        assert.equal(read.properties?.userProperties?.k, "v")
      }
    )
  )
})

test("AUTH: what we write mqtt-packet and we read", () => {
  fc.assert(
    fc.property(mqttString(), fc.uint8Array({ maxLength: 300 }), (method, data) => {
      const packet = { reasonCode: 0x18, authenticationMethod: method, authenticationData: data, userProperties: [] }
      const target = new Uint8Array(authSize(packet))
      assert.equal(writeAuth(target, 0, packet), target.length)
      const read = oracleDecode(target, 5)
      assert.ok(read?.cmd === "auth" && read.reasonCode === 0x18)
      assert.equal(read.properties?.authenticationMethod, method)
      assert.deepEqual(accept(decodeAuth, target, 5), packet)
    })
  )
})

test("a long Reason String is written whole; one that no length field holds is a defect", () => {
  const reasonString = "ä".repeat(30_000)
  const target = new Uint8Array(disconnectSize(0x97, { reasonString }))
  assert.equal(writeDisconnect(target, 0, 0x97, { reasonString }), target.length)
  const read = oracleDecode(target, 5)
  assert.ok(read?.cmd === "disconnect" && read.properties?.reasonString === reasonString)
  assert.throws(() => disconnectSize(0, { reasonString: "a".repeat(65_536) }), RangeError)
})

test("PINGREQ has no body; PINGRESP", () => {
  assert.equal(checkPingreq(2, 2), 0)
  assert.equal(checkPingreq(2, 3), 0x81)
  const target = new Uint8Array(3)
  assert.equal(writePingresp(target, 1), 3)
  assert.equal(hexOf(target), "00d000")
})

test("cut anywhere: refused, never accepted as something shorter", () => {
  const whole: ReadonlyArray<readonly [string, ProtocolVersion, string]> = [
    ["SUBSCRIBE", 5, "82 11 0001 0a 0b8001 26000161000162 0001 61 01"],
    ["UNSUBSCRIBE", 5, "a2 0d 0001 07 26000161000162 0001 61"],
    ["DISCONNECT", 5, "e0 07 00 05 1100000001"],
    ["AUTH", 5, "f0 0a 18 08 15000161 16000100"]
  ]
  for (const [packet, version, digits] of whole) {
    const frame = frameOf(hex(digits))
    const decode = decoders[packet]
    assert.ok(decode && !(decode(frame.bytes, frame.start, frame.end, version) instanceof Refusal), packet)
    const shortest = packet === "DISCONNECT" ? frame.start + 2 : frame.start
    for (let end = shortest; end < frame.end; end++) {
      assert.ok(decode(frame.bytes, frame.start, end, version) instanceof Refusal, `${packet} cut at ${end}`)
    }
  }
})
