import assert from "node:assert/strict"
import { test } from "node:test"
import type { Entry } from "./EntryBatch.ts"
import { Gatherer, SPARE_BYTES_MAX } from "./Gatherer.ts"

const HEAD = new Uint8Array(8)

/** A turn that submits so many bytes, and what comes next goes into another buffer. */
function turn(gatherer: Gatherer, size: number, index: number): Entry {
  gatherer.add(1, "hybrid", index, HEAD, new Uint8Array(size).fill(index), 0, size)
  const entry = gatherer.seal(index)
  gatherer.turnOver(undefined)
  return entry
}

test("while entries wait for the disk each has a buffer, which is used again; at rest few are kept", () => {
  const gatherer = new Gatherer()
  const burst = Array.from({ length: 100 }, (_, index) => turn(gatherer, 100_000, index))
  const buffers = new Set(burst.map(({ batch }) => batch))
  assert.equal(buffers.size, 100)
  for (const { batch, start, end, index } of burst) {
    assert.equal(batch.writer.bytes[end - 1], index)
    assert.ok(end - start > 100_000)
  }
  for (const entry of burst) gatherer.giveBack(entry)
  const { count, bytes } = gatherer.spares
  assert.ok(count > 20 && bytes <= SPARE_BYTES_MAX, `${count} buffers of ${bytes} bytes`)
  const again = Array.from({ length: 20 }, (_, index) => turn(gatherer, 100_000, index))
  assert.ok(again.slice(1).every(({ batch }) => buffers.has(batch)))
  for (const entry of again) gatherer.giveBack(entry)
  for (let index = 0; index < 200; index++) gatherer.giveBack(turn(gatherer, 10, index))
  assert.ok(gatherer.spares.count <= 5, `${gatherer.spares.count} buffers`)
})
