import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KeyFilter } from "./KeyFilter.ts"
import { KeyRanges } from "./KeyRanges.ts"
import { bytesOfName, LEAF_LENGTH_MAX, nameOf, OrderedTable } from "./OrderedTable.ts"

const name = fc.array(fc.constantFrom("\0", "a", "b", "\u00ff"), { maxLength: 3 }).map((parts) => parts.join(""))

test("it agrees with a map, whatever is set, deleted and read", () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("set", "delete", "range"), name, name), { maxLength: 120 }),
      name,
      (steps, start) => {
        const table = new OrderedTable<number>()
        const model = new Map<string, number>()
        for (const [index, [kind, one, other]] of steps.entries()) {
          if (kind === "set") {
            table.set(one, index)
            model.set(one, index)
          } else if (kind === "delete") {
            table.delete(one)
            model.delete(one)
          } else {
            const gone: Array<number> = []
            table.deleteRange(one, other, (value) => gone.push(value))
            const expected = [...model].filter(([key]) => key >= one && key < other)
            for (const [key] of expected) model.delete(key)
            assert.deepEqual(gone.toSorted(), expected.map(([, value]) => value).toSorted())
          }
          assert.equal(table.size, model.size)
          assert.equal(table.get(one), model.get(one))
        }
        const found: Array<[string, number | undefined]> = []
        for (const cursor = table.cursor(start); cursor.key !== undefined; cursor.next()) {
          found.push([cursor.key, cursor.value])
        }
        assert.deepEqual(
          found,
          [...model].filter(([key]) => key >= start).sort(([left], [right]) => (left < right ? -1 : 1))
        )
      }
    )
  ))

test("many leaves, in any order of coming, with ranges that span them", () => {
  const names = Array.from({ length: LEAF_LENGTH_MAX * 6 }, (_, index) => `k${String(index).padStart(5, "0")}`)
  for (const stride of [1, 1_009, names.length - 1]) {
    const table = new OrderedTable<string>()
    for (let index = 0; index < names.length; index++) {
      const each = names[(index * stride) % names.length] ?? ""
      table.set(each, each)
    }
    const all = (): ReadonlyArray<string> => {
      const found: Array<string> = []
      for (const cursor = table.cursor(""); cursor.key !== undefined; cursor.next()) found.push(cursor.key)
      return found
    }
    assert.deepEqual(all(), names)
    let count = 0
    table.deleteRange(names[100] ?? "", names[names.length - 100] ?? "", () => count++)
    assert.equal(count, names.length - 200)
    assert.deepEqual(all(), [...names.slice(0, 100), ...names.slice(-100)])
    table.deleteRange("", "z", () => {})
    assert.deepEqual(all(), [])
    table.set("again", "again")
    assert.equal(table.get("again"), "again")
  }
})

test("names order as bytes do, and give the bytes back", () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), fc.uint8Array({ maxLength: 6 }), (left, right) => {
      assert.deepEqual(bytesOfName(nameOf(left)), left)
      assert.equal(
        Math.sign(Buffer.compare(left, right)),
        nameOf(left) < nameOf(right) ? -1 : nameOf(left) > nameOf(right) ? 1 : 0
      )
    })
  ))

test("ranges are disjoint and cover what was added", () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, name), { maxLength: 20 }),
      fc.array(name, { maxLength: 20 }),
      (added, asked) => {
        const ranges = new KeyRanges()
        for (const [start, end] of added) ranges.add(start, end)
        for (const each of asked) {
          assert.equal(
            ranges.covers(each),
            added.some(([start, end]) => each >= start && each < end)
          )
        }
        for (let index = 1; index < ranges.size; index++) {
          assert.ok((ranges.ends[index - 1] ?? "") < (ranges.starts[index] ?? ""))
        }
      }
    )
  ))

test("a filter never denies what was added, and denies most of what was not", () => {
  const filter = new KeyFilter(10_000)
  const key = (index: number): Uint8Array => Uint8Array.of(1, index >>> 16, (index >>> 8) & 255, index & 255)
  assert.ok(filter.mayHave(key(1)), "before it is complete nothing is denied")
  filter.complete()
  for (let index = 0; index < 10_000; index++) filter.add(key(index))
  let wrong = 0
  for (let index = 0; index < 10_000; index++) {
    assert.ok(filter.mayHave(key(index)))
    if (filter.mayHave(key(index + 1_000_000))) wrong += 1
  }
  assert.ok(wrong < 200, `${wrong} of 10,000 confirmed`)
})

test("a name has a character for each byte, at any length and place in a buffer, and gives the bytes again", () => {
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
  for (const length of [0, 1, 256, 4096, 4097, 65_539]) {
    const bytes = Uint8Array.from({ length: length + 7 }, (_, at) => every[(at * 7) % 256] ?? 0).subarray(3, 3 + length)
    const name = nameOf(bytes)
    assert.equal(name.length, length)
    assert.deepEqual(bytesOfName(name), Uint8Array.from(bytes))
  }
})
