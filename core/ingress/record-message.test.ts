import assert from "node:assert/strict"
import { test } from "node:test"
import { deliveryHeaders, deliveryHeadersCount } from "../log/delivery-headers.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { headerSize, writeHeader } from "../log/record-header.ts"
import { factsOf } from "./fakes.ts"
import { Message } from "./Message.ts"
import { fillFromRecord, PRODUCED_QOS } from "./record-message.ts"

const encoder = new TextEncoder()

function headersOf(pairs: ReadonlyArray<readonly [string, string | undefined]>): Uint8Array {
  const parts = pairs.map(([name, value]) => {
    const nameBytes = encoder.encode(name)
    const valueBytes = value === undefined ? undefined : encoder.encode(value)
    const part = new Uint8Array(headerSize(nameBytes.length, valueBytes?.length ?? -1))
    writeHeader(part, 0, nameBytes, valueBytes, 0, valueBytes?.length ?? 0)
    return part
  })
  return new Uint8Array(Buffer.concat(parts))
}

/** The first record of a batch with these parts, as a message; the message held something else before. */
function read(
  key: string | undefined,
  value: string | undefined,
  pairs: ReadonlyArray<readonly [string, string | undefined]>,
  delivery: readonly [number, boolean],
  gathered: boolean
): Message {
  const builder = new RecordBatchBuilder()
  const keyBytes = key === undefined ? undefined : encoder.encode(key)
  const valueBytes = value === undefined ? undefined : encoder.encode(value)
  const headers = headersOf(pairs)
  const extra = deliveryHeaders(...delivery)
  builder.append(
    5_000,
    keyBytes,
    0,
    keyBytes?.length ?? 0,
    valueBytes,
    0,
    valueBytes?.length ?? 0,
    headers,
    0,
    headers.length,
    pairs.length,
    extra,
    0,
    extra.length,
    deliveryHeadersCount(...delivery)
  )
  const cursor = new RecordCursor()
  cursor.reset(builder.bytes, 0, builder.finish())
  assert.ok(cursor.next())
  const message = new Message()
  Object.assign(message, {
    qos: 2,
    retain: true,
    expiresAtMs: 9,
    publisher: "x",
    keyStart: 4,
    keyEnd: 8,
    wireFormat: 3
  })
  fillFromRecord(message, cursor, gathered)
  message.begin()
  return message
}

test("what the gatherer wrote comes back: QoS, retain, expiry; its own two headers are taken off", () => {
  const pairs = [
    ["mqtt.message-expiry", "30"],
    ["colour", "red"]
  ] as const
  for (const qos of [0, 1, 2]) {
    for (const retain of [false, true]) {
      const facts = factsOf(read("a/b", "v", pairs, [qos, retain], true))
      assert.deepEqual(facts, {
        tenant: 0,
        topic: "a/b",
        payload: Buffer.from("v").toString("hex"),
        headers: headersOf(pairs).toHex(),
        headerCount: 2,
        key: undefined,
        gathered: true,
        qos,
        retain,
        timestamp: 5_000,
        expiresAtMs: 35_000,
        publisher: "",
        partition: -1,
        offset: -1,
        queue: -1,
        queueOffset: -1
      })
    }
  }
})

test("a null value is an empty payload", () => {
  assert.equal(factsOf(read("a", undefined, [], [1, true], true))["payload"], "")
})

test("a record of a Kafka client is data: its headers are not obeyed and not taken off", () => {
  const pairs = [
    ["mqtt.qos", "2"],
    ["mqtt.retain", "1"],
    ["mqtt.message-expiry", "1"]
  ] as const
  const message = read("k", "v", pairs, [0, false], false)
  const facts = factsOf(message)
  assert.deepEqual([facts["qos"], facts["retain"], facts["expiresAtMs"]], [PRODUCED_QOS, false, 0])
  assert.equal(facts["headers"], headersOf(pairs).toHex())
  assert.equal(facts["headerCount"], 3)
  assert.deepEqual([message.keyStart, message.wireFormat, message.publisher], [-1, 0, ""])
})

test("names that begin like ours are not ours", () => {
  const pairs = [
    ["mqtt.qosx", "2"],
    ["mqtt.retai", "1"],
    ["MQTT.message-expiry", "12"]
  ] as const
  const facts = factsOf(read("a", "", pairs, [0, false], true))
  assert.deepEqual([facts["qos"], facts["retain"], facts["expiresAtMs"]], [0, false, 0])
  assert.equal(facts["headerCount"], 3)
})
