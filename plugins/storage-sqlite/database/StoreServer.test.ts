import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import {
  ByteWriter,
  RecordBatchBuilder,
  recordBatch,
  writeAppendHead,
  writeCut,
  writeMade,
  writePartitionRemoved
} from "../../../core/mod.ts"
import type { Answer, Answers, Request } from "./messages.ts"
import { StoreServer } from "./StoreServer.ts"
import { openForReading } from "./schema.ts"

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
