import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { HeaderCursor, writeHeader } from "../../../core/log/mod.ts"
import { messageProperties, mqttString } from "./arbitraries.ts"
import {
  deliveryHeaderCount,
  deliveryHeaders,
  headersResult,
  headersSizeMax,
  headersToProperties,
  propertiesSizeMax,
  propertiesToHeaders
} from "./headers.ts"
import { PUBLISH, type Qos, WILL } from "./packet-types.ts"
import { PropertyView, readUserProperties, scanProperties } from "./properties.ts"
import { PublishView, scanPublish } from "./publish.ts"
import { frameOf, hex, hexOf, oracleEncode, utf8 } from "./testing.ts"

type Header = readonly [name: string | Uint8Array, value: string | Uint8Array | null]

const view = new PropertyView()

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? utf8(value) : value
}

function encodeHeaders(list: ReadonlyArray<Header>): Uint8Array {
  const target = new Uint8Array(
    list.reduce(
      (sum, [name, value]) => sum + bytesOf(name).length + (value === null ? 0 : bytesOf(value).length) + 10,
      0
    )
  )
  let position = 0
  for (const [name, value] of list) {
    const bytes = value === null ? undefined : bytesOf(value)
    position = writeHeader(target, position, bytesOf(name), bytes, 0, bytes?.length ?? 0)
  }
  return target.slice(0, position)
}

/** Properties to headers, as text. */
function headersOf(properties: Uint8Array): Array<readonly [string, string]> {
  const source = new Uint8Array(properties.length + 4).fill(0xff)
  source.set(properties, 2)
  const target = new Uint8Array(headersSizeMax(properties.length) + 8).fill(0xee)
  const end = propertiesToHeaders(source, 2, 2 + properties.length, target, 4)
  assert.ok(end <= target.length - 4, "within headersSizeMax")
  assert.ok(target.slice(0, 4).every((byte) => byte === 0xee) && target.slice(end).every((byte) => byte === 0xee))
  const cursor = new HeaderCursor()
  cursor.reset(target, 4, end, headersResult.headerCount)
  const found: Array<readonly [string, string]> = []
  const text = (start: number, stop: number) => Buffer.from(target.slice(start, stop)).toString("latin1")
  while (cursor.next()) found.push([text(cursor.nameStart, cursor.nameEnd), text(cursor.valueStart, cursor.valueEnd)])
  assert.equal(cursor.refusal, 0)
  return found
}

function roundTrip(properties: Uint8Array): Uint8Array {
  const headers = new Uint8Array(headersSizeMax(properties.length))
  const headersEnd = propertiesToHeaders(properties, 0, properties.length, headers, 0)
  return toProperties(headers.slice(0, headersEnd), headersResult.headerCount, true)
}

function toProperties(headers: Uint8Array, count: number, gathered: boolean): Uint8Array {
  const source = new Uint8Array(headers.length + 4).fill(0xff)
  source.set(headers, 2)
  const target = new Uint8Array(propertiesSizeMax(headers.length, count) + 8).fill(0xee)
  const end = headersToProperties(source, 2, 2 + headers.length, count, gathered, target, 4)
  assert.ok(end >= 4, "no such headers")
  assert.ok(end <= target.length - 4, "within propertiesSizeMax")
  assert.ok(target.slice(0, 4).every((byte) => byte === 0xee) && target.slice(end).every((byte) => byte === 0xee))
  return target.slice(4, end)
}

/** User Properties that subscribers of a Kafka client's record see. */
function foreign(list: ReadonlyArray<Header>): ReadonlyArray<readonly [string, string]> {
  const properties = toProperties(encodeHeaders(list), list.length, false)
  assert.equal(scanProperties(properties, 0, properties.length, PUBLISH, view), 0)
  return readUserProperties(properties, 0, properties.length, view)
}

test("the names in docs/interop.md", () => {
  const digits = [
    "01 01",
    "02 0000003c",
    "03 000a 746578742f706c61696e",
    "08 0003 722f61",
    "09 0002 00ff",
    "26 0001 61 0001 31",
    "23 0007",
    "26 0001 61 0001 32"
  ]
  assert.deepEqual(headersOf(hex(digits.join(""))), [
    ["mqtt.payload-format", "1"],
    ["mqtt.message-expiry", "60"],
    ["mqtt.content-type", "text/plain"],
    ["mqtt.response-topic", "r/a"],
    ["mqtt.correlation-data", "\x00\xff"],
    ["a", "1"],
    ["a", "2"]
  ])
})

test("reserved names from a client are escaped, and come back", () => {
  const userProperty = (name: string) => {
    const bytes = utf8(name)
    return Uint8Array.from([0x26, 0, bytes.length, ...bytes, 0, 1, 0x78])
  }
  for (const name of ["mqtt.qos", "mqtt.", "manifold-key", "manifold-", "manifold-raw:", "manifold-raw:mqtt.qos"]) {
    assert.deepEqual(headersOf(userProperty(name)), [[`manifold-raw:${name}`, "x"]])
    assert.deepEqual(roundTrip(userProperty(name)), userProperty(name))
    assert.equal(headersResult.qos, 0)
  }
  for (const name of ["mqtt", "MQTT.qos", "xmqtt.qos", "manifold", ""]) {
    assert.deepEqual(headersOf(userProperty(name)), [[name, "x"]])
  }
})

const reservedName = fc.constantFrom("mqtt.qos", "mqtt.x", "manifold-raw:a", "manifold-key", "mqtt.")
const userPropertyPair = fc.tuple(fc.oneof(mqttString(80), reservedName), mqttString(80))

test("MQTT to MQTT: every property comes back, byte for byte, in its order", () => {
  const publish = new PublishView()
  fc.assert(
    fc.property(messageProperties, fc.array(userPropertyPair, { maxLength: 5 }), (properties, pairs) => {
      const frame = frameOf(
        oracleEncode({ cmd: "publish", topic: "t", payload: "", qos: 0, dup: false, retain: false, properties }, 5)
      )
      assert.equal(scanPublish(frame.bytes, frame.firstByte, frame.start, frame.end, 5, publish), 0)
      const own = pairs.flatMap(([name, value]) => {
        const [nameBytes, valueBytes] = [utf8(name), utf8(value)]
        return [
          0x26,
          nameBytes.length >> 8,
          nameBytes.length & 255,
          ...nameBytes,
          valueBytes.length >> 8,
          valueBytes.length & 255,
          ...valueBytes
        ]
      })
      const whole = Uint8Array.from([...frame.bytes.slice(publish.propertiesStart, publish.propertiesEnd), ...own])
      assert.equal(hexOf(roundTrip(whole)), hexOf(whole))
      headersOf(whole)
    }),
    { numRuns: 1_000 }
  )
})

test("a Will Delay Interval belongs to the session, not to the message", () => {
  const properties = hex("18 00000005 26 0001 61 0001 31")
  assert.equal(scanProperties(properties, 0, properties.length, WILL, view), 0)
  assert.deepEqual(headersOf(properties), [["a", "1"]])
})

test("the message expiry can be counted down in place", () => {
  const target = new Uint8Array(64)
  const headers = encodeHeaders([
    ["a", "1"],
    ["mqtt.message-expiry", "4294967295"]
  ])
  const end = headersToProperties(headers, 0, headers.length, 2, true, target, 3)
  assert.equal(headersResult.messageExpiryInterval, 0xffffffff)
  assert.equal(hexOf(target.slice(headersResult.messageExpiryPosition, end)), "ffffffff")
  assert.equal(target[headersResult.messageExpiryPosition - 1], 0x02)
  assert.equal(headersToProperties(headers, 0, 0, 0, true, target, 3), 3)
  assert.equal(headersResult.messageExpiryInterval, -1)
  assert.equal(headersResult.messageExpiryPosition, -1)
})

test("QoS and retain: constant regions, read back from a batch of ours only", () => {
  for (const qos of [0, 1, 2] as const) {
    for (const retain of [false, true]) {
      const region = deliveryHeaders(qos, retain)
      const count = deliveryHeaderCount(qos, retain)
      assert.equal(toProperties(region, count, true).length, 0)
      assert.deepEqual([headersResult.qos, headersResult.retain], [qos, retain])
      assert.equal(scanCount(toProperties(region, count, false)), count)
      assert.deepEqual([headersResult.qos, headersResult.retain], [0 satisfies Qos, false])
    }
  }
})

function scanCount(properties: Uint8Array): number {
  assert.equal(scanProperties(properties, 0, properties.length, PUBLISH, view), 0)
  return view.userPropertyCount
}

test("a batch of ours: values that nobody of us wrote are dropped, other names of ours are not shown", () => {
  const bad: ReadonlyArray<Header> = [
    ["mqtt.message-expiry", ""],
    ["mqtt.message-expiry", "-1"],
    ["mqtt.message-expiry", "4294967296"],
    ["mqtt.payload-format", "2"],
    ["mqtt.content-type", null]
  ]
  for (const header of bad) {
    assert.equal(toProperties(encodeHeaders([header]), 1, true).length, 0)
    assert.equal(headersResult.droppedCount, 1)
  }
  for (const name of ["manifold-client-id", "mqtt.something-new", "mqtt."]) {
    assert.equal(toProperties(encodeHeaders([[name, "x"]]), 1, true).length, 0)
  }
})

test("a Kafka client's headers: text as it is, reserved names escaped, the rest in base64", () => {
  assert.deepEqual(
    foreign([
      ["trace", "ä1"],
      ["", ""],
      ["mqtt.qos", "2"],
      ["manifold-key", "x"],
      ["manifold-raw:mqtt.qos", "y"],
      ["bin", Uint8Array.of(0xff)],
      ["bin2", Uint8Array.of(0xff, 0xfe)],
      ["bin3", Uint8Array.of(0, 1, 2)],
      ["none", null],
      ["mqtt.qos", null],
      ["trace", "2"]
    ]),
    [
      ["trace", "ä1"],
      ["", ""],
      ["manifold-raw:mqtt.qos", "2"],
      ["manifold-raw:manifold-key", "x"],
      ["manifold-raw:manifold-raw:mqtt.qos", "y"],
      ["manifold-header-b64", "bin=/w=="],
      ["manifold-header-b64", "bin2=//4="],
      ["manifold-header-b64", "bin3=AAEC"],
      ["manifold-header-b64", "none"],
      ["manifold-header-b64", "mqtt.qos"],
      ["trace", "2"]
    ]
  )
  assert.equal(headersResult.droppedCount, 0)
})

test("a Kafka client's headers that no property holds are dropped and counted", () => {
  assert.deepEqual(
    foreign([
      [Uint8Array.of(0xff), "x"],
      ["long", "a".repeat(65_536)],
      ["bin", new Uint8Array(65_535)],
      ["n".repeat(65_536), null],
      [`mqtt.${"n".repeat(65_530)}`, "escaped too long"],
      ["kept", "a".repeat(65_535)]
    ]).map(([name]) => name),
    ["kept"]
  )
  assert.equal(headersResult.droppedCount, 5)
})

test("any headers of a Kafka client give valid properties, base64 as the runtime writes it", () => {
  const name = fc.oneof(mqttString(70), reservedName)
  const value = fc.option(fc.uint8Array({ maxLength: 70 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (list) => {
      const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      const expected = list.map(([header, bytes]) => {
        const escaped = /^(mqtt\.|manifold-)/.test(header) ? `manifold-raw:${header}` : header
        try {
          if (bytes !== null && !bytes.includes(0)) return [escaped, decoder.decode(bytes)]
        } catch {}
        const encoded = bytes === null ? header : `${header}=${Buffer.from(bytes).toString("base64")}`
        return ["manifold-header-b64", encoded]
      })
      assert.deepEqual(foreign(list), expected)
    }),
    { numRuns: 500 }
  )
})

test("bytes that are no headers, counts that lie: -1, nothing beyond the room", () => {
  const target = new Uint8Array(4_096)
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: 0, max: 10 }),
      fc.boolean(),
      (bytes, count, gathered) => {
        const end = headersToProperties(bytes, 0, bytes.length, count, gathered, target, 0)
        assert.ok(end >= -1 && end <= propertiesSizeMax(bytes.length, count))
      }
    ),
    { numRuns: 2_000 }
  )
  const one = encodeHeaders([["a", "b"]])
  for (const [start, end, count] of [
    [0, one.length, 0],
    [0, one.length, 2],
    [0, one.length - 1, 1],
    [1, one.length, 1],
    [0, one.length, 2_147_483_647]
  ] as const) {
    assert.equal(headersToProperties(one, start, end, count, true, target, 0), -1)
  }
})
