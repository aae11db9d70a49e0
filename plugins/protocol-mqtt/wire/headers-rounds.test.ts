/** Names that could be taken for ours, through MQTT and Kafka several times round: whoever copies what it got never makes the broker obey it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { HeaderCursor, writeHeader } from "../../../core/log/mod.ts"
import { mqttString } from "./arbitraries.ts"
import {
  headersResult,
  headersSizeMax,
  headersToProperties,
  propertiesSizeMax,
  propertiesToHeaders
} from "./headers.ts"
import { PUBLISH } from "./packet-types.ts"
import { PropertyView, readUserProperties, scanProperties } from "./properties.ts"
import { writeUserProperty } from "./property-writers.ts"
import { utf8 } from "./testing.ts"

type Pair = readonly [name: string, value: string]
interface Stored {
  readonly bytes: Uint8Array
  readonly count: number
}

const ESCAPE = "manifold-raw:"
const RESERVED = /^(?:mqtt\.|manifold-)/
/** Those of a record or a message that nobody escaped, and of a name that anybody wrote. */
const name = fc.oneof(
  mqttString(30),
  fc.constantFrom("mqtt.qos", "mqtt.retain", "mqtt.content-type", "mqtt.message-expiry", "mqtt.", "mqtt", "manifold-"),
  fc.constantFrom("manifold-key", "manifold-key-b64", "manifold-timestamp", "manifold-header-b64", `${ESCAPE}mqtt.qos`)
)
const pair = fc.tuple(name, mqttString(30))

/** What a client publishes by MQTT 5, as the broker stores it. */
function store(pairs: ReadonlyArray<Pair>): Stored {
  const properties = new Uint8Array(pairs.reduce((sum, [key, value]) => sum + 5 + 4 * (key.length + value.length), 0))
  let end = 0
  for (const [key, value] of pairs) {
    end = writeUserProperty(properties, end, utf8(key), utf8(value))
  }
  const bytes = new Uint8Array(headersSizeMax(end))
  const length = propertiesToHeaders(properties, 0, end, bytes, 0)
  return { bytes: bytes.slice(0, length), count: headersResult.headerCount }
}

/** What an MQTT 5 subscriber gets of stored headers: of ours, or of a record that a Kafka client produced. */
function deliver({ bytes, count }: Stored, gathered: boolean): ReadonlyArray<Pair> {
  const target = new Uint8Array(propertiesSizeMax(bytes.length, count))
  const end = headersToProperties(bytes, 0, bytes.length, count, gathered, target, 0)
  const view = new PropertyView()
  assert.equal(scanProperties(target, 0, end, PUBLISH, view), 0)
  // Nothing but user properties: no header of a client is a property of ours.
  assert.deepEqual([headersResult.qos, headersResult.retain, headersResult.messageExpiryInterval], [0, false, -1])
  return readUserProperties(target, 0, end, view)
}

/** What a Kafka consumer gets. */
function fetch({ bytes, count }: Stored): ReadonlyArray<Pair> {
  const cursor = new HeaderCursor()
  cursor.reset(bytes, 0, bytes.length, count)
  const text = (start: number, end: number): string => Buffer.from(bytes.subarray(start, end)).toString()
  const found: Array<Pair> = []
  while (cursor.next()) found.push([text(cursor.nameStart, cursor.nameEnd), text(cursor.valueStart, cursor.valueEnd)])
  return found
}

/** What a Kafka producer sends. */
function produce(pairs: ReadonlyArray<Pair>): Stored {
  const bytes = new Uint8Array(pairs.reduce((sum, [key, value]) => sum + 10 + 4 * (key.length + value.length), 0))
  let end = 0
  for (const [key, value] of pairs) {
    const valueBytes = utf8(value)
    end = writeHeader(bytes, end, utf8(key), valueBytes, 0, valueBytes.length)
  }
  return { bytes: bytes.slice(0, end), count: pairs.length }
}

const escaped = ([key, value]: Pair): Pair => [RESERVED.test(key) ? ESCAPE + key : key, value]

test("MQTT to Kafka and on: one escape when it is stored by us, one when Kafka's record is delivered; values and order stay", () => {
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 6 }), fc.integer({ min: 1, max: 6 }), (pairs, rounds) => {
      let sent: ReadonlyArray<Pair> = pairs
      for (let round = 0; round < rounds; round++) {
        const stored = store(sent)
        // MQTT to MQTT everything survives, MQTT to Kafka too.
        assert.deepEqual(deliver(stored, true), sent)
        assert.deepEqual(fetch(stored), sent.map(escaped))
        // A Kafka client copies the record to another topic: what it brings is data.
        const copied = produce(fetch(stored))
        assert.deepEqual(fetch(copied), sent.map(escaped), "Kafka to Kafka everything survives")
        const got = deliver(copied, false)
        assert.deepEqual(got, sent.map(escaped).map(escaped))
        // An MQTT client publishes what it got.
        sent = got
      }
      for (const [key] of sent) assert.ok(!RESERVED.test(key) || key.startsWith(ESCAPE.repeat(2 * rounds)))
    }),
    { numRuns: 300 }
  )
})
