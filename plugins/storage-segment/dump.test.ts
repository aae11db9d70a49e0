import assert from "node:assert/strict"
import { after, test } from "node:test"
import { Effect } from "effect"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { dump } from "./dump.ts"
import { append, Bench, batchOf, keyOf, logsOf, makeDisk, SEGMENTS } from "./testing.ts"

const bench = new Bench()
after(() => bench.close())

/** What is said of a file, and what is wrong with it. */
async function dumped(
  files: SimulatedFiles,
  pathname: string,
  withRecords = false
): Promise<readonly [lines: ReadonlyArray<string>, fault: string | undefined]> {
  const lines: Array<string> = []
  const say = (line: string): void => void lines.push(line)
  return [lines, await Effect.runPromise(dump({ pathname, files, withRecords, say }))]
}

/** Two segments, the first one sealed; paths of the files of both. */
async function stored(): Promise<{ readonly files: SimulatedFiles; readonly sealed: string; readonly open: string }> {
  const files = makeDisk()
  const store = await bench.open(files, { settings: { segment_bytes: 1_000 } })
  const partition = await bench.partition(store, keyOf("orders", 3))
  await append(partition, batchOf([1_000, 2_000], 100))
  await append(partition, batchOf([500], 400))
  await append(partition, batchOf([3_000], 600))
  await store.store.checkpoints.flush()
  const [sealed = "", open = ""] = logsOf(files)
  return { files, sealed, open }
}

test("a segment is told batch by batch, a sealed one with its footer; records where they are asked for", async () => {
  const { files, sealed, open } = await stored()
  const [lines, fault] = await dumped(files, sealed)
  assert.equal(fault, "")
  assert.deepEqual(lines.length, 4)
  assert.equal(lines[0], 'segment of "orders"/3 from offset 0 on; tenant 0, number 1')
  assert.match(
    lines[1] ?? "",
    /^byte 128: offsets 0 to 1, \d+ bytes, epoch 0, none, 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:02.000Z$/
  )
  assert.match(
    lines[3] ?? "",
    /^byte \d+: footer: offsets 0 to 2, 2 batches, 3 records, \d+ bytes, times .*01.000Z to .*02.000Z$/
  )
  const [more] = await dumped(files, sealed, true)
  assert.equal(more.filter((line) => /^ {2}\d+ .* key null value /.test(line)).length, 3)
  assert.match(more.find((line) => line.startsWith("  2 ")) ?? "", /and 200 bytes more$/)
  const [tail, none] = await dumped(files, open)
  assert.deepEqual([tail.length, none], [2, ""])
})

test("what is damaged is told last, with its byte, and what comes before it is told", async () => {
  const { files, sealed } = await stored()
  files.flipBit(sealed, 128 + 100, 3)
  const [lines, fault] = await dumped(files, sealed)
  assert.match(lines.at(-1) ?? "", /^byte 128: .*, DAMAGED$/)
  assert.equal(fault, "byte 128: the batch does not fit its checksum")
  const header = await stored()
  header.files.flipBit(header.sealed, 30, 0)
  assert.deepEqual(await dumped(header.files, header.sealed), [[], "the header does not fit its checksum"])
  const short = await stored()
  const file = short.files.openUnsafe(short.sealed, "write")
  file.truncateUnsafe(200)
  assert.match((await dumped(short.files, short.sealed))[1] ?? "", /^byte 128: it ends within a batch$/)
})

test("an index is told entry by entry, a manifest partition by partition", async () => {
  const { files, sealed, open } = await stored()
  const index = sealed.replace(/log$/, "index")
  const [runs, fault] = await dumped(files, index)
  assert.equal(fault, "")
  assert.match(runs[0] ?? "", /^bytes 128 to \d+: from offset 0 on, times up to 1970-01-01T00:00:02.000Z$/)
  files.flipBit(index, 3, 0)
  assert.deepEqual(await dumped(files, index), [[], "byte 0: the entry does not fit its checksum"])
  const [lines, none] = await dumped(files, `${SEGMENTS}/manifest`)
  assert.equal(none, "")
  assert.match(lines[1] ?? "", /^partition 1: "orders"\/3 of tenant 0, offsets 0 to 4, epoch 0, 2 segments$/)
  assert.match(lines[2] ?? "", /^ {2}segment 0 to 3: \d+ bytes, 2 batches, sealed$/)
  assert.ok(!(lines[3] ?? "").includes("sealed") && open !== "")
  const size = files.contentUnsafe(`${SEGMENTS}/manifest`).length
  files.openUnsafe(`${SEGMENTS}/manifest`, "write").writeUnsafe(new Uint8Array(9).fill(7), 0, 9, size)
  assert.match((await dumped(files, `${SEGMENTS}/manifest`))[1] ?? "", new RegExp(`^byte ${size}: what follows`))
})

test("what is none of these files is left to others; one that is not there is an error", async () => {
  const { files, sealed } = await stored()
  assert.deepEqual(await dumped(files, "/store/state.sqlite"), [[], undefined])
  const missing = sealed.replace(/\d+\.log$/, "00000000000000000099.log")
  await assert.rejects(dumped(files, missing), /no such file/)
})
