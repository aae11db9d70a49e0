/** A node compacts topics by itself: on either engine, what MQTT publishers and Kafka producers left, over a restart. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import { RETAINED_LIMITS } from "../../core/ingress/retained-limits.ts"
import { PartitionLog } from "../../core/log/PartitionLog.ts"
import {
  CONTRACT_VERSION,
  Message,
  type Plugin,
  type ProtocolPlugin,
  RecordCursor,
  recordBatch,
  Topics
} from "../../core/mod.ts"
import { startNode } from "../../core/node/mod.ts"
import { bunPlatform } from "../../core/platform/bun/mod.ts"
import { ShardTopics } from "../../core/topics/ShardTopics.ts"
import { plugin as metaRaft } from "../../plugins/meta-raft/mod.ts"
import { plugin as storageSegment } from "../../plugins/storage-segment/mod.ts"
import { plugin as storageSqlite } from "../../plugins/storage-sqlite/mod.ts"

const folder = mkdtempSync(join(tmpdir(), "manifold-compaction-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const CONFIGS = {
  "cleanup.policy": "compact",
  "segment.ms": "50",
  "delete.retention.ms": "0",
  "min.cleanable.dirty.ratio": "0.01"
}

interface Node {
  readonly topics: ShardTopics
  readonly lines: ReadonlyArray<string>
  stop(): Promise<void>
}

async function start(): Promise<Node> {
  const lines: Array<string> = []
  let topics: ShardTopics | undefined
  const probe = {
    name: "probe",
    version: "0.1.0",
    contractVersion: CONTRACT_VERSION,
    kind: "protocol",
    runs: "shard",
    options: v.strictObject({}),
    layer: () =>
      Layer.effectDiscard(
        Effect.map(Topics, (found) => {
          if (found instanceof ShardTopics) topics = found
        })
      )
  } satisfies ProtocolPlugin
  const load = (plugin: Plugin, given: unknown = {}) => ({ plugin, options: v.parse(plugin.options, given) })
  const kept = { engine: "segment", mode: "hybrid", partitions: 1 } as const
  const node = startNode({
    id: "node-1",
    version: "0",
    dataDirectory: folder,
    shards: 1,
    defaults: { autoCreate: true, autoCreateMqtt: "memory", forName: () => kept },
    retained: RETAINED_LIMITS,
    budget: { dataBytesMax: 0, tenantBytesMax: 0 },
    compaction: { offsetMapBytes: 1_048_576, bytesPerSecond: 100_000_000, intervalMs: 100 },
    defaultTopic: kept,
    declared: [],
    plugins: [
      load(storageSqlite, { checkpoint_interval_ms: 20 }),
      load(storageSegment, { checkpoint_interval_ms: 20 }),
      load(metaRaft),
      load(probe)
    ],
    insecure: false,
    log: (line) => void lines.push(line)
  })
  const scope = Scope.makeUnsafe()
  await Effect.runPromise(
    Scope.provide(
      Effect.provide(
        node,
        bunPlatform(() => {})
      ),
      scope
    )
  )
  if (topics === undefined) throw new Error("the shard has topics")
  return { topics, lines, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

async function logOf({ topics }: Node, name: string): Promise<PartitionLog> {
  const info = topics.find(0, name)
  if (info === undefined) throw new Error(`there is no topic ${name}`)
  topics.logUnsafe(info, 0)
  await new Promise<void>((resolve) => topics.whenSettled(info, 0, resolve))
  const log = topics.logUnsafe(info, 0)
  if (!(log instanceof PartitionLog)) throw new Error("it opens")
  return log
}

/** As a PUBLISH does; a retained one without a payload is a tombstone. */
function publish(log: PartitionLog, name: string, payload: string): void {
  const message = new Message()
  message.topic = Buffer.from(name)
  message.topicEnd = message.topic.length
  message.payload = Buffer.from(payload)
  message.payloadEnd = message.payload.length
  message.retain = true
  message.qos = 1
  message.timestamp = Date.now()
  expect(log.takeUnsafe(message)).toBeGreaterThanOrEqual(0)
}

async function textOf(log: PartitionLog): Promise<string> {
  const found: Array<string> = []
  const cursor = new RecordCursor()
  for (let next = log.logStartOffset; next < log.highWatermark(); ) {
    const bytes = log.readUnsafe(next, 10_000) ?? (await log.read(next, 10_000))
    for (let at = 0; at < bytes.length; ) {
      const size = recordBatch.batchSize(bytes, at, bytes.length)
      cursor.reset(bytes, at, at + size)
      while (cursor.next()) {
        const part = (from: number, to: number): string =>
          from < 0 ? "null" : Buffer.from(cursor.bytes.subarray(from, to)).toString()
        found.push(
          `${cursor.offset}:${part(cursor.keyStart, cursor.keyEnd)}=${part(cursor.valueStart, cursor.valueEnd)}`
        )
      }
      next = recordBatch.baseOffset(bytes, at) + recordBatch.lastOffsetDelta(bytes, at) + 1
      at += size
    }
  }
  return found.join(" ")
}

async function until(holds: () => Promise<boolean>, what: () => Promise<string>): Promise<void> {
  for (const startMs = Date.now(); !(await holds()); ) {
    if (Date.now() - startMs > 20_000) throw new Error(await what())
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

for (const engine of ["segment", "sqlite"]) {
  test(`${engine}: a device's last message stays, one that was removed goes, and a restart changes nothing`, async () => {
    const node = await start()
    const name = `states-${engine}`
    await Effect.runPromise(node.topics.create(0, { name, engine, mode: "hybrid", partitions: 1, configs: CONFIGS }))
    const log = await logOf(node, name)
    for (let round = 0; round < 5; round++) {
      for (const device of ["a", "b", "c"]) publish(log, `devices/${device}`, `${round}`)
      log.seal()
    }
    publish(log, "devices/b", "")
    log.seal()
    const wanted = "12:devices/a=4 14:devices/c=4"
    // What comes behind has the rest compacted: the newest batch, and the segment that is written, are not.
    let last = 0
    const isDone = async (): Promise<boolean> => {
      publish(log, "devices/d", `${++last}`)
      log.seal()
      return (await textOf(log)).startsWith(`${wanted} `) && !(await textOf(log)).includes("null")
    }
    await until(isDone, () => textOf(log))
    expect(node.lines.some((line) => line.includes("a log was compacted") && line.includes(name))).toBe(true)
    await node.stop()
    const again = await start()
    const reopened = await logOf(again, name)
    expect(await textOf(reopened)).toMatch(new RegExp(`^${wanted} .*=${last}$`))
    expect(reopened.logStartOffset).toBe(0)
    await again.stop()
  }, 60_000)
}
