import assert from "node:assert/strict"
import { test } from "node:test"
import { mergeRange, type StoredPage } from "./merge-range.ts"
import { nameOf } from "./OrderedTable.ts"
import { Overlay } from "./Overlay.ts"

const key = (index: number): Uint8Array => Uint8Array.of(index)
/** Rows of 100 bytes at these keys, behind which one of so many bytes had no room. */
const pageOf = (indices: ReadonlyArray<number>, refusedBytes: number): StoredPage => ({
  rows: indices.map((index) => ({ key: key(index), value: new Uint8Array(100) })),
  isLast: false,
  refusedBytes
})
const merged = (page: StoredPage, layer: Overlay, bytesMax: number): readonly [ReadonlyArray<number>, boolean] => {
  const { found, next } = mergeRange(page, [layer], nameOf(key(0)), nameOf(key(200)), 50, bytesMax)
  return [found.map((each) => each.key[0] ?? -1), next === undefined]
}

test("a page that its bytes have ended is full as it is, and is not asked for once more", () => {
  const layer = new Overlay()
  assert.deepEqual(merged(pageOf([1, 2], 100), layer, 250), [[1, 2], true])
  // One that the number of rows has ended may be short.
  assert.deepEqual(merged(pageOf([1, 2], 0), layer, 250), [[1, 2], false])
  // So is one whose rows are hidden, where what had no room has it now; or all of them.
  layer.remove(nameOf(key(1)), key(1), () => true)
  assert.deepEqual(merged(pageOf([1, 2], 100), layer, 250), [[2], false])
  assert.deepEqual(merged(pageOf([1, 2], 200), layer, 250), [[2], true])
  assert.deepEqual(merged(pageOf([1], 1_000), layer, 250), [[], false])
})

test("what lies over the database fills a page too, up to where that is known", () => {
  const layer = new Overlay()
  for (const index of [0, 2, 4]) layer.put(nameOf(key(index)), key(index), new Uint8Array(100), () => false)
  assert.deepEqual(merged(pageOf([1, 3], 100), layer, 450), [[0, 1, 2, 3], true])
  assert.deepEqual(merged(pageOf([1, 3], 100), layer, 250), [[0, 1], true])
})
