import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ByteReader, ByteWriter } from "./bytes.ts"

const field = fc.oneof(
  fc.record({ kind: fc.constant("uint8" as const), value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant("uint32" as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
  fc.record({ kind: fc.constant("uint53" as const), value: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }) }),
  fc.record({ kind: fc.constant("text" as const), value: fc.string({ maxLength: 90 }) })
)

test("what was written is read, wherever the buffer grows", () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 300 }), (fields) => {
      const writer = new ByteWriter()
      for (const { kind, value } of fields) {
        if (kind === "text") writer.text(value)
        else writer[kind](value)
      }
      const reader = new ByteReader().reset(writer.bytes, 0, writer.length)
      for (const { kind, value } of fields) assert.equal(reader[kind](), kind === "text" ? value.toWellFormed() : value)
      assert.equal(reader.position, writer.length)
    })
  )
})

test("a byte that makes the buffer grow lands in the new one", () => {
  const writer = new ByteWriter()
  for (let index = 0; index <= 256; index++) writer.uint8(7)
  assert.equal(writer.bytes[256], 7)
})

test("a frame that ends early is a fault of our own", () => {
  const reader = new ByteReader().reset(Uint8Array.of(1, 2, 3), 0, 3)
  assert.throws(() => reader.uint32(), /complete/)
})
