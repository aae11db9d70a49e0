import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import {
  AcknowledgementView,
  scanAcknowledgement,
  writeAcknowledgement,
  writeAcknowledgementWithReason
} from "./acknowledgements.ts"
import { mqttString, packetIdentifier, userProperties } from "./arbitraries.ts"
import { type ProtocolVersion, PUBACK, PUBCOMP, PUBREC, PUBREL } from "./packet-types.ts"
import { embed, type Frame, frameOf, hex, hexOf, oracleDecode, oracleEncode } from "./testing.ts"

const view = new AcknowledgementView()
const versions = fc.constantFrom<ProtocolVersion>(3, 4, 5)
const kinds = fc.constantFrom("puback", "pubrec", "pubrel", "pubcomp")
const TYPES = { puback: PUBACK, pubrec: PUBREC, pubrel: PUBREL, pubcomp: PUBCOMP }
const CODES = {
  puback: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrec: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrel: [0x00, 0x92],
  pubcomp: [0x00, 0x92]
}

function scan(frame: Frame, version: ProtocolVersion): number {
  return scanAcknowledgement(frame.bytes, frame.firstByte >> 4, frame.start, frame.end, version, view)
}

test("what mqtt-packet writes we read", () => {
  fc.assert(
    fc.property(
      kinds,
      packetIdentifier,
      fc.nat(8),
      mqttString(),
      userProperties,
      versions,
      (cmd, messageId, pick, reasonString, list, version) => {
        const reasonCode = CODES[cmd][pick % CODES[cmd].length] ?? 0
        const packet = { cmd, messageId, reasonCode, properties: { reasonString, userProperties: list } }
        const frame = embed(frameOf(oracleEncode(packet, version)))
        assert.equal(scan(frame, version), 0)
        assert.equal(view.packetIdentifier, messageId)
        assert.equal(view.reasonCode, version === 5 ? reasonCode : 0)
      }
    )
  )
})

test("what we write mqtt-packet reads", () => {
  fc.assert(
    fc.property(kinds, packetIdentifier, fc.nat(8), versions, (cmd, messageId, pick, version) => {
      const reasonCode = CODES[cmd][pick % CODES[cmd].length] ?? 0
      const short = new Uint8Array(6)
      assert.equal(writeAcknowledgement(short, 1, TYPES[cmd], messageId), 5)
      const first = oracleDecode(short.slice(1, 5), version)
      assert.ok(first?.cmd === cmd && first.messageId === messageId)
      const long = new Uint8Array(7)
      assert.equal(writeAcknowledgementWithReason(long, 1, TYPES[cmd], messageId, reasonCode), 6)
      const second = oracleDecode(long.slice(1, 6), 5)
      assert.ok(second?.cmd === cmd && second.messageId === messageId && second.reasonCode === reasonCode)
    })
  )
})

test("the bytes of the short forms", () => {
  const target = new Uint8Array(4)
  const expected = { [PUBACK]: "40020102", [PUBREC]: "50020102", [PUBREL]: "62020102", [PUBCOMP]: "70020102" }
  for (const packetType of [PUBACK, PUBREC, PUBREL, PUBCOMP] as const) {
    writeAcknowledgement(target, 0, packetType, 0x0102)
    assert.equal(hexOf(target), expected[packetType])
  }
})

// Version, packet, Reason Code, what it is.
const cases: ReadonlyArray<readonly [ProtocolVersion, string, number, string]> = [
  [4, "40 02 0001", 0, "the short form"],
  [5, "40 02 0001", 0, "the short form"],
  [5, "40 03 0001 10", 0, "a Reason Code and no properties"],
  [5, "40 04 0001 00 00", 0, "a Property Length of 0"],
  [5, "62 03 0001 92", 0, "Packet Identifier not found"],
  [4, "40 00", 0x81, "nothing"],
  [4, "40 01 00", 0x81, "half an identifier"],
  [4, "40 03 0001 00", 0x81, "a Reason Code before version 5"],
  [3, "62 04 0001 0000", 0x81, "trailing bytes"],
  [4, "40 02 0000", 0x82, "Packet Identifier 0"],
  [5, "70 02 0000", 0x82, "Packet Identifier 0"],
  [5, "40 03 0001 92", 0x82, "a Reason Code of PUBREL"],
  [5, "62 03 0001 10", 0x82, "a Reason Code of PUBACK"],
  [5, "50 03 0001 01", 0x82, "no Reason Code of any acknowledgement"],
  [5, "40 04 0001 00 01", 0x81, "properties longer than the packet"],
  [5, "40 05 0001 00 00 00", 0x81, "bytes after the properties"],
  [5, "40 06 0001 00 02 0101", 0x81, "a property of PUBLISH"],
  [5, "40 0c 0001 00 08 1f000161 1f000162", 0x82, "two Reason Strings"],
  [5, "40 05 0001 00 8000", 0x81, "a Property Length not in its shortest form"]
]
for (const [version, digits, expected, name] of cases) {
  test(`version ${version}: ${name}: 0x${expected.toString(16)}`, () => {
    assert.equal(scan(embed(frameOf(hex(digits))), version), expected)
  })
}
