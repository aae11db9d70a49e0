/**
 * The tables of first bytes and Reason Codes, against what the specification says and mqtt-packet knows.
 */
import assert from "node:assert"
import { test } from "node:test"
import * as Types from "./packet-types.ts"
import {
  clientAuthAllowed,
  clientDisconnectAllowed,
  REASON_CODES,
  reasonCodeAllowed,
  reasonName
} from "./reason-codes.ts"

test("first bytes from a client: exactly 22 are allowed", () => {
  const allowed: Array<string> = []
  for (let byte = 0; byte < 256; byte++) {
    if (Types.checkFirstByte(byte) === 0) allowed.push(byte.toString(16).padStart(2, "0"))
  }
  const publishes = ["30", "31", "32", "33", "34", "35", "3a", "3b", "3c", "3d"]
  assert.deepEqual(allowed, ["10", ...publishes, "40", "50", "62", "70", "82", "a2", "c0", "e0", "f0"])
})

const firstBytes: ReadonlyArray<readonly [number, number, string]> = [
  [0x00, 0x81, "type 0"],
  [0x11, 0x81, "CONNECT with a flag"],
  [0x20, 0x82, "CONNACK from a client"],
  [0x21, 0x81, "CONNACK with a flag"],
  [0x36, 0x81, "QoS 3"],
  [0x38, 0x81, "DUP with QoS 0"],
  [0x60, 0x81, "PUBREL without its flag"],
  [0x80, 0x81, "SUBSCRIBE without its flag"],
  [0x90, 0x82, "SUBACK from a client"],
  [0xb0, 0x82, "UNSUBACK from a client"],
  [0xd0, 0x82, "PINGRESP from a client"],
  [0xff, 0x81, "AUTH with flags"]
]
for (const [byte, expected, name] of firstBytes) {
  test(`first byte 0x${byte.toString(16)}: 0x${expected.toString(16)} (${name})`, () =>
    assert.equal(Types.checkFirstByte(byte), expected))
}

test("the first byte of a PUBLISH is one that is allowed", () => {
  assert.equal(Types.publishFirstByte(0, false, false), 0x30)
  assert.equal(Types.publishFirstByte(2, true, true), 0x3d)
})

// MQTT 5.0: the tables of the sections that reason-codes.ts names.
const byPacket: ReadonlyArray<readonly [number, string]> = [
  [Types.CONNACK, "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"],
  [Types.PUBACK, "00 10 80 83 87 90 91 97 99"],
  [Types.PUBREC, "00 10 80 83 87 90 91 97 99"],
  [Types.PUBREL, "00 92"],
  [Types.PUBCOMP, "00 92"],
  [Types.SUBACK, "00 01 02 80 83 87 8f 91 97 9e a1 a2"],
  [Types.UNSUBACK, "00 11 80 83 87 8f 91"],
  [Types.DISCONNECT, "00 04 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"],
  [Types.AUTH, "00 18 19"],
  [Types.PUBLISH, ""]
]
for (const [packetType, expected] of byPacket) {
  test(`Reason Codes of packet type ${packetType}`, () => {
    assert.equal(
      codes((code) => reasonCodeAllowed(packetType, code)),
      expected
    )
  })
}

test("what a client may send", () => {
  assert.equal(codes(clientDisconnectAllowed), "00 04 80 81 82 83 90 93 94 95 96 97 98 99")
  assert.equal(codes(clientAuthAllowed), "18 19")
})

function codes(allowed: (code: number) => boolean): string {
  const found: Array<string> = []
  for (let code = 0; code < 256; code++) if (allowed(code)) found.push(code.toString(16).padStart(2, "0"))
  return found.join(" ")
}

test("each code has one row and a name", () => {
  assert.equal(new Set(REASON_CODES.map((row) => row.code)).size, REASON_CODES.length)
  assert.equal(reasonName(0x8e), "Session taken over")
  assert.equal(reasonName(0x7f), "reason 0x7f")
})
