import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import * as Types from "./packet-types.ts"
import { ABSENT, nextProperty, PropertyView, readUserProperties, scanProperties } from "./properties.ts"
import * as Table from "./property-table.ts"
import { copyDeliveredProperties } from "./property-writers.ts"
import { hex, hexOf } from "./testing.ts"

const view = new PropertyView()
const PACKETS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]

/** A valid value of each type that is in range everywhere. */
const VALUES: Readonly<Record<number, string>> = {
  [Table.BYTE]: "01",
  [Table.TWO_BYTE_INTEGER]: "0102",
  [Table.FOUR_BYTE_INTEGER]: "01020304",
  [Table.VARIABLE_BYTE_INTEGER]: "8001",
  [Table.UTF8_STRING]: "0003 c3a478",
  [Table.BINARY_DATA]: "0002 00ff",
  [Table.UTF8_STRING_PAIR]: "0001 61 0001 62"
}

function scan(digits: string, packetType: number, target = view): number {
  const bytes = hex(`ff ${digits} ff`)
  return scanProperties(bytes, 1, bytes.length - 1, packetType, target)
}

test("there are 27 properties", () => assert.equal(Table.PROPERTIES.length, 27))

for (const row of Table.PROPERTIES) {
  const one = `${row.identifier.toString(16).padStart(2, "0")}${VALUES[row.type]}`
  test(`${row.name}: where it may stand, where not`, () => {
    for (const packetType of PACKETS) {
      assert.equal(scan(one, packetType), row.packets.includes(packetType) ? 0 : 0x81, `packet type ${packetType}`)
    }
  })
  test(`${row.name}: twice`, () => {
    for (const packetType of row.packets) {
      assert.equal(scan(one + one, packetType), row.repeatsIn?.includes(packetType) ? 0 : 0x82)
    }
  })
  test(`${row.name}: cut anywhere`, () => {
    const whole = hex(one)
    for (let cut = 1; cut < whole.length; cut++) {
      // What follows the end would complete it: it must not be read.
      assert.equal(scanProperties(whole, 0, cut, row.packets[0] ?? -1, view), 0x81, `cut at ${cut}`)
    }
    assert.equal(nextProperty(whole, 0), whole.length)
  })
}

// Packet type, properties, Reason Code, what it is. MQTT 5.0, chapter 3, and section 2.2.2.2.
const illegal: ReadonlyArray<readonly [number, string, number, string]> = [
  [Types.PUBLISH, "0102", 0x82, "Payload Format Indicator 2"],
  [Types.PUBLISH, "230000", 0x94, "Topic Alias 0"],
  [Types.PUBLISH, "230001 230001", 0x82, "two Topic Aliases"],
  [Types.PUBLISH, "0b00", 0x82, "Subscription Identifier 0"],
  [Types.SUBSCRIBE, "0b00", 0x82, "Subscription Identifier 0"],
  [Types.SUBSCRIBE, "0b01 0b02", 0x82, "two Subscription Identifiers"],
  [Types.SUBSCRIBE, "0bffffffff", 0x81, "Subscription Identifier of five bytes"],
  [Types.SUBSCRIBE, "0b8000", 0x81, "Subscription Identifier not in its shortest form"],
  [Types.CONNECT, "210000", 0x82, "Receive Maximum 0"],
  [Types.CONNECT, "2700000000", 0x82, "Maximum Packet Size 0"],
  [Types.CONNECT, "1702", 0x82, "Request Problem Information 2"],
  [Types.CONNECT, "19ff", 0x82, "Request Response Information 255"],
  [Types.CONNACK, "2402", 0x82, "Maximum QoS 2"],
  [Types.CONNECT, "1f000161", 0x81, "a Reason String in a CONNECT"],
  [Types.CONNECT, "1800000001", 0x81, "a Will Delay Interval outside the will"],
  [Types.PUBLISH, "00", 0x81, "no such identifier"],
  [Types.PUBLISH, "7f", 0x81, "no such identifier"],
  [Types.PUBLISH, "8100", 0x81, "an identifier of two bytes"],
  [Types.PUBLISH, "8101", 0x81, "an identifier of two bytes"],
  [Types.PUBLISH, "030001 00", 0x81, "U+0000 in a Content Type"],
  [Types.PUBLISH, "030003 eda080", 0x81, "a surrogate in a Content Type"],
  [Types.PUBLISH, "080003 612f2b", 0x82, "a wildcard in a Response Topic"],
  [Types.PUBLISH, "080001 23", 0x82, "a wildcard in a Response Topic"],
  [Types.PUBLISH, "080000", 0x82, "an empty Response Topic"],
  [Types.PUBLISH, "26 0001 ff 0001 62", 0x81, "a User Property's name is no UTF-8"],
  [Types.PUBLISH, "26 0001 61 0001 c3", 0x81, "a User Property's value is cut UTF-8"],
  [Types.PUBLISH, "26 0001 61", 0x81, "a User Property without a value"],
  [Types.PUBLISH, "26 ffff 61 0000", 0x81, "a length beyond the end"]
]
for (const [packetType, digits, expected, name] of illegal) {
  test(`${name}: 0x${expected.toString(16)}`, () => assert.equal(scan(digits, packetType), expected))
}

test("the view says what stands there, and forgets it", () => {
  const fresh = new PropertyView()
  const digits = "01 01  02 ffffffff  03 0002 6d74  26 0001 61 0001 31  09 0001 00  26 0001 61 0000  23 ffff  0b05 0b06"
  assert.equal(scan(digits, Types.PUBLISH, fresh), 0)
  const bytes = hex(`ff ${digits}`)
  assert.equal(fresh.payloadFormatIndicator, 1)
  assert.equal(fresh.messageExpiryInterval, 0xffffffff)
  assert.equal(fresh.topicAlias, 65_535)
  assert.equal(fresh.subscriptionIdentifier, 5)
  assert.equal(fresh.subscriptionIdentifierCount, 2)
  assert.equal(hexOf(bytes.slice(fresh.contentTypeStart, fresh.contentTypeEnd)), "6d74")
  assert.equal(hexOf(bytes.slice(fresh.correlationDataStart, fresh.correlationDataEnd)), "00")
  assert.equal(fresh.responseTopicStart, ABSENT)
  assert.equal(fresh.userPropertyCount, 2)
  assert.equal(bytes[fresh.userPropertiesStart], 0x26)
  assert.equal(bytes[fresh.userPropertiesEnd], 0x23)
  assert.deepEqual(readUserProperties(bytes, 1, bytes.length, fresh), [
    ["a", "1"],
    ["a", ""]
  ])
  assert.equal(scan("", Types.PUBLISH, fresh), 0)
  assert.deepEqual(fresh, new PropertyView())
})

test("every field of the view is set by its property alone, and reset", () => {
  const empty = new PropertyView()
  for (const row of Table.PROPERTIES) {
    const fresh = new PropertyView()
    const digits = `${row.identifier.toString(16).padStart(2, "0")}${VALUES[row.type]}`
    assert.equal(scan(digits, row.packets[0] ?? -1, fresh), 0)
    const field = row.name.replaceAll(" ", "").replace(/^./, (letter) => letter.toLowerCase())
    const changed = Object.keys(fresh).filter((key) => Reflect.get(fresh, key) !== Reflect.get(empty, key))
    for (const key of changed) {
      assert.ok(key === "present" || key.toLowerCase().startsWith(field.toLowerCase()) || /^userPropert/.test(key), key)
    }
    assert.ok(changed.length > 1, row.name)
    fresh.reset()
    assert.deepEqual(fresh, empty)
  }
})

test("a long list of User Properties takes linear time", () => {
  const one = hex("26 0001 61 0001 62")
  const bytes = new Uint8Array(one.length * 100_000)
  for (let index = 0; index < 100_000; index++) bytes.set(one, index * one.length)
  assert.equal(scanProperties(bytes, 0, bytes.length, Types.PUBLISH, view), 0)
  assert.equal(view.userPropertyCount, 100_000)
})

test("any bytes: a Reason Code or none, and the same without what follows", () => {
  const codes = new Set([0, 0x81, 0x82, 0x94])
  const identifier = fc.constantFrom(...Table.PROPERTIES.map((row) => row.identifier))
  const piece = fc.tuple(identifier, fc.uint8Array({ maxLength: 7 })).map(([first, rest]) => [first, ...rest])
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 4 }),
      fc.constantFrom(...PACKETS),
      fc.nat(12),
      (pieces, packetType, cut) => {
        const bytes = Uint8Array.from(pieces.flat())
        const end = Math.max(0, bytes.length - cut)
        const found = scanProperties(bytes, 0, end, packetType, view)
        assert.ok(codes.has(found))
        assert.equal(scanProperties(bytes.slice(0, end), 0, end, packetType, view), found)
      }
    ),
    { numRuns: 3_000 }
  )
})

test("delivered properties: no alias, no identifiers, expiry counted down, the rest untouched", () => {
  const bytes = hex("26 0001 61 0001 31  23 0001  0101  0b8001  02 0000003c  26 0001 62 0000")
  const target = new Uint8Array(64)
  const end = copyDeliveredProperties(bytes, 0, bytes.length, 5, target, 2)
  assert.equal(hexOf(target.slice(2, end)), hexOf(hex("26 0001 61 0001 31  0101  02 00000005  26 0001 62 0000")))
  const kept = copyDeliveredProperties(bytes, 0, bytes.length, ABSENT, target, 0)
  assert.equal(hexOf(target.slice(0, kept)), hexOf(hex("26 0001 61 0001 31  0101  02 0000003c  26 0001 62 0000")))
})
