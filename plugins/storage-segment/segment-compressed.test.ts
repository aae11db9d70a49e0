/** Batches that the broker compressed, in segments: whole they are served and shown, damaged they are named and not served. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { Effect } from "effect"
import { SealedBatches } from "../../core/log/SealedBatches.ts"
import { BatchCompressor, crc32c, RecordBatchBuilder, recordBatch } from "../../core/mod.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { dump } from "./dump.ts"
import { inspect } from "./inspect.ts"
import { append, Bench, damageOf, keyOf, logsOf, makeDisk, readAll, refusalOf } from "./testing.ts"

const bench = new Bench()
after(() => bench.close())

function compressedBatch(mark: string): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new TextEncoder().encode(`degrees of ${mark}; `.repeat(40))
  for (let index = 0; index < 5; index++) builder.append(1_000 + index, value, 0, 3, value, 0, value.length)
  const bytes = builder.bytes.slice(0, new BatchCompressor({ sealed: new SealedBatches(0) }).finish(builder))
  assert.ok(bytes.length < 300, "it is compressed")
  return bytes
}

/** A log of three such batches in one segment; `change` is done to the second one before it is stored. */
async function stored(change: (bytes: Uint8Array) => void = () => {}) {
  const files = makeDisk(true)
  const store = await bench.open(files)
  const partition = await bench.partition(store, keyOf("0"))
  const batches: Array<Uint8Array> = []
  for (const [index, mark] of ["a", "b", "c"].entries()) {
    const bytes = compressedBatch(mark)
    if (index === 1) change(bytes)
    batches.push(await append(partition, bytes))
  }
  await store.store.checkpoints.flush()
  return { files, store, partition, batches }
}

async function verified(files: SimulatedFiles): Promise<ReadonlyArray<string>> {
  const request = { depth: "verify", store: 0, directory: "/store", files, pace: () => Promise.resolve() } as const
  const [report] = await Effect.runPromise(inspect({}, request))
  return (report?.damage ?? []).map(({ position, message }) => `${position}: ${message}`)
}

async function dumped(files: SimulatedFiles): Promise<ReadonlyArray<string>> {
  const lines: Array<string> = []
  const request = {
    pathname: logsOf(files)[0] ?? "",
    files,
    withRecords: true,
    say: (line: string) => void lines.push(line)
  }
  await Effect.runPromise(dump(request))
  return lines
}

/** Where the second batch begins in the segment. */
const second = ({ batches }: { readonly batches: ReadonlyArray<Uint8Array> }): number => 128 + (batches[0]?.length ?? 0)

test("they are read as they were written, verified and shown", async () => {
  const { files, partition, batches } = await stored()
  assert.deepEqual(await readAll(partition), new Uint8Array(Buffer.concat(batches)))
  assert.deepEqual(await partition.offsetForTimestamp(1_003), { offset: 3, timestamp: 1_003 })
  assert.deepEqual(await verified(files), [])
  const lines = await dumped(files)
  assert.equal(lines.filter((line) => /^byte \d+: offsets .*, zstd, /.test(line)).length, 3)
  assert.equal(lines.filter((line) => /^ {2}\d+ .* key "?deg.* value "?degrees of [abc]; /.test(line)).length, 15)
})

test("a bit that is turned anywhere in one: verify names it, nobody gets it", async () => {
  const { files: whole, store, batches } = await stored()
  await store.kill()
  const size = batches[1]?.length ?? 0
  for (let byte = recordBatch.MAGIC_POSITION; byte < size; byte++) {
    const files = whole.afterCrash((length) => [0, length])
    files.flipBit(logsOf(files)[0] ?? "", second({ batches }) + byte, byte % 8)
    assert.match((await verified(files)).join(), new RegExp(`^${second({ batches })}: `), `byte ${byte}`)
    if (byte % 16 !== 0) continue
    const again = await bench.open(files)
    const partition = await bench.partition(again, keyOf("0"))
    assert.match(await refusalOf(partition.read(5, 1)), /damaged/, `byte ${byte}`)
    assert.ok(damageOf(again).length > 0)
    await again.kill()
  }
})

test("a payload that cannot be inflated under a true checksum: verify names it, and so does whoever shows it", async () => {
  const found = await stored((bytes) => {
    bytes.fill(0xff, recordBatch.RECORDS_POSITION)
    recordBatch.writeInt32(
      bytes,
      recordBatch.CRC_POSITION,
      crc32c(bytes, recordBatch.ATTRIBUTES_POSITION, bytes.length)
    )
  })
  assert.deepEqual(await verified(found.files), [`${second(found)}: the batch's records cannot be read`])
  assert.ok((await dumped(found.files)).includes("  what follows cannot be read: compression_corrupt"))
})
