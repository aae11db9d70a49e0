/**
 * What real clients send, recorded by tests/support/record-mqtt.ts: each stream is cut at every position, and each
 * packet decoded and compared with the facts of the recorder's two stories.
 */
import assert from "node:assert"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { AcknowledgementView, scanAcknowledgement } from "./acknowledgements.ts"
import { ConnectRefusal, decodeConnect } from "./connect.ts"
import { decodeDisconnect } from "./disconnect.ts"
import { PacketStream } from "./framing.ts"
import * as Types from "./packet-types.ts"
import { readUserProperties } from "./properties.ts"
import { checkPublishTopic, PublishView, scanPublish } from "./publish.ts"
import { Refusal } from "./refusal.ts"
import { decodeSubscribe } from "./subscribe.ts"
import { type Frame, hex } from "./testing.ts"
import { decodeUnsubscribe } from "./unsubscribe.ts"

interface Recording {
  readonly client: string
  readonly version: 4 | 5
  readonly story: "publish" | "subscribe"
  readonly stream: string
}

const folder = new URL("./golden/", import.meta.url)
const recordings = readdirSync(folder)
  .filter((name) => name.endsWith(".golden.json"))
  .flatMap((name): ReadonlyArray<Recording> => JSON.parse(readFileSync(new URL(name, folder), "utf8")))

function split(stream: Uint8Array, cut: number): Array<Frame> {
  const frames: Array<Frame> = []
  const packets = new PacketStream()
  const handler = {
    packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
      frames.push({ bytes, firstByte, start, end })
      return 0
    }
  }
  assert.equal(packets.feed(stream.slice(0, cut), handler), 0)
  assert.equal(packets.feed(stream.slice(cut), handler), 0)
  assert.equal(packets.midPacket, false)
  return frames
}

const text = (frame: Frame, start: number, end: number) => Buffer.from(frame.bytes.slice(start, end)).toString()

function checkConnect(frame: Frame, { version, story, client }: Recording): void {
  const packet = decodeConnect(frame.bytes, frame.start, frame.end)
  assert.ok(!(packet instanceof ConnectRefusal))
  assert.equal(packet.protocolVersion, version)
  assert.equal(packet.clientIdentifier, "recorder")
  assert.equal(packet.cleanStart, true)
  assert.equal(packet.keepAlive, 60)
  const asksForSession = version === 5 && (client !== "mosquitto" || story === "publish")
  assert.equal(packet.sessionExpiryInterval, asksForSession ? 100 : 0)
  if (story === "subscribe") {
    assert.deepEqual([packet.username, packet.password, packet.will], [undefined, undefined, undefined])
    return
  }
  assert.equal(packet.username, "ada")
  assert.deepEqual(Buffer.from(packet.password ?? []).toString(), "lovelace")
  assert.ok(packet.will)
  assert.deepEqual([packet.will.topic, packet.will.qos, packet.will.retain], ["rec/will", 1, true])
  assert.equal(Buffer.from(packet.will.payload).toString(), "gone")
  assert.equal(packet.will.delayInterval, version === 5 ? 5 : 0)
}

function checkPublish(frame: Frame, { version, client }: Recording): number {
  const view = new PublishView()
  assert.equal(scanPublish(frame.bytes, frame.firstByte, frame.start, frame.end, version, view), 0)
  assert.equal(checkPublishTopic(frame.bytes, view.topicStart, view.topicEnd), 0)
  assert.equal(text(frame, view.topicStart, view.topicEnd), "rec/température")
  assert.equal(text(frame, view.payloadStart, view.payloadEnd), "21.5")
  assert.deepEqual([view.retain, view.dup], [true, false])
  assert.equal(view.packetIdentifier === 0, view.qos === 0)
  if (version !== 5) return view.qos
  const { properties } = view
  assert.deepEqual([view.payloadFormat, view.messageExpiryInterval, view.topicAlias], [1, 60, -1])
  assert.equal(text(frame, properties.contentTypeStart, properties.contentTypeEnd), "text/plain")
  assert.equal(text(frame, properties.responseTopicStart, properties.responseTopicEnd), "rec/answer")
  assert.equal(text(frame, properties.correlationDataStart, properties.correlationDataEnd), "c-1")
  // MQTT.js keeps User Properties in an object, and so groups equal names.
  const [a1, b2, a3] = [
    ["a", "1"],
    ["b", "2"],
    ["a", "3"]
  ]
  assert.deepEqual(
    readUserProperties(frame.bytes, view.propertiesStart, view.propertiesEnd, properties),
    client === "mqttjs" ? [a1, a3, b2] : [a1, b2, a3]
  )
  return view.qos
}

function checkOther(frame: Frame, { version }: Recording): void {
  const { bytes, firstByte, start, end } = frame
  switch (firstByte >> 4) {
    case Types.SUBSCRIBE: {
      const packet = decodeSubscribe(bytes, start, end, version)
      assert.ok(!(packet instanceof Refusal))
      assert.equal(packet.subscriptionIdentifier, version === 5 ? 300 : 0)
      const options = { qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, reasonCode: 0 }
      assert.deepEqual(packet.subscriptions, [{ filter: "rec/+/x", ...options }])
      return
    }
    case Types.UNSUBSCRIBE: {
      const packet = decodeUnsubscribe(bytes, start, end, version)
      assert.ok(!(packet instanceof Refusal))
      assert.deepEqual(packet.filters, [{ filter: "rec/other/#", reasonCode: 0 }])
      return
    }
    case Types.DISCONNECT: {
      const packet = decodeDisconnect(bytes, start, end, version)
      assert.ok(!(packet instanceof Refusal) && packet.reasonCode === 0)
      return
    }
    default: {
      const view = new AcknowledgementView()
      assert.equal(scanAcknowledgement(bytes, firstByte >> 4, start, end, version, view), 0)
      assert.equal(view.reasonCode, 0)
      assert.ok(view.packetIdentifier > 0)
    }
  }
}

test("three clients, two versions, two stories", () => assert.equal(recordings.length, 12))

for (const recording of recordings) {
  const { client, version, story } = recording
  test(`${client}, version ${version}, ${story}: every packet, cut anywhere`, () => {
    const stream = hex(recording.stream)
    for (let cut = 0; cut <= stream.length; cut++) {
      const frames = split(stream, cut)
      const types = frames.map((frame) => frame.firstByte >> 4)
      assert.equal(types[0], Types.CONNECT)
      assert.equal(types.at(-1), Types.DISCONNECT)
      const levels: Array<number> = []
      for (const [index, frame] of frames.entries()) {
        if (index === 0) checkConnect(frame, recording)
        else if (types[index] === Types.PUBLISH) levels.push(checkPublish(frame, recording))
        else checkOther(frame, recording)
      }
      if (story === "publish") assert.deepEqual(levels, client === "mosquitto" ? [2] : [0, 1, 2])
      else
        for (const needed of [Types.SUBSCRIBE, Types.UNSUBSCRIBE, Types.PUBACK, Types.PUBREC])
          assert.ok(types.includes(needed))
    }
  })
}
