/**
 * Fuzz targets of the stored form: random, cut and mutated bytes never throw past a decoder's edge, never loop, and what
 * the checks let through the readers read to the end.
 *
 *     bun core/log/log.fuzz.ts [--seed N] [--runs N]
 *
 * Invariant: the same seed and number of runs does the same; a failure names the target, the run and its bytes.
 */
import assert from "node:assert"
import { fuzzOptions } from "../../tests/support/fuzz-options.ts"
import { checkRecords, type RecordLimits } from "./check-records.ts"
import { compress, decompress } from "./compression.ts"
import { crc32c } from "./crc32c.ts"
import { HeaderCursor } from "./HeaderCursor.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { RecordCursor } from "./RecordCursor.ts"
import * as batch from "./record-batch.ts"
import { refusals } from "./refusals.ts"
import { readUnsignedVarint, readVarint, readVarlong, VARINT_UNSAFE } from "./varint.ts"

const SIZE_MAX = 64 * 1024
const limits: RecordLimits = { decompressedSizeMax: SIZE_MAX, headersPerRecordMax: 100 }

/** Whole numbers from 0 to `below` - 1, the same for the same seed (xorshift, 32 bits). */
type Draw = (below: number) => number

function drawFrom(seed: number): Draw {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function randomBytes(draw: Draw, sizeMax: number): Uint8Array {
  return Uint8Array.from({ length: draw(sizeMax + 1) }, () => (draw(3) === 0 ? draw(4) : draw(256)))
}

/** Values that break arithmetic: ends of ranges, sign bits, long runs of continuation bits. */
const EVIL = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x0f, 0x10]

/** Some bytes overwritten, a piece repeated, removed or inserted, the end cut: usually one or two of these. */
function mutate(draw: Draw, source: Uint8Array, from: number): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(source)
  for (let left = 1 + draw(3); left > 0 && bytes.length > from; left--) {
    const position = from + draw(bytes.length - from)
    switch (draw(6)) {
      case 0:
        bytes[position] = (bytes[position] ?? 0) ^ (1 << draw(8))
        break
      case 1:
        bytes[position] = EVIL[draw(EVIL.length)] ?? 0
        break
      case 2:
        bytes.fill(draw(2) * 255, position, position + 1 + draw(8))
        break
      case 3:
        bytes = Uint8Array.of(...bytes.subarray(0, position), ...bytes.subarray(position + 1 + draw(4)))
        break
      case 4:
        bytes = Uint8Array.of(...bytes.subarray(0, position), ...randomBytes(draw, 6), ...bytes.subarray(position))
        break
      default:
        bytes = bytes.slice(0, position)
    }
  }
  return bytes
}

/** A good batch of a few random records, in a codec or none. */
function randomBatch(draw: Draw, codec: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (let left = 1 + draw(6); left > 0; left--) {
    const key = draw(3) === 0 ? undefined : randomBytes(draw, 20)
    const value = draw(5) === 0 ? undefined : randomBytes(draw, 90)
    const headers = draw(2) === 0 ? new Uint8Array(0) : Uint8Array.of(2, 104, 4, 1, 2, 2, 110, 1)
    const count = headers.length > 0 ? 2 : 0
    const timestamp = 1_700_000_000_000 - 500 + draw(1000)
    builder.append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers, 0, headers.length, count)
  }
  const plain = builder.bytes.subarray(0, builder.finish())
  const records = compress(codec, plain.slice(batch.RECORDS_POSITION))
  const bytes = Uint8Array.of(...plain.subarray(0, batch.RECORDS_POSITION), ...records)
  // As a client would send it: without our gatherer's mark.
  batch.writeInt16(bytes, batch.ATTRIBUTES_POSITION, codec)
  return seal(bytes)
}

/** Makes length and CRC true again, so that what lies deeper is reached. */
function seal(bytes: Uint8Array): Uint8Array {
  if (bytes.length < batch.RECORDS_POSITION) return bytes
  batch.writeInt32(bytes, batch.BATCH_LENGTH_POSITION, bytes.length - batch.LENGTH_OVERHEAD)
  batch.writeInt32(bytes, batch.CRC_POSITION, crc32c(bytes, batch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

function isRefusal(result: number): void {
  assert.ok(refusals.has(result), `${result} is a refusal with a name`)
}

/** Reads everything; every range lies inside the buffer, and steps are bounded by the bytes there are. */
function readAll(cursor: RecordCursor, headers: HeaderCursor): number {
  const size = cursor.bytes.length
  let records = 0
  while (cursor.next()) {
    records++
    assert.ok(records <= size, "a record takes at least a byte")
    assert.ok(cursor.keyStart <= cursor.keyEnd && cursor.keyEnd <= size, "the key lies inside")
    assert.ok(cursor.valueStart <= cursor.valueEnd && cursor.valueEnd <= size, "the value lies inside")
    assert.ok(cursor.headersStart <= cursor.headersEnd && cursor.headersEnd <= size, "the headers lie inside")
    headers.reset(cursor.bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
    let count = 0
    while (headers.next()) {
      count++
      assert.ok(count <= cursor.headerCount, "no more headers than counted")
      assert.ok(headers.nameEnd <= cursor.headersEnd && headers.valueEnd <= cursor.headersEnd, "a header lies inside")
    }
    if (headers.refusal !== 0) isRefusal(headers.refusal)
  }
  if (cursor.refusal !== 0) isRefusal(cursor.refusal)
  return records
}

type Target = (draw: Draw) => Uint8Array

const cursor = new RecordCursor()
const headers = new HeaderCursor()

function runTarget(
  name: string,
  seed: number,
  runs: number,
  target: (draw: Draw, note: (bytes: Uint8Array) => void) => void
) {
  for (let run = 0; run < runs; run++) {
    let noted = new Uint8Array(0)
    try {
      target(drawFrom(seed * 1_000_003 + run), (bytes) => {
        noted = bytes.slice()
      })
    } catch (error) {
      throw new Error(`${name}, seed ${seed}, run ${run}: ${Buffer.from(noted).toString("hex")}`, { cause: error })
    }
  }
}

/** Varints of random bytes: a position after them inside the range, or a refusal. */
export function fuzzVarint(seed: number, runs: number): void {
  runTarget("fuzzVarint", seed, runs, (draw, note) => {
    const bytes = randomBytes(draw, 12).map((byte) => (draw(2) === 0 ? byte | 128 : byte))
    note(bytes)
    const start = draw(3)
    for (const read of [readUnsignedVarint, readVarint, readVarlong]) {
      const next = read(bytes, start, bytes.length)
      assert.ok(next < 0 ? next >= VARINT_UNSAFE : next > start && next <= bytes.length && next - start <= 10)
    }
  })
}

const makers: ReadonlyArray<Target> = [
  (draw) => randomBytes(draw, 200),
  (draw) => seal(randomBytes(draw, 200)),
  (draw) => mutate(draw, randomBatch(draw, draw(5)), 0),
  (draw) => seal(mutate(draw, randomBatch(draw, draw(5)), batch.ATTRIBUTES_POSITION)),
  (draw) => seal(mutate(draw, randomBatch(draw, draw(5)), batch.RECORDS_POSITION))
]

/** Batches, from noise to nearly good: what the checks let through is read to the end; nothing else throws or loops. */
export function fuzzBatch(seed: number, runs: number): void {
  runTarget("fuzzBatch", seed, runs, (draw, note) => {
    const bytes = makers[draw(makers.length)]?.(draw) ?? new Uint8Array(0)
    note(bytes)
    const checked = batch.checkBatch(bytes, 0, bytes.length)
    if (checked !== 0) isRefusal(checked)
    const produced = batch.checkProducedBatch(bytes, 0, bytes.length)
    if (produced !== 0) isRefusal(produced)
    else assert.strictEqual(checked, 0, "what a client may send may be stored")
    const size = batch.batchSize(bytes, 0, bytes.length)
    if (size < 0) isRefusal(size)
    else assert.ok(size >= batch.RECORDS_POSITION && size <= bytes.length)

    const records = checkRecords(bytes, 0, bytes.length, limits)
    if (records !== 0) isRefusal(records)
    const reset = cursor.reset(bytes, 0, bytes.length, SIZE_MAX)
    if (reset !== 0) isRefusal(reset)
    const count = readAll(cursor, headers)
    if (records === 0) {
      assert.strictEqual(cursor.refusal, 0)
      if (checked === 0) assert.strictEqual(count, batch.recordCount(bytes, 0))
    }
  })
}

/** Compressed payloads, random, cut and mutated: at most the bound comes out, or a refusal. */
export function fuzzDecompress(seed: number, runs: number): void {
  runTarget("fuzzDecompress", seed, runs, (draw, note) => {
    const codec = draw(6)
    const plain = Uint8Array.from(
      Buffer.concat([randomBytes(draw, 100), new Uint8Array(draw(300)), randomBytes(draw, 50)])
    )
    const bytes = draw(4) === 0 ? randomBytes(draw, 60) : mutate(draw, compress(codec, plain), draw(2) * 5)
    note(bytes)
    const sizeMax = draw(600)
    const start = Math.min(draw(2), bytes.length)
    const result = decompress(codec, bytes, start, bytes.length, sizeMax)
    if (typeof result === "number") isRefusal(result)
    else assert.ok(result.length <= sizeMax, "the bound holds")
  })
}

/** Good batches in every codec pass every check: a checker that refuses all would pass the rest. */
export function fuzzGood(seed: number, runs: number): void {
  runTarget("fuzzGood", seed, runs, (draw, note) => {
    const bytes = randomBatch(draw, draw(5))
    note(bytes)
    assert.strictEqual(batch.checkProducedBatch(bytes, 0, bytes.length), 0)
    assert.strictEqual(checkRecords(bytes, 0, bytes.length, limits, cursor), 0)
    assert.strictEqual(readAll(cursor, headers), batch.recordCount(bytes, 0))
  })
}

export const targets = { fuzzVarint, fuzzBatch, fuzzDecompress, fuzzGood }

function main(): void {
  const { seed, runs } = fuzzOptions(100_000)
  console.log(`seed ${seed}, ${runs} runs a target`)
  for (const [name, target] of Object.entries(targets)) {
    target(seed, runs)
    console.log(`${name} passed`)
  }
}

if (import.meta.main) main()
