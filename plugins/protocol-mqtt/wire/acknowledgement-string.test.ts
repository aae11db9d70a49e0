import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { decode } from "../../../tests/support/mqtt-decode.ts"
import { propertyOf } from "../../../tests/support/mqtt-packets.ts"
import { acknowledgementWithStringSize, writeAcknowledgementWithString } from "./acknowledgements.ts"
import { PUBACK, PUBREC } from "./packet-types.ts"

test("a PUBACK or PUBREC with a Reason String is what another decoder reads", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.integer({ min: 100, max: 20_000 }).map((length) => "x".repeat(length))
  )
  fc.assert(
    fc.property(fc.constantFrom(PUBACK, PUBREC), fc.integer({ min: 1, max: 65_535 }), texts, (type, id, text) => {
      const bytes = new TextEncoder().encode(text)
      const target = new Uint8Array(acknowledgementWithStringSize(bytes.length) + 3)
      const end = writeAcknowledgementWithString(target, 3, type, id, 0x97, bytes)
      assert.equal(end, target.length)
      const found = decode(target.subarray(3), 5)
      assert.ok(found.type === "puback" || found.type === "pubrec")
      assert.deepEqual([found.id, found.code, propertyOf(found.properties, "reasonString")], [id, 0x97, text])
    })
  )
})
