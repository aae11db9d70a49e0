import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { hashMultiplier, hashText } from "./seeded-hash.ts"
import { TextTable } from "./TextTable.ts"

const text = fc.oneof(
  fc.constantFrom("", "a", "b", "ab", "é", "ÿ", "Ā", "長", "a長", "$x", "$長", "\ud800"),
  fc.string({ maxLength: 12 })
)

test("any holds and releases leave what a map of counts holds", () => {
  const step = fc.record({ isHold: fc.boolean(), text })
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 100, size: "max" }), (seed, steps) => {
      const table = new TextTable(seed)
      const model = new Map<string, { readonly id: number; holders: number }>()
      for (const { isHold, text } of steps) {
        const padded = `/${text}/`
        const known = model.get(text)
        assert.strictEqual(table.find(padded, 1, padded.length - 1), known?.id ?? -1)
        if (isHold) {
          const id = table.hold(padded, 1, padded.length - 1)
          if (known === undefined) {
            for (const other of model.values()) assert.notStrictEqual(other.id, id)
            model.set(text, { id, holders: 1 })
          } else known.holders += 1
        } else if (known !== undefined) {
          known.holders -= 1
          assert.strictEqual(table.release(known.id), known.holders === 0)
          if (known.holders === 0) model.delete(text)
        }
        assert.strictEqual(table.count, model.size)
      }
      for (const [each, { id }] of model) {
        assert.strictEqual(table.text(id), each)
        assert.strictEqual(table.beginsWithDollar(id), each.startsWith("$"))
        assert.ok(table.isHeld(id))
      }
    }),
    { numRuns: 500 }
  )
})

test("texts of any length come back, wide ones too", () => {
  const table = new TextTable(7)
  for (const each of ["x".repeat(65_535), "長".repeat(21_845), `${"é".repeat(9000)}Ā`]) {
    assert.strictEqual(table.text(table.hold(each, 0, each.length)), each)
  }
})

test("released bytes are won back, and the texts that stay are what they were", () => {
  const table = new TextTable(7)
  const kept = new Map<number, string>()
  for (let each = 0; each < 40_000; each++) {
    const text = `${each % 3 === 0 ? "長" : "x"}-text-number-${each}`
    const id = table.hold(text, 0, text.length)
    if (each % 100 === 0) kept.set(id, text)
    else table.release(id)
  }
  for (const [id, text] of kept) assert.strictEqual(table.text(id), text)
  assert.strictEqual(table.count, 400)
  assert.ok(table.sizeBytes < 400_000, `${table.sizeBytes} bytes`)
})

test("a text of nothing may stand anywhere on a page", () => {
  const table = new TextTable(7)
  const kept = table.hold("keep", 0, 4)
  for (let each = 0; each < 40_000; each++) {
    const id = table.hold("", 0, 0)
    assert.strictEqual(table.text(id), "")
    table.release(id)
  }
  assert.strictEqual(table.text(kept), "keep")
  assert.strictEqual(table.count, 1)
})

test("texts of one hash are told apart", () => {
  const seen = new Map<number, string>()
  let pairs = 0
  for (let each = 0; pairs < 3; each++) {
    assert.ok(each < 1_000_000, "so many texts hold three pairs of one hash")
    const text = each.toString(36).padStart(5, "-")
    const hash = hashText(text, 0, text.length, 5, hashMultiplier(5))
    const other = seen.get(hash)
    seen.set(hash, text)
    if (other === undefined) continue
    pairs += 1
    const table = new TextTable(5)
    const id = table.hold(text, 0, text.length)
    assert.strictEqual(table.find(other, 0, other.length), -1)
    assert.notStrictEqual(table.hold(other, 0, other.length), id)
    table.release(id)
    assert.strictEqual(table.find(text, 0, text.length), -1)
    assert.notStrictEqual(table.find(other, 0, other.length), -1)
  }
})

test("only a holder may release", () => {
  const table = new TextTable(7)
  const id = table.hold("a", 0, 1)
  table.release(id)
  assert.throws(() => table.release(id), /holder/)
  assert.throws(() => table.release(5), /holder/)
})
