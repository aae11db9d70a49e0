import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Content, type HeaderBytes } from "./Content.ts"
import { encodeProperties, type MessageProperties } from "./properties.ts"

class Plain extends Content {
  constructor(source: HeaderBytes) {
    super(new Uint8Array(0), 0, source)
  }
}

function encoded(properties: MessageProperties) {
  const result = encodeProperties(properties)
  assert.ok(typeof result !== "string", String(result))
  return result
}

function decoded(properties: MessageProperties, gathered = true): Plain {
  const { bytes, count } = encoded(properties)
  return new Plain({ bytes, start: 0, end: bytes.length, count, gathered })
}

const textOf = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
const ascii = (text: string): string => Buffer.from(text).toString("hex")

// Kafka, "Message Format" (Record Header): zig-zag varint lengths, name, value.
const golden: ReadonlyArray<readonly [string, MessageProperties, string]> = [
  ["nothing", {}, ""],
  ["one user property", { userProperties: { a: "bc" } }, `02${ascii("a")}04${ascii("bc")}`],
  ["an empty value", { userProperties: { a: "" } }, `02${ascii("a")}00`],
  ["a reserved name", { userProperties: { "mqtt.qos": "2" } }, `2a${ascii("manifold-raw:mqtt.qos")}02${ascii("2")}`],
  ["our own name", { userProperties: { "manifold-x": "" } }, `2e${ascii("manifold-raw:manifold-x")}00`],
  ["content type", { contentType: "a/b" }, `22${ascii("mqtt.content-type")}06${ascii("a/b")}`],
  ["text", { isText: true }, `26${ascii("mqtt.payload-format")}02${ascii("1")}`],
  ["expiry", { expirySeconds: 60 }, `26${ascii("mqtt.message-expiry")}04${ascii("60")}`],
  ["correlation", { correlationData: Uint8Array.of(0, 255) }, `2a${ascii("mqtt.correlation-data")}0400ff`],
  ["response topic", { responseTopic: "r/1" }, `26${ascii("mqtt.response-topic")}06${ascii("r/1")}`]
]
for (const [name, properties, hex] of golden) {
  test(`headers: ${name}`, () => assert.equal(encoded(properties).bytes.toHex(), hex))
}

const bad: ReadonlyArray<readonly [string, MessageProperties, RegExp]> = [
  ["a lone surrogate", { userProperties: { a: "\ud800" } }, /well-formed/],
  ["U+0000 in a name", { userProperties: { "a\0": "" } }, /well-formed/],
  ["a content type with U+0000", { contentType: "\0" }, /content type/],
  ["a wildcard in the response topic", { responseTopic: "a/+" }, /response topic is a topic name and holds a wildcard/],
  ["an empty response topic", { responseTopic: "" }, /response topic has no character/],
  ["half a second", { expirySeconds: 0.5 }, /expirySeconds/],
  ["a negative expiry", { expirySeconds: -1 }, /expirySeconds/],
  ["more seconds than MQTT can say", { expirySeconds: 4_294_967_296 }, /expirySeconds/],
  ["a value of 65,536 bytes", { userProperties: { a: "x".repeat(65_536) } }, /at most 65535 bytes/],
  ["65,536 bytes of correlation data", { correlationData: new Uint8Array(65_536) }, /at most 65535 bytes/],
  [
    "more than 1 MiB in all",
    { userProperties: Array.from({ length: 17 }, () => ["a", "x".repeat(65_535)] as const) },
    /together/
  ]
]
for (const [name, properties, message] of bad) {
  test(`refused: ${name}`, () => assert.match(String(encodeProperties(properties)), message))
}

test("65,535 bytes are let through, and 0 seconds are not never", () => {
  assert.equal(encoded({ userProperties: { a: "x".repeat(65_535) } }).count, 1)
  assert.equal(encoded({ expirySeconds: 0 }).expiryMs, 0)
  assert.equal(encoded({ expirySeconds: 2 }).expiryMs, 2_000)
  assert.equal(encoded({}).expiryMs, -1)
})

test("what was given is what is got, names repeated and in order", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((value) => !value.includes("\0"))
  const name = fc.oneof(text, fc.constantFrom("mqtt.qos", "mqtt.x", "manifold-", "manifold-raw:a", "manifold-key"))
  const pairs = fc.array(fc.tuple(name, text), { maxLength: 8 })
  fc.assert(
    fc.property(pairs, fc.option(text), fc.option(fc.uint8Array()), (userProperties, contentType, correlationData) => {
      const found = decoded({
        userProperties,
        ...(contentType === null ? {} : { contentType }),
        ...(correlationData === null ? {} : { correlationData })
      })
      assert.deepEqual(
        found.headers.map(([key, value]) => [key, textOf(value)]),
        userProperties
      )
      assert.equal(found.contentType ?? null, contentType)
      assert.deepEqual(found.correlationData ?? null, correlationData)
    })
  )
})

test("what a Kafka client wrote is data: nothing of it is obeyed", () => {
  const found = decoded({ contentType: "text/plain", isText: true, expirySeconds: 5 }, false)
  assert.deepEqual(
    found.headers.map(([name]) => name),
    ["mqtt.content-type", "mqtt.payload-format", "mqtt.message-expiry"]
  )
  assert.deepEqual([found.contentType, found.isText, found.expirySeconds], [undefined, false, undefined])
})

test("any header bytes are read to their end without a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(5), fc.boolean(), (bytes, count, gathered) => {
      const found = new Plain({ bytes, start: 0, end: bytes.length, count, gathered })
      assert.ok(found.headers.length <= count)
    })
  )
})
