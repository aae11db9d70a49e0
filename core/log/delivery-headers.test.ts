import assert from "node:assert/strict"
import { test } from "node:test"
import { deliveryHeaders, deliveryHeadersCount } from "./delivery-headers.ts"
import { HeaderCursor } from "./HeaderCursor.ts"

const text = new TextDecoder()

test("QoS and retain flag as headers, left out at their defaults", () => {
  const rows: ReadonlyArray<readonly [number, boolean, ReadonlyArray<string>]> = [
    [0, false, []],
    [1, false, ["mqtt.qos=1"]],
    [2, false, ["mqtt.qos=2"]],
    [0, true, ["mqtt.retain=1"]],
    [1, true, ["mqtt.qos=1", "mqtt.retain=1"]],
    [2, true, ["mqtt.qos=2", "mqtt.retain=1"]]
  ]
  const cursor = new HeaderCursor()
  for (const [qos, retain, expected] of rows) {
    const bytes = deliveryHeaders(qos, retain)
    const count = deliveryHeadersCount(qos, retain)
    assert.equal(count, expected.length)
    const found: Array<string> = []
    cursor.reset(bytes, 0, bytes.length, count)
    while (cursor.next()) {
      const name = text.decode(cursor.bytes.subarray(cursor.nameStart, cursor.nameEnd))
      found.push(`${name}=${text.decode(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd))}`)
    }
    assert.deepEqual(found, expected)
  }
})

test("the bytes, as Kafka encodes them", () => {
  // Zig-zag varints: name length 8 = 10 hex, value length 1 = 02 hex.
  assert.equal(deliveryHeaders(1, false).toHex(), `10${Buffer.from("mqtt.qos").toString("hex")}0231`)
  assert.equal(deliveryHeaders(0, true).toHex(), `16${Buffer.from("mqtt.retain").toString("hex")}0231`)
})

test("equal calls share their bytes: none are made per message", () => {
  assert.equal(deliveryHeaders(2, true), deliveryHeaders(2, true))
})
