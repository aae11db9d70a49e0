import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import fc from "fast-check"
import { ByteWriter, crc32c, textOfBytes } from "../../core/mod.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { decodeCommand, encodeCommand, type MetaCommand, MetaFormatFault } from "./commands.ts"
import { StoredLog, writeRecord } from "./log-record.ts"
import { MetaState } from "./MetaState.ts"
import { readSnapshot } from "./read-snapshot.ts"
import { SnapshotDecoder } from "./SnapshotDecoder.ts"
import { SnapshotEncoder, type SnapshotEntry, type SnapshotHead, type SnapshotTarget } from "./snapshot-format.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const golden: ReadonlyArray<readonly [command: MetaCommand, hex: string]> = [
  [{ kind: "grant", ttlMs: 4_294_967_297 }, "0102 0000000100000001"],
  [{ kind: "keep-alive", lease: 5 }, "0103 0000000000000005"],
  [{ kind: "revoke", lease: 5 }, "0104 0000000000000005"],
  [{ kind: "expire", leases: [1, 2] }, "0105 00000002 0000000000000001 0000000000000002"],
  [
    {
      kind: "transact",
      transaction: {
        compare: [{ key: "a", version: 7 }],
        writes: [
          { key: "a", value: text("hi"), lease: 3 },
          { key: "é", value: undefined }
        ]
      }
    },
    "0101 00000001 00000001 61 0000000000000007 00000002 00000001 61 03 00000002 6869 0000000000000003 00000002 c3a9 00"
  ]
]
for (const [command, hex] of golden) {
  test(`a command of the kind ${command.kind} has these bytes`, () => {
    const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""))
    assert.deepEqual(encodeCommand(command), bytes)
    assert.deepEqual(decodeCommand(bytes), command)
  })
}

test("a command of another version or kind is refused", () => {
  assert.throws(() => decodeCommand(Uint8Array.of(2, 1)), MetaFormatFault)
  assert.throws(() => decodeCommand(Uint8Array.of(1, 9)), MetaFormatFault)
})

test("records read back as the log: an entry takes the place of what stood there and behind it", () => {
  const log = new StoredLog({ hardState: { term: 1, vote: 1, commit: 3 }, snapshotIndex: 3, snapshotTerm: 1 })
  const add = (term: number, entries: ReadonlyArray<readonly [index: number, term: number, data: string]>): void => {
    const writer = new ByteWriter()
    writer.uint8(99)
    const mapped = entries.map(([index, own, data]) => ({ index, term: own, data: text(data) }))
    writeRecord(writer, { term, vote: 1, commit: 3 }, mapped)
    log.add(writer.bytes, 1, writer.length)
  }
  add(1, [
    [2, 1, "old"],
    [3, 1, "old"],
    [4, 1, "a"]
  ])
  add(1, [
    [5, 1, "b"],
    [6, 1, "c"]
  ])
  add(2, [[5, 2, "B"]])
  assert.deepEqual(
    log.entries.map(({ index, term, data }) => [index, term, new TextDecoder().decode(data)]),
    [
      [4, 1, "a"],
      [5, 2, "B"]
    ]
  )
  assert.equal(log.hardState.term, 2)
  assert.throws(() => add(2, [[7, 2, "gap"]]), MetaFormatFault)
  assert.throws(() => log.add(Uint8Array.of(2), 0, 1), MetaFormatFault)
})

test("a record has these bytes", () => {
  const writer = new ByteWriter()
  writeRecord(writer, { term: 2, vote: 1, commit: 8 }, [{ index: 9, term: 2, data: text("x") }])
  const hex =
    "01 0000000000000002 0000000000000001 0000000000000008 00000001 0000000000000009 0000000000000002 00000001 78"
  assert.equal(writer.bytes.slice(0, writer.length).toHex(), hex.replaceAll(" ", ""))
})

const number = fc.nat(2 ** 40)
const head: fc.Arbitrary<SnapshotHead> = fc.record({
  journalIndex: number,
  lastIndex: number,
  lastTerm: number,
  hardState: fc.record({ term: number, vote: number, commit: number }),
  revision: number,
  nextLease: number,
  leases: fc.array(fc.record({ lease: number, ttlMs: number }), { maxLength: 4 })
})
const change = fc.record({
  key: fc.string({ maxLength: 5 }),
  stored: fc.option(fc.record({ version: number, lease: number, value: fc.uint8Array({ maxLength: 9 }) }))
})
/** States, each as what changed since the one before. */
const states = fc.array(fc.record({ changes: fc.array(change, { maxLength: 9 }), head }), {
  minLength: 1,
  maxLength: 4
})
type States = typeof states extends fc.Arbitrary<infer Value> ? Value : never

/** What a reader was told. */
class Told implements SnapshotTarget {
  readonly entries = new Map<string, unknown>()
  last: SnapshotHead | undefined
  entry({ bytes, keyStart, keyEnd, valueStart, valueEnd, version, lease }: SnapshotEntry): void {
    const key = textOfBytes(bytes, keyStart, keyEnd)
    this.entries.set(key, { version, lease, value: bytes.slice(valueStart, valueEnd) })
  }
  removed(key: string): void {
    this.entries.delete(key)
  }
  head(told: SnapshotHead): void {
    this.last = told
  }
}

/** The bytes of a file, and where in it each state ends. */
function encoded(given: States): { readonly bytes: Uint8Array; readonly ends: ReadonlyArray<number> } {
  const pieces: Array<Uint8Array> = []
  const ends: Array<number> = []
  let size = 0
  let checksum = 0
  for (const [index, { changes, head: told }] of given.entries()) {
    const encoder = new SnapshotEncoder(checksum)
    if (index === 0) encoder.begin()
    for (const { key, stored } of changes) {
      if (stored !== null) encoder.entry(key, stored)
      else encoder.removed(key)
    }
    encoder.commit(told)
    const piece = encoder.take().slice()
    pieces.push(piece)
    size += piece.length
    ends.push(size)
    checksum = encoder.checksum
  }
  return { bytes: new Uint8Array(Buffer.concat(pieces)), ends }
}

/** What the first `count` states leave. */
function expected(given: States, count: number): Told {
  const told = new Told()
  for (const { changes, head: each } of given.slice(0, count)) {
    for (const { key, stored } of changes) {
      if (stored === null) told.removed(key)
      else told.entries.set(key, { ...stored })
    }
    told.head(structuredClone(each))
  }
  return told
}

function decoded(bytes: Uint8Array, cut: number): { readonly told: Told; readonly end: number } {
  const told = new Told()
  const decoder = new SnapshotDecoder(told, bytes.subarray(0, 12))
  const middle = Math.max(12, cut)
  decoder.feed(bytes.subarray(12, middle))
  decoder.feed(bytes.subarray(middle))
  return { told, end: decoder.finish().end }
}

test("a snapshot reads back, however it is cut into pieces", () =>
  fc.assert(
    fc.property(states, fc.nat(), (given, cut) => {
      const { bytes, ends } = encoded(given)
      const { told, end } = decoded(bytes, cut % bytes.length)
      assert.equal(end, ends.at(-1))
      assert.deepEqual(told, expected(given, given.length))
      // Any release tells a whole one by its last four bytes.
      const checksum = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4)
      assert.equal(crc32c(bytes, 0, bytes.length - 4), checksum)
    })
  ))

test("of a snapshot that is cut short or damaged the states before are left, and never another", () =>
  fc.assert(
    fc.property(states, fc.nat(), fc.nat(255), (given, at, turn) => {
      const { bytes, ends } = encoded(given)
      const place = 12 + (at % (bytes.length - 12))
      const damaged = bytes.slice(0, turn === 0 ? place : bytes.length)
      if (turn > 0) damaged[place] = (damaged[place] ?? 0) ^ turn
      const whole = ends.filter((end) => end <= place).length
      if (whole === 0) {
        assert.throws(() => decoded(damaged, 12), /it is damaged/)
        return
      }
      const { told, end } = decoded(damaged, 12)
      assert.equal(end, ends[whole - 1])
      assert.deepEqual(told, expected(given, whole))
    })
  ))

test("a snapshot has these bytes", () => {
  const encoder = new SnapshotEncoder()
  encoder.begin()
  encoder.entry("k", { version: 7, lease: 3, value: text("v") })
  encoder.removed("g")
  const hardState = { term: 2, vote: 1, commit: 8 }
  const leases = [{ lease: 3, ttlMs: 9 }]
  encoder.commit({ journalIndex: 5, lastIndex: 8, lastTerm: 2, hardState, revision: 7, nextLease: 4, leases })
  const u53 = (value: number): string => value.toString(16).padStart(16, "0")
  const hex = [
    "4d464c444d455441 00000002",
    `01 00000001 6b ${u53(7)} ${u53(3)} 00000001 76`,
    "02 00000001 67",
    `03 ${u53(3)} ${u53(9)}`,
    `04 ${[5, 8, 2, 2, 1, 8, 7, 4].map(u53).join(" ")}`
  ].join("")
  const bytes = encoder.take()
  assert.equal(bytes.subarray(0, -4).toHex(), hex.replaceAll(" ", ""))
})

/** A file of format 1, as releases before wrote it. */
function versionOne(): Uint8Array {
  const writer = new ByteWriter()
  writer.raw(text("MFLDMETA"), 0, 8)
  writer.uint32(1)
  for (const number of [5, 8, 2, 2, 1, 8, 7, 4]) writer.uint53(number)
  writer.uint32(1)
  writer.uint32(2)
  writer.uint53(3)
  writer.uint53(9)
  for (const key of ["a", "b"]) {
    writer.text(key)
    writer.uint53(7)
    writer.uint53(key === "b" ? 3 : 0)
    writer.block(text(`of ${key}`))
  }
  writer.uint32(crc32c(writer.bytes, 0, writer.length))
  return writer.bytes.slice(0, writer.length)
}

const PATHNAME = "/meta/snapshot"

async function read(bytes: Uint8Array, target: SnapshotTarget = new Told()) {
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
  await Effect.runPromise(files.ensureWritableDirectory("/meta"))
  const file = files.openUnsafe(PATHNAME, "create")
  file.writeUnsafe(bytes, 0, bytes.length, 0)
  file.close()
  return await readSnapshot(files, PATHNAME, target)
}

test("a snapshot of format 1 is read, and is not to be appended to", async () => {
  const told = new Told()
  const bytes = versionOne()
  const { isAppendable, head: found } = await read(bytes, told)
  assert.equal(isAppendable, false)
  assert.deepEqual([...told.entries.keys()], ["a", "b"])
  assert.deepEqual(told.entries.get("b"), { version: 7, lease: 3, value: text("of b") })
  assert.deepEqual(found, told.last)
  assert.deepEqual(found.hardState, { term: 2, vote: 1, commit: 8 })
  for (let place = 0; place < bytes.length; place++) {
    const damaged = bytes.slice()
    damaged[place] = (damaged[place] ?? 0) ^ 1
    await assert.rejects(read(damaged), /it is damaged/)
    await assert.rejects(read(bytes.subarray(0, place)), /it is damaged/)
  }
})

test("a length that no key and no value has is damage, however much follows", async () => {
  const encoder = new SnapshotEncoder()
  encoder.begin()
  encoder.entry("k", { version: 1, lease: 0, value: new Uint8Array(200_000) })
  const bytes = encoder.take().slice()
  for (const place of [14, 12 + 5 + 1 + 16]) {
    const damaged = bytes.slice()
    damaged[place] = (damaged[place] ?? 0) | 1
    if (place > 14) damaged[place] = 0x7f
    await assert.rejects(read(damaged, new MetaState()), /it is damaged: its checksum is that of other content/)
  }
})

test("a snapshot of a newer version says so, and is not taken for damaged", async () => {
  const bytes = Uint8Array.from([...text("MFLDMETA"), 0, 0, 0, 3, 0xaa, 0xbb, 0, 0, 0, 0])
  const checksum = crc32c(bytes, 0, bytes.length - 4)
  new DataView(bytes.buffer).setUint32(bytes.length - 4, checksum)
  await assert.rejects(read(bytes), /^MetaFormatFault: it has version 3; this release reads 2 and older$/)
  bytes[12] = 0
  await assert.rejects(read(bytes), /it is damaged/)
})
