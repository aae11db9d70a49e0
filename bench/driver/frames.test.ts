import assert from "node:assert/strict"
import { test } from "node:test"
import mqttPacket, { type Packet } from "mqtt-packet"
import {
  connectFrame,
  disconnectFrame,
  MARKER,
  PAYLOAD_BYTES_MIN,
  type ProtocolLevel,
  publishBlock,
  readU16,
  readU32,
  subscribeFrame,
  targetBlock,
  writeU32
} from "./frames.ts"

function parsed(bytes: Uint8Array, level: ProtocolLevel): Packet[] {
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: level })
  parser.on("packet", (packet) => packets.push(packet))
  parser.on("error", (error) => assert.fail(error))
  parser.parse(Buffer.from(bytes))
  return packets
}

for (const level of [4, 5] as const) {
  test(`another codec reads our CONNECT, SUBSCRIBE and DISCONNECT (level ${level})`, () => {
    const [connect] = parsed(connectFrame(level, "bench-1", 600), level)
    assert.ok(connect?.cmd === "connect")
    assert.deepEqual(
      [connect.clientId, connect.protocolVersion, connect.keepalive, connect.clean],
      ["bench-1", level, 600, true]
    )
    const [subscribe] = parsed(subscribeFrame(level, 7, "bench/+", 2), level)
    assert.ok(subscribe?.cmd === "subscribe")
    assert.equal(subscribe.messageId, 7)
    assert.deepEqual([subscribe.subscriptions[0]?.topic, subscribe.subscriptions[0]?.qos], ["bench/+", 2])
    assert.equal(parsed(disconnectFrame(), level)[0]?.cmd, "disconnect")
  })

  for (const qos of [0, 1, 2] as const) {
    // 200 bytes need a Remaining Length of two bytes, 9 the shortest payload.
    for (const payloadBytes of [PAYLOAD_BYTES_MIN, 64, 200]) {
      test(`a patched PUBLISH is what it says (level ${level}, QoS ${qos}, ${payloadBytes} B)`, () => {
        const block = publishBlock({ level, topicName: "bench/p3", qos, payloadBytes, publisher: 3, count: 2 })
        for (let index = 0; index < 2; index++) {
          const frame = index * block.frameBytes
          writeU32(block.bytes, frame + block.sequenceAt, 0xfffffff0 + index)
          if (qos > 0) block.bytes[frame + block.identifierAt] = 0x12
          if (qos > 0) block.bytes[frame + block.identifierAt + 1] = 0x34 + index
        }
        const packets = parsed(block.bytes, level)
        assert.equal(packets.length, 2)
        packets.forEach((packet, index) => {
          assert.ok(packet.cmd === "publish")
          assert.equal(packet.topic, "bench/p3")
          assert.equal(packet.qos, qos)
          if (qos > 0) assert.equal(packet.messageId, 0x1234 + index)
          const payload = Buffer.from(packet.payload)
          assert.equal(payload.length, payloadBytes)
          assert.equal(readU32(payload, 0), 3)
          assert.equal(readU32(payload, 4), 0xfffffff0 + index)
          assert.equal(payload[payload.length - 1], MARKER)
        })
      })
    }
  }
}

test("a payload too short for its fields is refused", () => {
  const options = {
    level: 4,
    topicName: "t",
    qos: 0,
    payloadBytes: PAYLOAD_BYTES_MIN - 1,
    publisher: 0,
    count: 1
  } as const
  assert.throws(() => publishBlock(options), RangeError)
})

test("integers are read big endian, the top bit too", () => {
  assert.equal(readU16(Uint8Array.of(0, 0xfe, 0xdc), 1), 0xfedc)
  assert.equal(readU32(Uint8Array.of(0, 0xff, 0xee, 0xdd, 0xcc), 1), 0xffeeddcc)
})

for (const level of [4, 5] as const) {
  test(`a session that is kept is asked for (level ${level})`, () => {
    const [connect] = parsed(connectFrame(level, "bench-1", 600, "kept"), level)
    assert.ok(connect?.cmd === "connect")
    assert.equal(connect.clean, false)
    assert.equal(connect.properties?.sessionExpiryInterval, level === 5 ? 0xffffffff : undefined)
  })
}

test("a block over several targets: one frame each, with its name and its publisher", () => {
  const targets = ["bench/a", "bench/b"].map((topicName, index) => ({ topicName, publisher: 7 + index }))
  const block = targetBlock({ level: 4, targets, qos: 1, payloadBytes: 64 })
  for (let frame = 0; frame < 2; frame++) block.bytes[frame * block.frameBytes + block.identifierAt + 1] = 1 + frame
  const packets = parsed(block.bytes, 4)
  assert.deepEqual(
    packets.map((packet) => {
      assert.ok(packet.cmd === "publish")
      return [packet.topic, packet.messageId, readU32(Buffer.from(packet.payload), 0)]
    }),
    [
      ["bench/a", 1, 7],
      ["bench/b", 2, 8]
    ]
  )
})

test("topic names of several lengths, and none at all, are refused", () => {
  const options = { level: 4, qos: 1, payloadBytes: 64 } as const
  const targets = ["bench/a", "bench/bb"].map((topicName, publisher) => ({ topicName, publisher }))
  assert.throws(() => targetBlock({ ...options, targets }), RangeError)
  assert.throws(() => targetBlock({ ...options, targets: [] }), RangeError)
})
