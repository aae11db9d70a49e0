import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ByteWriter, crc32c } from "../../core/mod.ts"
import { decodeCommand, encodeCommand, type MetaCommand, MetaFormatFault } from "./commands.ts"
import { StoredLog, writeRecord } from "./log-record.ts"
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "./snapshot-format.ts"

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
const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  journalIndex: number,
  lastIndex: number,
  lastTerm: number,
  hardState: fc.record({ term: number, vote: number, commit: number }),
  image: fc.record({
    revision: number,
    nextLease: number,
    leases: fc.array(fc.record({ lease: number, ttlMs: number }), { maxLength: 4 }),
    entries: fc.array(
      fc.record({
        key: fc.string({ maxLength: 5 }),
        stored: fc.record({ version: number, lease: number, value: fc.uint8Array({ maxLength: 9 }) })
      }),
      { maxLength: 9 }
    )
  })
})

const whole = (value: Snapshot): Uint8Array => {
  const pieces = Array.from(encodeSnapshot(value), (piece) => piece.slice())
  return new Uint8Array(Buffer.concat(pieces))
}

test("a snapshot reads back; each of its bytes and its length count", () =>
  fc.assert(
    fc.property(snapshot, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, change) => {
      const bytes = whole(value)
      assert.deepEqual(decodeSnapshot(bytes), structuredClone(value))
      const damaged = bytes.slice()
      const place = at % bytes.length
      damaged[place] = (damaged[place] ?? 0) ^ change
      assert.throws(() => decodeSnapshot(damaged), /it is damaged/)
      assert.throws(() => decodeSnapshot(bytes.subarray(0, place)), /it is damaged/)
      assert.throws(() => decodeSnapshot(new Uint8Array([...bytes, 0])), /it is damaged/)
    })
  ))

test("a snapshot of many keys is encoded in pieces", () => {
  const entries = Array.from({ length: 20_000 }, (_, index) => ({
    key: `topics/0/t${String(index).padStart(6, "0")}`,
    stored: { version: index + 1, lease: 0, value: text(`value ${index}`) }
  }))
  const value: Snapshot = {
    journalIndex: 1,
    lastIndex: 2,
    lastTerm: 3,
    hardState: { term: 3, vote: 1, commit: 2 },
    image: { revision: 20_000, nextLease: 1, leases: [], entries }
  }
  assert.ok([...encodeSnapshot(value)].length > 5)
  assert.deepEqual(decodeSnapshot(whole(value)).image.entries.length, 20_000)
  assert.deepEqual(decodeSnapshot(whole(value)).image.entries.at(-1), entries.at(-1))
})

test("a snapshot of a newer version says so, and is not taken for damaged", () => {
  const bytes = Uint8Array.from([...text("MFLDMETA"), 0, 0, 0, 2, 0xaa, 0xbb, 0, 0, 0, 0])
  const checksum = crc32c(bytes, 0, bytes.length - 4)
  new DataView(bytes.buffer).setUint32(bytes.length - 4, checksum)
  assert.throws(() => decodeSnapshot(bytes), /^MetaFormatFault: it has version 2; this release reads 1$/)
})
