/**
 * What a segment, an index or a manifest holds, as lines for a person: `manifold storage dump FILE`. It needs no other file: a segment that
 * lies elsewhere can be read, too.
 */
import { basename } from "node:path"
import { Effect } from "effect"
import {
  codecNames,
  type Dump,
  type DumpRequest,
  endOffsetOf,
  FileError,
  type OpenFile,
  PluginError,
  RecordCursor,
  recordBatch,
  refusalName
} from "../../core/mod.ts"
import { MANIFEST_NAME, readManifest } from "./Manifest.ts"
import { SegmentFault } from "./SegmentFault.ts"
import {
  BATCH_HEADER_BYTES,
  baseOfName,
  decodeRun,
  describeFooter,
  describeHeader,
  FOOTER_BYTES,
  HEADER_BYTES,
  INDEX_ENTRY_BYTES
} from "./segment-format.ts"

/** Bytes of a key or a value that are shown. */
const SHOWN_BYTES = 200
/** A batch that claims to be larger is none. */
const BATCH_BYTES_MAX = 268_435_456
const decoder = new TextDecoder("utf-8", { fatal: true })

export const dump: Dump = (request) =>
  Effect.tryPromise({
    try: async () => {
      const name = basename(request.pathname)
      const isSegment = baseOfName(name) !== undefined
      if (!isSegment && name !== MANIFEST_NAME) return undefined
      const file = request.files.openUnsafe(request.pathname, "read")
      try {
        if (name === MANIFEST_NAME) return await dumpManifest(file, request)
        return name.endsWith(".index") ? await dumpIndex(file, request) : await dumpSegment(file, request)
      } finally {
        file.close()
      }
    },
    catch: (error) => {
      if (!(error instanceof FileError)) throw error
      return new PluginError({ plugin: "storage-segment", message: error.message })
    }
  })

async function dumpSegment(file: OpenFile, { say, withRecords }: DumpRequest): Promise<string> {
  const header = await readAt(file, 0, HEADER_BYTES)
  const described = describeHeader(header)
  if (typeof described === "string") return described
  say(
    `segment of ${JSON.stringify(described.topicId)}/${described.partition} from offset ${described.base} on; tenant ${described.tenant}, number ${described.id}`
  )
  let position = HEADER_BYTES
  for (let offset = described.base; ; ) {
    const head = await readAt(file, position, BATCH_HEADER_BYTES)
    if (head.length === 0) return ""
    const footer = describeFooter(await readAt(file, position, FOOTER_BYTES))
    if (footer !== undefined) {
      say(
        `byte ${position}: footer: offsets ${footer.base} to ${footer.end - 1}, ${footer.batches} batches, ${footer.records} records, ${footer.bytes} bytes, times ${timeOf(footer.firstTimestamp)} to ${timeOf(footer.maxTimestamp)}`
      )
      return footer.bytes === position ? "" : `byte ${position}: the footer is that of ${footer.bytes} bytes`
    }
    if (head.length < BATCH_HEADER_BYTES) return `byte ${position}: it ends within a batch`
    const size = recordBatch.batchLength(head, 0) + recordBatch.LENGTH_OVERHEAD
    const base = recordBatch.baseOffset(head, 0)
    if (size < BATCH_HEADER_BYTES || size > BATCH_BYTES_MAX || base < offset)
      return `byte ${position}: no batch begins here`
    const batch = await readAt(file, position, size)
    if (batch.length < size) return `byte ${position}: it ends within a batch`
    const isWhole = recordBatch.checkBatch(batch, 0, size) === 0
    say(lineOf(batch, position, isWhole))
    if (!isWhole) return `byte ${position}: the batch does not fit its checksum`
    if (withRecords) sayRecords(batch, say)
    offset = endOffsetOf(batch, 0)
    position += size
  }
}

function lineOf(batch: Uint8Array, position: number, isWhole: boolean): string {
  const codec = codecNames[recordBatch.codec(batch, 0)] ?? "unknown"
  // With a horizon the base timestamp is that, and says nothing of the records.
  const first = recordBatch.deleteHorizon(batch, 0) === undefined ? recordBatch.baseTimestamp(batch, 0) : -1
  const times = `${timeOf(first)} to ${timeOf(recordBatch.maxTimestamp(batch, 0))}`
  const offsets = `offsets ${recordBatch.baseOffset(batch, 0)} to ${endOffsetOf(batch, 0) - 1}`
  const horizon = recordBatch.deleteHorizon(batch, 0)
  const left = endOffsetOf(batch, 0) - recordBatch.baseOffset(batch, 0) - recordBatch.recordCount(batch, 0)
  const compacted = left === 0 ? "" : `, ${left} of them compacted away`
  const until = horizon === undefined ? "" : `, tombstones until ${timeOf(horizon)}`
  const facts = `${batch.length} bytes, epoch ${recordBatch.partitionLeaderEpoch(batch, 0)}, ${codec}, ${times}`
  return `byte ${position}: ${offsets}${compacted}, ${facts}${until}${isWhole ? "" : ", DAMAGED"}`
}

function sayRecords(batch: Uint8Array, say: (line: string) => void): void {
  const cursor = new RecordCursor()
  cursor.reset(batch, 0, batch.length)
  while (cursor.next()) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor
    const key = keyStart < 0 ? "null" : shown(bytes.subarray(keyStart, keyEnd))
    const value = valueStart < 0 ? "null" : shown(bytes.subarray(valueStart, valueEnd))
    say(`  ${cursor.offset} ${timeOf(cursor.timestamp)} key ${key} value ${value}`)
  }
  if (cursor.refusal !== 0) say(`  what follows cannot be read: ${refusalName(cursor.refusal)}`)
}

async function dumpIndex(file: OpenFile, { say }: DumpRequest): Promise<string> {
  const bytes = await readAt(file, 0, file.sizeUnsafe())
  const base = baseOfName(basename(file.pathname)) ?? 0
  for (let at = 0; at + INDEX_ENTRY_BYTES <= bytes.length; at += INDEX_ENTRY_BYTES) {
    const run = decodeRun(bytes, at)
    if (run === undefined) return `byte ${at}: the entry does not fit its checksum`
    say(
      `bytes ${run.position} to ${run.end}: from offset ${base + run.relativeOffset} on, times up to ${timeOf(run.maxTimestamp)}`
    )
  }
  return bytes.length % INDEX_ENTRY_BYTES === 0 ? "" : "it ends within an entry"
}

async function dumpManifest(file: OpenFile, { say }: DumpRequest): Promise<string> {
  const bytes = await readAt(file, 0, file.sizeUnsafe())
  try {
    const { content, end } = readManifest(bytes, file.pathname)
    const { applied, isClean, epochLast, nextId } = content.state
    say(
      `up to entry ${applied} of the journal; ${isClean ? "closed in good order" : "in use, or killed"}; leader epochs up to ${epochLast}; next number ${nextId}`
    )
    for (const { id, key, logStart, logEnd, leaderEpoch, segments, cleanedTo = 0 } of content.partitions.values()) {
      const name = `${JSON.stringify(key.topicId)}/${key.partition}`
      say(
        `partition ${id}: ${name} of tenant ${key.tenant}, offsets ${logStart} to ${logEnd}, epoch ${leaderEpoch}, ${segments.length} segments${cleanedTo === 0 ? "" : `, compacted up to ${cleanedTo}`}`
      )
      for (const { base, end: last, bytes: size, batches, isSealed, generation } of segments) {
        const compacted = generation === undefined ? "" : `, compaction ${generation}`
        say(`  segment ${base} to ${last}: ${size} bytes, ${batches} batches${isSealed ? ", sealed" : ""}${compacted}`)
      }
    }
    return end === bytes.length ? "" : `byte ${end}: what follows is no whole group: a crash cut it off`
  } catch (error) {
    if (!(error instanceof SegmentFault)) throw error
    return `byte ${error.position}: ${error.reason}`
  }
}

/** The bytes from `position` on, fewer than `size` where the file ends. */
async function readAt(file: OpenFile, position: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, Math.min(size, file.sizeUnsafe() - position)))
  return bytes.subarray(0, await file.read(bytes, 0, bytes.length, position))
}

/** Text as JSON has it, bytes that are none as base64, both cut where they are long. */
function shown(bytes: Uint8Array): string {
  const some = bytes.subarray(0, SHOWN_BYTES)
  const more = bytes.length > SHOWN_BYTES ? ` and ${bytes.length - SHOWN_BYTES} bytes more` : ""
  try {
    return `${JSON.stringify(decoder.decode(some))}${more}`
  } catch {
    return `base64:${Buffer.from(some).toString("base64")}${more}`
  }
}

function timeOf(timestamp: number): string {
  const time = new Date(timestamp)
  return Number.isNaN(time.getTime()) || timestamp < 0 ? String(timestamp) : time.toISOString()
}
