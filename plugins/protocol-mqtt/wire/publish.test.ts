import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import type { IPublishPacket } from "mqtt-packet"
import { messageProperties, packetIdentifier, publishPacket } from "./arbitraries.ts"
import type { ProtocolVersion, Qos } from "./packet-types.ts"
import { ABSENT } from "./properties.ts"
import {
  PublishView,
  packetIdentifierPosition,
  patchPacketIdentifier,
  publishFrameSize,
  scanPublish,
  writePublish
} from "./publish.ts"
import { embed, type Frame, frameOf, hex, hexOf, oracleDecode, oracleEncode, utf8 } from "./testing.ts"

const view = new PublishView()
const versions = fc.constantFrom<ProtocolVersion>(3, 4, 5)

function scan(frame: Frame, version: ProtocolVersion): number {
  return scanPublish(frame.bytes, frame.firstByte, frame.start, frame.end, version, view)
}

function slice(frame: Frame, start: number, end: number): Buffer {
  return Buffer.from(frame.bytes.slice(start, end))
}

function decoded(frame: Frame, version: ProtocolVersion): Omit<IPublishPacket, "properties" | "length"> {
  assert.equal(scan(frame, version), 0)
  return {
    cmd: "publish",
    topic: slice(frame, view.topicStart, view.topicEnd).toString(),
    payload: slice(frame, view.payloadStart, view.payloadEnd),
    qos: view.qos,
    retain: view.retain,
    dup: view.dup,
    messageId: view.packetIdentifier
  }
}

test("MQTT 3.1.1, figure 3.11: topic a/b, QoS 1, identifier 10, no payload", () => {
  const frame = frameOf(hex("32 07 0003 612f62 000a"))
  const { topic, payload, ...rest } = decoded(frame, 4)
  assert.equal(topic, "a/b")
  assert.equal(payload.length, 0)
  assert.deepEqual(rest, { cmd: "publish", qos: 1, retain: false, dup: false, messageId: 10 })
})

test("what mqtt-packet writes we read, in the middle of other bytes", () => {
  fc.assert(
    fc.property(publishPacket, versions, (packet, version) => {
      const frame = embed(frameOf(oracleEncode(packet, version)))
      const { properties = {}, ...expected } = packet
      assert.deepEqual(decoded(frame, version), { ...expected, messageId: packet.qos === 0 ? 0 : packet.messageId })
      const known = version === 5 ? properties : {}
      assert.equal(view.topicAlias, known.topicAlias ?? ABSENT)
      assert.equal(view.messageExpiryInterval, known.messageExpiryInterval ?? ABSENT)
      const format = known.payloadFormatIndicator
      assert.equal(view.payloadFormat, format === undefined ? ABSENT : Number(format))
      assert.ok(version === 5 || view.propertiesStart === view.propertiesEnd)
    }),
    { numRuns: 500 }
  )
})

test("what we write mqtt-packet reads, in the announced size, and the identifier can be patched in place", () => {
  fc.assert(
    fc.property(publishPacket, versions, packetIdentifier, (packet, version, other) => {
      // Properties are taken from the oracle's own encoding: the range between name and payload.
      const source = frameOf(oracleEncode(packet, 5))
      assert.equal(scan(source, 5), 0)
      const qos = packet.qos as Qos
      const size = publishFrameSize(
        version,
        qos,
        view.topicEnd - view.topicStart,
        view.propertiesEnd - view.propertiesStart,
        view.payloadEnd - view.payloadStart
      )
      const target = new Uint8Array(size + 7).fill(0xee)
      const end = writePublish(
        target,
        4,
        version,
        qos,
        packet.retain,
        packet.dup,
        source.bytes,
        view.topicStart,
        view.topicEnd,
        packet.messageId ?? 0,
        source.bytes,
        view.propertiesStart,
        view.propertiesEnd,
        source.bytes,
        view.payloadStart,
        view.payloadEnd
      )
      assert.equal(end, 4 + size)
      assert.equal(hexOf(target.slice(0, 4)) + hexOf(target.slice(end)), "eeeeeeeeeeeeee")
      const written = target.slice(4, end)
      assert.equal(hexOf(written), hexOf(oracleEncode(packet, version)))
      if (qos === 0) return
      patchPacketIdentifier(target, packetIdentifierPosition(target, 4), other)
      assert.equal(hexOf(target.slice(4, end)), hexOf(oracleEncode({ ...packet, messageId: other }, version)))
    }),
    { numRuns: 500 }
  )
})

test("a payload that needs four bytes of Remaining Length", () => {
  const payload = new Uint8Array(2_100_000).fill(7)
  const none = new Uint8Array(0)
  const target = new Uint8Array(publishFrameSize(5, 1, 1, 0, payload.length))
  const topic = utf8("t")
  const end = writePublish(target, 0, 5, 1, false, false, topic, 0, 1, 9, none, 0, 0, payload, 0, payload.length)
  assert.equal(end, target.length)
  const read = oracleDecode(target, 5)
  assert.ok(read?.cmd === "publish" && read.messageId === 9 && read.payload.length === payload.length)
  assert.equal(packetIdentifierPosition(target, 0), 5 + 2 + 1)
})

// Version, packet, Reason Code, what it is.
const illegal: ReadonlyArray<readonly [ProtocolVersion, string, number, string]> = [
  [4, "30 00", 0x81, "nothing at all"],
  [4, "30 01 00", 0x81, "half a length"],
  [4, "30 03 0002 61", 0x81, "a name longer than the packet"],
  [4, "30 02 0000", 0x82, "no topic name"],
  [4, "32 03 0001 61", 0x81, "QoS 1 without an identifier"],
  [4, "32 04 0001 61 00", 0x81, "half an identifier"],
  [4, "32 05 0001 61 0000", 0x82, "Packet Identifier 0"],
  [5, "34 06 0001 61 0000 00", 0x82, "Packet Identifier 0"],
  [4, "36 05 0001 61 0001", 0x81, "QoS 3"],
  [4, "38 03 0001 61", 0x81, "DUP with QoS 0"],
  [5, "30 03 0001 61", 0x81, "no Property Length"],
  [5, "30 04 0001 61 80", 0x81, "half a Property Length"],
  [5, "30 05 0001 61 8000", 0x81, "a Property Length not in its shortest form"],
  [5, "30 08 0001 61 ffffffff 00", 0x81, "a Property Length of five bytes"],
  [5, "30 05 0001 61 02 01", 0x81, "properties longer than the packet"],
  [5, "30 05 0001 61 01 01", 0x81, "a property cut by the Property Length"],
  [5, "30 03 0000 00", 0x82, "neither name nor alias"],
  [5, "30 07 0001 61 03 230000", 0x94, "Topic Alias 0"],
  [5, "30 06 0001 61 02 0b01", 0x82, "a Subscription Identifier from a client"],
  [5, "30 08 0001 61 04 0101 0101", 0x82, "a property twice"],
  [5, "30 09 0001 61 05 1100000001", 0x81, "a property of CONNECT"]
]
for (const [version, digits, expected, name] of illegal) {
  test(`version ${version}: ${name}: 0x${expected.toString(16)}`, () => {
    const frame = embed(frameOf(hex(digits)))
    assert.equal(scan(frame, version), expected)
  })
}

test("no name, but an alias: allowed", () => {
  assert.equal(scan(frameOf(hex("30 06 0000 03 230007")), 5), 0)
  assert.equal(view.topicAlias, 7)
  assert.equal(view.topicStart, view.topicEnd)
})

test("a view forgets the properties of the packet before", () => {
  assert.equal(scan(frameOf(hex("30 0b 0001 61 07 0101 020000003c")), 5), 0)
  assert.equal(view.messageExpiryInterval, 60)
  assert.equal(scan(frameOf(hex("30 04 0001 61 00")), 5), 0)
  assert.equal(view.messageExpiryInterval, ABSENT)
  assert.equal(view.payloadFormat, ABSENT)
})

test("cut anywhere before the payload: malformed; cut inside the payload: a shorter payload", () => {
  fc.assert(
    fc.property(publishPacket, messageProperties, versions, (packet, properties, version) => {
      const frame = frameOf(oracleEncode({ ...packet, properties }, version))
      assert.equal(scan(frame, version), 0)
      const { payloadStart } = view
      for (let end = frame.start; end < payloadStart; end++) {
        assert.equal(scanPublish(frame.bytes, frame.firstByte, frame.start, end, version, view), 0x81)
      }
    }),
    { numRuns: 60 }
  )
})
