/** What a start refuses, and in which words. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import fc from "fast-check"
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"
import { ByteWriter } from "../link/bytes.ts"
import { crc32c } from "../log/crc32c.ts"
import type { SimulatedFiles } from "../platform/simulated-files.ts"
import { DIRECTORY, NotingConsumer, openRig } from "./fakes.ts"
import { JournalError } from "./JournalError.ts"
import { decodeWrites, encodeWrites } from "./key-value-writes.ts"
import { encodeSegmentHeader, segmentName } from "./segment-format.ts"
import { verifyJournal } from "./verify-journal.ts"

/** A journal of some segments that was closed, 20 operations in it. */
async function closedJournal(): Promise<{ files: SimulatedFiles; paths: ReadonlyArray<string> }> {
  const rig = await openRig()
  for (let count = 0; count < 20; count++) {
    rig.put(`${count} ${"x".repeat(150)}`)
    await rig.settle()
  }
  await rig.close()
  const paths = [...rig.files.names()].filter((name) => name.endsWith(".journal")).sort()
  return { files: rig.files, paths }
}

/** Everything that lies on the disk. */
const picture = (files: SimulatedFiles): string =>
  [...files.names()].map((name) => `${name} ${files.contentUnsafe(name).toHex()}`).join("\n")

async function refused(files: SimulatedFiles, expected: RegExp, consumer = new NotingConsumer()): Promise<void> {
  const before = picture(files)
  await assert.rejects(openRig({ files, consumer }), (error) => {
    assert.ok(error instanceof JournalError, String(error))
    assert.match(error.message, expected)
    assert.ok(!error.message.includes("\n"))
    return true
  })
  assert.equal(picture(files), before, "nothing on disk is changed")
}

test("a segment that is missing, has another's number, another journal's id, or a newer format", async () => {
  const missing = await closedJournal()
  const [first = "", second = "", third = ""] = missing.paths
  await Effect.runPromise(missing.files.remove(second))
  await refused(
    missing.files,
    /^\/store\/0+1\.journal: byte \d+: entry \d+ is missing; entry \d+ in .* had been synced\. /
  )

  const renamed = await closedJournal()
  renamed.files.renameUnsafe(third, `${DIRECTORY}/${segmentName(77)}`)
  await refused(renamed.files, /0{14}4d\.journal: byte 0: the segment has the number 3, its name says 77: .*name back/)

  const rewrite = async (change: (header: Uint8Array) => void, expected: RegExp): Promise<void> => {
    const { files } = await closedJournal()
    const header = files.contentUnsafe(second).subarray(0, 64)
    change(header)
    const crc = crc32c(header, 0, 60)
    header.set([crc >>> 24, crc >>> 16, crc >>> 8, crc], 60)
    await refused(files, expected)
  }
  await rewrite(
    (header) => header.fill(7, 24, 40),
    /0+2\.journal: byte 0: the segment is of journal (07){16}, those before/
  )
  await rewrite(
    (header) => header.set([2], 11),
    /0+2\.journal: byte 0: the segment has format 2, and .* up to 1\. Start/
  )
  await rewrite((header) => header.set([0], 11), /there is no format 0/)
  await rewrite((header) => header.set([0], 0), /no journal segment begins like this/)
  const { files } = await closedJournal()
  files.flipBit(first, 20, 1)
  await refused(files, /0+1\.journal: byte 0: the checksum of the segment's header does not match/)
})

test("all segments are missing, though state was put away that came from them", async () => {
  const { files, paths } = await closedJournal()
  for (const path of paths) await Effect.runPromise(files.remove(path))
  const consumer = new NotingConsumer()
  consumer.appliedIndex = 7
  await refused(
    files,
    /^\/store: byte 0: no segment is there, but .* holds what entry 7 and those before it did\. /,
    consumer
  )
})

test("the first segments are missing; operations that nobody takes", async () => {
  const { files, paths } = await closedJournal()
  await refused(
    files,
    /byte \d+: entry 2 holds operations of kind 2, which no plugin of this node takes\. Start/,
    new NotingConsumer([1, 3])
  )
  await Effect.runPromise(files.remove(paths[0] ?? ""))
  await refused(files, /0+2\.journal: byte 64: entry 1 is missing/)
})

test("verify walks all entries, says what is wrong, and changes nothing", async () => {
  const { files, paths } = await closedJournal()
  const before = picture(files)
  const report = await Effect.runPromise(verifyJournal(files, DIRECTORY))
  assert.deepEqual(
    { ...report, bytes: 0 },
    {
      segments: paths.length,
      bytes: 0,
      // The first entry of the start and the last of the end are the journal's own.
      entries: 22,
      operations: 21,
      firstIndex: 1,
      lastIndex: 22,
      isClosed: true,
      tornBytes: 0,
      fault: undefined
    }
  )
  assert.equal(picture(files), before)
  files.flipBit(paths[1] ?? "", 500, 0)
  const { fault, entries } = await Effect.runPromise(verifyJournal(files, DIRECTORY))
  assert.equal(entries, 0)
  assert.equal(fault?.pathname, paths[1])
  assert.ok((fault?.position ?? 0) >= 64 && (fault?.position ?? 0) <= 500)
})

test("a header has the bytes that docs/formats/journal.md says", () => {
  const journalId = new Uint8Array(16).fill(0xaa)
  const header = encodeSegmentHeader({ number: 258, journalId, mark: new Uint8Array(8).fill(0xbb) })
  const expected = `4d464a4f55524e4c${"00000001"}${"00000000"}${"0000000000000102"}${"aa".repeat(16)}${"bb".repeat(8)}${"00".repeat(12)}`
  assert.equal(header.subarray(0, 60).toHex(), expected)
})

test("key-value writes come back as they were", () => {
  const bytes = fc.uint8Array({ maxLength: 40 })
  const write = fc.record({
    key: bytes,
    value: fc.option(bytes, { nil: undefined }),
    end: fc.option(bytes, { nil: undefined })
  })
  fc.assert(
    fc.property(fc.array(write, { maxLength: 6 }), (given) => {
      const writes: ReadonlyArray<KeyValueWrite> = given.map(({ key, value, end }) =>
        end === undefined ? { key, value } : { key, value, end }
      )
      const writer = new ByteWriter()
      writer.uint8(9)
      encodeWrites(writer, writes)
      const found = decodeWrites(writer.bytes, 1, writer.length)
      const kept = structuredClone(found)
      writer.bytes.fill(1)
      assert.deepEqual([...found], [...writes])
      assert.deepEqual(found, kept)
    })
  )
})

test("what is new to a journal misses nothing in what that has let go of; what is not does", async () => {
  for (const isFresh of [true, false]) {
    const { files, paths } = await closedJournal()
    const [first = ""] = paths
    await Effect.runPromise(files.remove(first))
    const consumer = Object.assign(new NotingConsumer(), { isFresh })
    if (!isFresh) {
      await assert.rejects(openRig({ files, consumer }), /is missing|was expected/)
      continue
    }
    const rig = await openRig({ files, consumer })
    assert.ok(consumer.replayed.length > 0 && consumer.replayed.length < 20, `${consumer.replayed.length} replayed`)
    assert.match(consumer.replayed.at(-1)?.text ?? "", /^19 x/)
    await rig.close()
  }
})
