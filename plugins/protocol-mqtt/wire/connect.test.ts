import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { connectPacket, mqttString, pairsOf } from "./arbitraries.ts"
import { type ConnackPacket, connackSize, returnCodeOf, writeConnack } from "./connack.ts"
import { ConnectRefusal, decodeConnect, PACKET_SIZE_MAX, SESSION_NEVER_EXPIRES } from "./connect.ts"
import type { ProtocolVersion } from "./packet-types.ts"
import { embed, frameOf, hex, oracleDecode, oracleEncode } from "./testing.ts"

function decode(bytes: Uint8Array) {
  const frame = embed(frameOf(bytes))
  return decodeConnect(frame.bytes, frame.start, frame.end)
}

function accepted(bytes: Uint8Array) {
  const packet = decode(bytes)
  assert.ok(!(packet instanceof ConnectRefusal), `refused: ${packet instanceof ConnectRefusal && packet.reasonCode}`)
  return packet
}

test("MQTT 3.1.1, figure 3.6: the flags of a CONNECT with everything", () => {
  const packet = accepted(hex("10 1c 0004 4d515454 04 ce 000a 0001 63 0001 77 0002 00ff 0001 75 0003 707764"))
  assert.deepEqual(
    {
      ...packet,
      will: { ...packet.will, payload: [...(packet.will?.payload ?? [])] },
      password: [...(packet.password ?? [])]
    },
    {
      protocolVersion: 4,
      cleanStart: true,
      keepAlive: 10,
      clientIdentifier: "c",
      username: "u",
      password: [0x70, 0x77, 0x64],
      will: {
        topic: "w",
        payload: [0x00, 0xff],
        qos: 1,
        retain: false,
        delayInterval: 0,
        messageExpiryInterval: -1,
        properties: new Uint8Array(0)
      },
      sessionExpiryInterval: 0,
      receiveMaximum: 65_535,
      maximumPacketSize: PACKET_SIZE_MAX,
      topicAliasMaximum: 0,
      requestResponseInformation: false,
      requestProblemInformation: true,
      userProperties: []
    }
  )
})

test("what mqtt-packet writes we read, every version", () => {
  fc.assert(
    fc.property(connectPacket, (sent) => {
      const version = sent.protocolVersion ?? 4
      const packet = accepted(oracleEncode(sent, version))
      const properties = version === 5 ? (sent.properties ?? {}) : {}
      assert.equal(packet.protocolVersion, version)
      assert.equal(packet.cleanStart, sent.clean)
      assert.equal(packet.keepAlive, sent.keepalive)
      assert.equal(packet.clientIdentifier, sent.clientId)
      assert.equal(packet.username, sent.username)
      assert.deepEqual(packet.password && Buffer.from(packet.password), sent.password)
      const forever = version !== 5 && !sent.clean
      assert.equal(
        packet.sessionExpiryInterval,
        properties.sessionExpiryInterval ?? (forever ? SESSION_NEVER_EXPIRES : 0)
      )
      assert.equal(packet.receiveMaximum, properties.receiveMaximum ?? 65_535)
      assert.equal(packet.maximumPacketSize, properties.maximumPacketSize ?? PACKET_SIZE_MAX)
      assert.equal(packet.topicAliasMaximum, properties.topicAliasMaximum ?? 0)
      assert.equal(packet.requestResponseInformation, properties.requestResponseInformation ?? false)
      assert.equal(packet.requestProblemInformation, properties.requestProblemInformation ?? true)
      assert.equal(packet.authenticationMethod, properties.authenticationMethod)
      assert.deepEqual(packet.userProperties, pairsOf(properties.userProperties))
      assert.equal(packet.will === undefined, sent.will === undefined)
      if (packet.will === undefined || sent.will === undefined) return
      const ofWill = version === 5 ? (sent.will.properties ?? {}) : {}
      assert.equal(packet.will.topic, sent.will.topic)
      assert.deepEqual(Buffer.from(packet.will.payload), Buffer.from(sent.will.payload))
      assert.equal(packet.will.qos, sent.will.qos)
      assert.equal(packet.will.retain, sent.will.retain)
      assert.equal(packet.will.delayInterval, ofWill.willDelayInterval ?? 0)
      assert.equal(packet.will.messageExpiryInterval, ofWill.messageExpiryInterval ?? -1)
      assert.equal(packet.will.properties.length > 0, Object.keys(ofWill).length > 0)
    }),
    { numRuns: 500 }
  )
})

test("cut anywhere: refused as malformed, without reading on", () => {
  fc.assert(
    fc.property(connectPacket, (sent) => {
      const frame = frameOf(oracleEncode(sent, sent.protocolVersion ?? 4))
      for (let end = frame.start; end < frame.end; end++) {
        const refusal = decodeConnect(frame.bytes, frame.start, end)
        assert.ok(refusal instanceof ConnectRefusal)
        assert.equal(refusal.reasonCode, 0x81)
      }
    }),
    { numRuns: 50 }
  )
})

// Body of the CONNECT, Reason Code, version to answer in, CONNACK code (-1: close), what it is.
const MQTT = "0004 4d515454"
const illegal: ReadonlyArray<readonly [string, number, ProtocolVersion, number, string]> = [
  [`${MQTT} 04 00 003c 0000`, 0x85, 4, 2, "3.1.1: no Client Identifier, but a session to keep"],
  ["0006 4d5149736470 03 02 003c 0000", 0x85, 3, 2, "3.1: no Client Identifier"],
  [`${MQTT} 03 02 003c 0001 61`, 0x84, 4, 1, "level 3 by the name of 3.1.1"],
  [`${MQTT} 00 02 003c 0001 61`, 0x84, 4, 1, "level 0"],
  [`${MQTT} 06 02 003c 00 0001 61`, 0x84, 5, 0x84, "level 6"],
  [`${MQTT} 84 02 003c 0001 61`, 0x84, 4, 1, "level 4 with the bridge bit"],
  ["0006 4d5149736470 04 02 003c 0001 61", 0x84, 3, 1, "level 4 by the name of 3.1"],
  ["0004 4d515455 04 02 003c 0001 61", 0x84, 4, -1, "another protocol's name"],
  ["0004 4d515455 05 02 003c 00 0001 61", 0x84, 5, 0x84, "another protocol's name at level 5"],
  ["0004 6d717474 04 02 003c 0001 61", 0x84, 4, -1, "the name in small letters"],
  ["0004 4d51 54", 0x81, 4, -1, "a cut name"],
  ["0003 4d5100 04 02 003c 0001 61", 0x81, 4, -1, "U+0000 in the name"],
  [`${MQTT}`, 0x81, 4, -1, "no level"],
  [`${MQTT} 04 03 003c 0001 61`, 0x81, 4, -1, "the reserved flag"],
  [`${MQTT} 05 03 003c 00 0001 61`, 0x81, 5, 0x81, "the reserved flag"],
  [`${MQTT} 05 1e 003c 00 0001 61 00 0001 77 0000`, 0x81, 5, 0x81, "Will QoS 3"],
  [`${MQTT} 05 0a 003c 00 0001 61`, 0x81, 5, 0x81, "Will QoS without a will"],
  [`${MQTT} 05 22 003c 00 0001 61`, 0x81, 5, 0x81, "Will Retain without a will"],
  [`${MQTT} 04 42 003c 0001 61 0001 70`, 0x81, 4, -1, "3.1.1: a password without a user name"],
  [`${MQTT} 04 02 003c 0001 61 00`, 0x81, 4, -1, "bytes after the end"],
  [`${MQTT} 05 02 003c 00 0001 61 00`, 0x81, 5, 0x81, "bytes after the end"],
  [`${MQTT} 05 02 003c 00 0001 00`, 0x81, 5, 0x81, "U+0000 in the Client Identifier"],
  [`${MQTT} 04 02 003c 0003 eda080`, 0x81, 4, -1, "a surrogate in the Client Identifier"],
  [`${MQTT} 05 82 003c 00 0001 61 0001 ff`, 0x81, 5, 0x81, "a user name that is no UTF-8"],
  [`${MQTT} 05 06 003c 00 0001 61 00 0001 23 0000`, 0x90, 5, 0x90, "a wildcard in the Will Topic"],
  [`${MQTT} 05 06 003c 00 0001 61 00 0000 0000`, 0x90, 5, 0x90, "an empty Will Topic"],
  [`${MQTT} 04 06 003c 0001 61 0001 2b 0000`, 0x90, 4, -1, "a wildcard in the Will Topic"],
  [`${MQTT} 05 06 003c 00 0001 61 00 0001 00 0000`, 0x81, 5, 0x81, "U+0000 in the Will Topic"],
  [`${MQTT} 05 02 003c 03 210000 0001 61`, 0x82, 5, 0x82, "Receive Maximum 0"],
  [`${MQTT} 05 02 003c 0a 11000000011100000001 0001 61`, 0x82, 5, 0x82, "Session Expiry Interval twice"],
  [`${MQTT} 05 02 003c 03 230001 0001 61`, 0x81, 5, 0x81, "a property of PUBLISH"],
  [`${MQTT} 05 02 003c 04 16000100 0001 61`, 0x82, 5, 0x82, "Authentication Data without a method"],
  [`${MQTT} 05 02 003c 7f 0001 61`, 0x81, 5, 0x81, "properties longer than the packet"],
  [`${MQTT} 05 06 003c 00 0001 61 05 1100000001 0001 77 0000`, 0x81, 5, 0x81, "a property of CONNECT in the will"],
  [`${MQTT} 05 06 003c 00 0001 61 04 01010101 0001 77 0000`, 0x82, 5, 0x82, "a Will Property twice"]
]
for (const [body, reasonCode, protocolVersion, connackCode, name] of illegal) {
  test(`${name}: 0x${reasonCode.toString(16)}, CONNACK ${connackCode}`, () => {
    const bytes = hex(body)
    const refusal = decode(Uint8Array.from([0x10, bytes.length, ...bytes]))
    assert.ok(refusal instanceof ConnectRefusal)
    assert.deepEqual({ ...refusal }, { reasonCode, protocolVersion, connackCode })
  })
}

test("what only version 5 allows: a password alone, no Client Identifier without a clean start", () => {
  const packet = accepted(hex("10 10 0004 4d515454 05 40 0000 00 0000 0001 70"))
  assert.equal(packet.clientIdentifier, "")
  assert.equal(packet.username, undefined)
  assert.deepEqual(packet.password, Uint8Array.of(0x70))
})

test("the result outlives the received bytes", () => {
  const frame = frameOf(hex("10 19 0004 4d515454 04 c6 0000 0001 61 0001 77 0001 78 0001 75 0001 70"))
  const packet = decodeConnect(frame.bytes, frame.start, frame.end)
  frame.bytes.fill(0)
  assert.ok(!(packet instanceof ConnectRefusal))
  assert.deepEqual([packet.will?.payload, packet.password], [Uint8Array.of(0x78), Uint8Array.of(0x70)])
})

const connackProperties = fc.record(
  {
    sessionExpiryInterval: fc.integer({ min: 0, max: 0xffffffff }),
    receiveMaximum: fc.integer({ min: 1, max: 65_535 }),
    maximumQos: fc.constantFrom<0 | 1>(0, 1),
    retainAvailable: fc.boolean(),
    maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
    assignedClientIdentifier: mqttString(),
    topicAliasMaximum: fc.nat(65_535),
    reasonString: mqttString(400),
    userProperties: fc.array(
      fc.tuple(
        mqttString().map((name) => `n${name}`),
        mqttString()
      ),
      { maxLength: 1 }
    ),
    wildcardSubscriptionAvailable: fc.boolean(),
    subscriptionIdentifierAvailable: fc.boolean(),
    sharedSubscriptionAvailable: fc.boolean(),
    serverKeepAlive: fc.nat(65_535),
    responseInformation: mqttString(),
    serverReference: mqttString(),
    authenticationMethod: mqttString(),
    authenticationData: fc.uint8Array({ maxLength: 20 })
  },
  { requiredKeys: [] }
)

test("CONNACK: what we write mqtt-packet reads, in the announced size", () => {
  fc.assert(
    fc.property(
      connackProperties,
      fc.boolean(),
      fc.constantFrom<ProtocolVersion>(4, 5),
      (properties, present, version) => {
        const packet: ConnackPacket = { ...properties, sessionPresent: present, reasonCode: 0 }
        const target = new Uint8Array(connackSize(version, packet) + 2).fill(0xee)
        const end = writeConnack(target, 1, version, packet)
        assert.equal(end, target.length - 1)
        assert.deepEqual([target[0], target[end]], [0xee, 0xee])
        const read = oracleDecode(target.slice(1, end), version)
        assert.ok(read?.cmd === "connack" && read.sessionPresent === present)
        assert.equal(version === 5 ? read.reasonCode : read.returnCode, 0)
        const { maximumQos, userProperties, subscriptionIdentifierAvailable, authenticationData, ...same } = properties
        const pairs = Object.fromEntries(userProperties ?? [])
        const expected: Record<string, unknown> = {
          ...same,
          ...(maximumQos !== undefined && { maximumQoS: maximumQos }),
          ...(Object.keys(pairs).length > 0 && { userProperties: pairs }),
          ...(subscriptionIdentifierAvailable !== undefined && {
            subscriptionIdentifiersAvailable: subscriptionIdentifierAvailable
          }),
          ...(authenticationData !== undefined && { authenticationData: Buffer.from(authenticationData) })
        }
        const found: Record<string, unknown> = { ...read.properties }
        assert.deepEqual(
          Object.fromEntries(
            Object.entries(found).map(([key, value]) => [
              key,
              key === "userProperties" ? { ...(value as object) } : value
            ])
          ),
          version === 5 ? expected : {}
        )
      }
    )
  )
})

test("CONNACK: no session is present in a refusal, nor in MQTT 3.1", () => {
  const target = new Uint8Array(8)
  assert.equal(writeConnack(target, 0, 5, { sessionPresent: true, reasonCode: 0x87 }), 5)
  assert.deepEqual([...target.slice(0, 5)], [0x20, 3, 0, 0x87, 0])
  assert.equal(writeConnack(target, 0, 3, { sessionPresent: true, reasonCode: 0 }), 4)
  assert.deepEqual([...target.slice(0, 4)], [0x20, 2, 0, 0])
  assert.equal(writeConnack(target, 0, 4, { sessionPresent: true, reasonCode: 0 }), 4)
  assert.deepEqual([...target.slice(0, 4)], [0x20, 2, 1, 0])
})

test("return codes before version 5", () => {
  assert.deepEqual([0, 0x84, 0x85, 0x88, 0x86, 0x87].map(returnCodeOf), [0, 1, 2, 3, 4, 5])
  assert.deepEqual([0x81, 0x82, 0x90].map(returnCodeOf), [-1, -1, -1])
})
