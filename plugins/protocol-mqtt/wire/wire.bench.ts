/**
 * Nanoseconds a packet, for the hot path: `bun plugins/protocol-mqtt/wire/wire.bench.ts`.
 *
 * The check value forbids dead code.
 */
import { AcknowledgementView, scanAcknowledgement, writeAcknowledgement } from "./acknowledgements.ts"
import { decodeConnect } from "./connect.ts"
import { PacketStream } from "./framing.ts"
import {
  headersResult,
  headersSizeMax,
  headersToProperties,
  propertiesSizeMax,
  propertiesToHeaders
} from "./headers.ts"
import { PUBACK } from "./packet-types.ts"
import { checkPublishTopic, PublishView, scanPublish, writePublish } from "./publish.ts"
import { frameOf, hex, utf8 } from "./testing.ts"

const ROUNDS = 2_000_000
const REPEATS = 5

function measure(name: string, size: number, round: (index: number) => number, rounds = ROUNDS): void {
  const figures: Array<number> = []
  let check = 0
  for (let repeat = 0; repeat <= REPEATS; repeat++) {
    const start = performance.now()
    for (let index = 0; index < rounds; index++) check = (check + round(index)) >>> 0
    // The first repeat warms up.
    if (repeat > 0) figures.push(((performance.now() - start) * 1e6) / rounds)
  }
  figures.sort((one, other) => one - other)
  const [low, middle, high] = [figures[0], figures[REPEATS >> 1], figures[REPEATS - 1]].map((ns) => ns?.toFixed(1))
  console.log(`${name}: ${middle} ns (${low} to ${high}), ${size} bytes, check ${check}`)
}

const topic = utf8("sensors/room1/temperature")
const none = new Uint8Array(0)
const payload = new Uint8Array(64).fill(0x61)
const properties = hex("0101 020000003c 03000a746578742f706c61696e 26 0005 7472616365 0008 3031323334353637")
const view = new PublishView()

for (const [name, version, qos, own] of [
  ["QoS 0", 4, 0, none],
  ["QoS 1, version 5, no properties", 5, 1, none],
  ["QoS 1, version 5, four properties", 5, 1, properties]
] as const) {
  const target = new Uint8Array(256)
  const write = (identifier: number) =>
    writePublish(
      target,
      0,
      version,
      qos,
      false,
      false,
      topic,
      0,
      topic.length,
      identifier,
      own,
      0,
      own.length,
      payload,
      0,
      64
    )
  const end = write(7)
  const frame = frameOf(target.slice(0, end))
  measure(`scan PUBLISH ${name}`, end, () => {
    scanPublish(frame.bytes, frame.firstByte, frame.start, frame.end, version, view)
    return view.payloadStart
  })
  measure(`write PUBLISH ${name}`, end, (index) => write((index & 0x7fff) + 1))
}

measure("check topic name", topic.length, () => checkPublishTopic(topic, 0, topic.length) + 1)

const acknowledgement = new Uint8Array(4)
const acknowledgementView = new AcknowledgementView()
measure("write and scan PUBACK", 4, (index) => {
  writeAcknowledgement(acknowledgement, 0, PUBACK, (index & 0x7fff) + 1)
  scanAcknowledgement(acknowledgement, PUBACK, 2, 4, 5, acknowledgementView)
  return acknowledgementView.packetIdentifier
})

const headers = new Uint8Array(headersSizeMax(properties.length))
const back = new Uint8Array(propertiesSizeMax(headers.length, 8))
measure("properties to headers", properties.length, () =>
  propertiesToHeaders(properties, 0, properties.length, headers, 0)
)
const headersEnd = propertiesToHeaders(properties, 0, properties.length, headers, 0)
const count = headersResult.headerCount
measure("headers to properties", headersEnd, () => headersToProperties(headers, 0, headersEnd, count, true, back, 0))

const chunk = new Uint8Array(64 * 1024)
let filled = 0
while (filled + 100 < chunk.length) {
  filled = writePublish(chunk, filled, 4, 0, false, false, topic, 0, topic.length, 0, none, 0, 0, payload, 0, 64)
}
const burst = chunk.slice(0, filled)
const connect = hex("10 0d 0004 4d515454 04 02 003c 0001 61")
const stream = new PacketStream()
stream.feed(connect, { packet: () => 0 })
let packets = 0
const handler = {
  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    packets++
    return scanPublish(bytes, firstByte, start, end, 4, view)
  }
}
stream.feed(burst, handler)
const inBurst = packets
measure(`frame and scan ${inBurst} PUBLISH`, burst.length, () => stream.feed(burst, handler) + 1, 5_000)

const whole = frameOf(
  hex(
    "10 2e 0004 4d515454 05 c6 003c 0c 1100000001 210001 150001 61 0001 63 07 1800000001 0101 0001 77 0001 78 0001 75 0001 70"
  )
)
measure(
  "decode CONNECT with everything",
  48,
  () => ("will" in decodeConnect(whole.bytes, whole.start, whole.end) ? 1 : 0),
  200_000
)
