/** Finding and writing a PUBLISH by position, beside mqtt-packet, which builds an object for each. */
import mqttPacket from "mqtt-packet"
import { PACKET_SIZE_MAX_BEFORE_CONNECT, PacketStream } from "../../plugins/protocol-mqtt/wire/framing.ts"
import { PublishView, scanPublish, writePublish } from "../../plugins/protocol-mqtt/wire/publish.ts"
import { connectFrame, type ProtocolLevel, publishBlock, type QualityOfService } from "../driver/frames.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const FRAMES = 1000
const PAYLOAD_BYTES = 64
const topicName = "devices/room1/sensor"

function block(
  level: ProtocolLevel,
  qos: QualityOfService
): { readonly bytes: Uint8Array; readonly frameBytes: number } {
  const frames = publishBlock({ level, topicName, qos, payloadBytes: PAYLOAD_BYTES, publisher: 1, count: FRAMES })
  for (let index = 0; frames.identifierAt >= 0 && index < FRAMES; index++) {
    frames.bytes[index * frames.frameBytes + frames.identifierAt + 1] = 1
  }
  return frames
}

/** The chunk of a socket: 1,000 frames cut by the stream, each one scanned. */
function scan(level: ProtocolLevel, qos: QualityOfService): MicroCase {
  const { bytes, frameBytes } = block(level, qos)
  const stream = new PacketStream()
  const view = new PublishView()
  let check = 0
  const handler = {
    packet(chunk: Uint8Array, firstByte: number, start: number, end: number): number {
      if (firstByte >> 4 !== 3) return 0
      const code = scanPublish(chunk, firstByte, start, end, level, view)
      check = (check + view.payloadStart + view.payloadEnd + view.packetIdentifier + code) >>> 0
      return code
    }
  }
  stream.feed(connectFrame(level, "micro", 60), handler)
  stream.maximumPacketSize = Math.max(stream.maximumPacketSize, PACKET_SIZE_MAX_BEFORE_CONNECT)
  return {
    name: `stream and scan, MQTT ${level === 5 ? "5.0" : "3.1.1"}, QoS ${qos}`,
    bytes: frameBytes,
    operations: FRAMES,
    run: () => {
      check = 0
      const code = stream.feed(bytes, handler)
      if (code !== 0) throw new Error(`the stream ended with ${code}`)
      return check
    }
  }
}

function write(level: ProtocolLevel, qos: QualityOfService): MicroCase {
  const topic = new TextEncoder().encode(topicName)
  const payload = new Uint8Array(PAYLOAD_BYTES).fill(0x2e)
  const none = new Uint8Array(0)
  const target = new Uint8Array(FRAMES * (PAYLOAD_BYTES + 64))
  return {
    name: `write, MQTT ${level === 5 ? "5.0" : "3.1.1"}, QoS ${qos}`,
    bytes: block(level, qos).frameBytes,
    operations: FRAMES,
    run: () => {
      let at = 0
      for (let index = 1; index <= FRAMES; index++) {
        at = writePublish(
          target,
          at,
          level,
          qos,
          false,
          false,
          topic,
          0,
          topic.length,
          index,
          none,
          0,
          0,
          payload,
          0,
          PAYLOAD_BYTES
        )
      }
      return at + (target[at - 1] ?? 0)
    }
  }
}

function object(level: ProtocolLevel): MicroCase {
  const { bytes, frameBytes } = block(level, 0)
  const chunk = Buffer.from(bytes)
  return {
    name: `mqtt-packet, MQTT ${level === 5 ? "5.0" : "3.1.1"}, QoS 0`,
    bytes: frameBytes,
    operations: FRAMES,
    run: () => {
      let check = 0
      const parser = mqttPacket.parser({ protocolVersion: level })
      parser.on("packet", (packet) => {
        if (packet.cmd === "publish") check += packet.payload.length + packet.topic.length
      })
      parser.parse(chunk)
      return check
    }
  }
}

export const suite: MicroSuite = {
  name: "publish-scan (64 B payload, 1,000 frames a chunk)",
  cases: [scan(4, 0), scan(4, 1), scan(5, 0), write(4, 0), write(5, 1), object(4)]
}
