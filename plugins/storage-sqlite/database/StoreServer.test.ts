import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import {
  ByteReader,
  ByteWriter,
  RecordBatchBuilder,
  recordBatch,
  writeAppendHead,
  writeCut,
  writeMade,
  writePartitionRemoved
} from "../../../core/mod.ts"
import type { SqliteRow } from "../../../core/platform/mod.ts"
import type { Answer, Answers, Request } from "./messages.ts"
import { writePut } from "./operations.ts"
import { StoreServer } from "./StoreServer.ts"
import { openDatabase, openForReading } from "./schema.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-sqlite-server-"))
after(() => rmSync(root, { recursive: true, force: true }))

function batchAt(base: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(9), 0, 9)
  const bytes = builder.bytes.slice(0, builder.finish())
  recordBatch.writeBaseOffset(bytes, 0, base)
  return bytes
}

function ask(server: StoreServer, request: Request): Answer | undefined {
  const answer = server.handle(request)
  assert.ok(answer === undefined || "value" in answer, JSON.stringify(answer))
  return answer
}

function put(server: StoreServer, applied: number, ...operations: ReadonlyArray<(writer: ByteWriter) => void>): void {
  const writer = new ByteWriter()
  for (const write of operations) {
    const start = writer.length
    writer.uint32(0)
    write(writer)
    writer.setUint32(start, writer.length - start - 4)
  }
  ask(server, { kind: "part", bytes: writer.bytes.slice(0, writer.length) })
  const state = { applied, isClean: false, epochBase: 0, epochLast: 0, epochLimit: 0 }
  ask(server, { kind: "commit", state, trims: [], deletions: [] })
}

const append = (base: number) => (writer: ByteWriter) => {
  const bytes = batchAt(base)
  writeAppendHead(writer, 1, 5)
  writer.raw(bytes, 0, bytes.length)
}

test("a log is cut by a cut, and by what is appended below its end; its figures are those of its batches", () => {
  const pathname = join(root, "cut.sqlite")
  const server = new StoreServer()
  ask(server, { kind: "open", pathname, cacheBytes: 1_048_576, walBytes: 1_048_576 })
  const found = (): ReadonlyArray<unknown> => {
    const reading = openForReading(pathname, 1_048_576)
    const row = reading.prepare("SELECT log_start, log_end, records, bytes, leader_epoch FROM partition").get()
    const bases = reading.prepare("SELECT base FROM batch ORDER BY base").all()
    reading.close()
    const { log_start: start, log_end: end, records, bytes, leader_epoch: epoch } = row ?? {}
    return [start, end, records, Number(bytes) / batchAt(0).length, epoch, bases.map(({ base }) => base)]
  }
  put(server, 1, (writer) => writeMade(writer, 1, 0, "topic", 0), append(0), append(1), append(2), append(3))
  assert.deepEqual(found(), [0, 4, 4, 4, 0, [0, 1, 2, 3]])
  put(server, 2, (writer) => writeCut(writer, 1, 3, 7))
  assert.deepEqual(found(), [0, 3, 3, 3, 7, [0, 1, 2]])
  // As after a cut that was lost with a failed write. The epoch of a log stays, where its batch is of an older one.
  put(server, 3, append(1))
  assert.deepEqual(found(), [0, 2, 2, 2, 7, [0, 1]])
  // The same once more changes nothing.
  put(server, 3, append(1))
  assert.deepEqual(found(), [0, 2, 2, 2, 7, [0, 1]])
  ask(server, { kind: "close" })
})

test("what tenants have is counted from the rows once, not in the midst of a checkpoint, and kept up from then on", () => {
  const pathname = join(root, "tenants.sqlite")
  const server = new StoreServer()
  ask(server, { kind: "open", pathname, cacheBytes: 1_048_576, walBytes: 1_048_576 })
  const one = batchAt(0).length
  const tenants = (): ReadonlyArray<readonly [number, number]> => {
    const answer = ask(server, { kind: "use" })
    assert.ok(answer !== undefined && "value" in answer)
    return (answer.value as Answers["use"]).tenants
  }
  put(server, 1, (writer) => writeMade(writer, 1, 7, "topic", 0), append(0), append(1), append(2))
  const writer = new ByteWriter()
  writer.uint32(0)
  writePartitionRemoved(writer, 1)
  writer.setUint32(0, writer.length - 4)
  ask(server, { kind: "part", bytes: writer.bytes.slice(0, writer.length) })
  assert.deepEqual(tenants(), [], "the removal would count twice")
  put(server, 2, (next) => writeMade(next, 2, 8, "other", 0))
  assert.deepEqual(tenants(), [[8, 0]])
  put(
    server,
    3,
    (next) => writeMade(next, 3, 9, "third", 0),
    (next) => {
      writeAppendHead(next, 3, 5)
      next.raw(batchAt(0), 0, one)
    }
  )
  assert.deepEqual(tenants(), [
    [8, 0],
    [9, one]
  ])
  put(server, 4, (next) => writePartitionRemoved(next, 3))
  assert.deepEqual(tenants(), [
    [8, 0],
    [9, 0]
  ])
  ask(server, { kind: "close" })
})

/** Counts the values that are read from the database. */
function counting(): { readonly server: StoreServer; values: number } {
  const counted = { values: 0, server: undefined as unknown as StoreServer }
  counted.server = new StoreServer((pathname, settings) => {
    const database = openDatabase(pathname, settings)
    const look = (row: SqliteRow): SqliteRow => {
      if ("value" in row) counted.values += 1
      return row
    }
    return {
      exec: (sql) => database.exec(sql),
      close: () => database.close(),
      prepare: (sql) => {
        const statement = database.prepare(sql)
        return {
          run: statement.run,
          get: (...values) => {
            const row = statement.get(...values)
            return row === undefined ? undefined : look(row)
          },
          all: (...values) => statement.all(...values).map(look),
          *iterate(...values) {
            for (const row of statement.iterate(...values)) yield look(row)
          }
        }
      }
    }
  })
  return counted
}

test("a page of rows ends at its bounds, and no more is read for it than one row beyond them", () => {
  const counted = counting()
  const { server } = counted
  ask(server, { kind: "open", pathname: join(root, "range.sqlite"), cacheBytes: 1_048_576, walBytes: 1_048_576 })
  const sizes = [100, 50_000, 50_000, 0, 200_000, 10, 10, 0]
  put(
    server,
    1,
    ...sizes.map((size, index) => (writer: ByteWriter) => {
      writePut(writer, Uint8Array.of(7, index), new Uint8Array(size).fill(index), true)
    })
  )
  const range = (first: number, end: number, limit: number, bytesMax: number): ReadonlyArray<unknown> => {
    counted.values = 0
    const [from, to] = [Uint8Array.of(7, first), Uint8Array.of(7, end)]
    const answer = server.handle({ kind: "range", start: from, end: to, limit, bytesMax })
    assert.ok(answer !== undefined && "value" in answer)
    const { bytes, count, isLast, refusedBytes } = answer.value as Answers["range"]
    const reader = new ByteReader().reset(bytes, 0, bytes.length)
    for (let index = first; index < first + count; index++) {
      assert.equal(Buffer.compare(reader.blockCopy(), Uint8Array.of(7, index)), 0)
      assert.equal(Buffer.compare(reader.blockCopy(), new Uint8Array(sizes[index] ?? 0).fill(index)), 0)
    }
    assert.equal(reader.position, reader.end)
    assert.ok(counted.values <= count + 1, `${counted.values} rows were read for ${count}`)
    return [count, isLast, refusedBytes]
  }
  assert.deepEqual(range(0, 8, 100, 1_000_000), [8, true, 0])
  assert.deepEqual(range(0, 8, 8, 1_000_000), [8, false, 0])
  assert.deepEqual(range(0, 5, 100, 1_000_000), [5, true, 0])
  assert.deepEqual(range(5, 5, 100, 1_000_000), [0, true, 0])
  assert.deepEqual(range(0, 8, 3, 1_000_000), [3, false, 0])
  assert.deepEqual(range(0, 8, 100, 60_000), [2, false, 50_000])
  assert.deepEqual(range(0, 8, 100, 100_100), [4, false, 200_000])
  // The first one comes whatever its size.
  assert.deepEqual(range(4, 8, 100, 1), [1, false, 10])
  assert.deepEqual(range(4, 5, 100, 1), [1, true, 0])
  // A page that was cut holds nothing up: what is written afterwards can be moved out of the write-ahead log.
  put(server, 2, (writer) => writePut(writer, Uint8Array.of(7, 0), new Uint8Array(0), false))
  const other = openDatabase(join(root, "range.sqlite"), { cacheBytes: 1_048_576, walBytes: 1_048_576 })
  const { busy, log } = other.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() ?? {}
  assert.deepEqual([busy, log], [0, 0])
  other.close()
  ask(server, { kind: "close" })
})
