/** Which topics have offsets that outlive the process, and what becomes of these when a topic is opened, closed and removed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { messageOf } from "../ingress/fakes.ts"
import type { Engine, LogStart, PartitionKey, PartitionOptions } from "../log/Engines.ts"
import { ArrayEngine } from "../log/fakes.ts"
import { decodeLogStart, encodeLogStart, offsetKey } from "../log/offset-rows.ts"
import { BLOCK_OFFSETS_MIN, ReservedOffsets } from "../log/ReservedOffsets.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { ManualJournal, OrderedStore, pause } from "../queue/fakes.ts"
import { joinTopics } from "./fakes.ts"
import { OpenPartitions } from "./OpenPartitions.ts"
import type { TopicInfo } from "./TopicInfo.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "00000000-0000-4000-8000-000000000000",
  partitions: 2,
  engine: "memory",
  mode: "memory",
  origin: "manifest"
}
const LIMITS = { sizeBytesMax: 1_000_000, recordsMax: 1_000_000, ageMsMax: 0 }
const keyOf = (partition: number, topicId = TOPIC.id): PartitionKey => ({ tenant: 0, topicId, partition })

/** Begins where it is told to. */
class StartingEngine extends ArrayEngine {
  readonly starts: Array<LogStart | undefined> = []

  override open(key: PartitionKey, options: PartitionOptions): ReturnType<ArrayEngine["open"]> {
    return super.open(key, options).pipe(
      Effect.map((partition) => {
        this.starts.push(options.start)
        const { offset, leaderEpoch } = options.start ?? { offset: 0, leaderEpoch: 0 }
        return Object.assign(partition, { logStartOffset: offset, logEndOffset: offset, leaderEpoch })
      })
    )
  }
}

function kept() {
  const simulation = new Simulation(1)
  const store = new OrderedStore()
  const journal = new ManualJournal(store)
  const offsets = new ReservedOffsets({ journal, store, clock: simulation.clock })
  const rows = (): ReadonlyArray<LogStart> => store.rows.map(({ value }) => decodeLogStart(value))
  /** Commits until nothing more is asked for. */
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 5; round++) {
      await pause()
      journal.commit()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { simulation, store, journal, offsets, rows, settle }
}

function make(engine: Engine = new StartingEngine(), isOwned: (partition: number) => boolean = () => true) {
  const given = kept()
  const logged: Array<string> = []
  const opened: Array<string> = []
  const partitions = new OpenPartitions({
    engines: { register: () => Effect.void, get: () => engine, names: () => [] },
    clock: given.simulation.clock,
    turn: new TurnLoop(given.simulation.clock),
    engineLabel: (name) => `engine ${name}`,
    log: (line) => void logged.push(line),
    offsets: given.offsets,
    isOwned: (_info, partition) => isOwned(partition),
    limitsOf: () => LIMITS,
    // Engines here keep all partitions open.
    current: () => undefined,
    opened: (info) => void opened.push(info.name)
  })
  return { ...given, partitions, logged, opened }
}

test("a lasting topic in memory begins above what was given out; it opens when its offsets are reserved, and is told of", async () => {
  const engine = new StartingEngine()
  const { store, partitions, opened, settle, rows } = make(engine)
  store.apply([{ key: offsetKey(keyOf(1)), value: encodeLogStart({ offset: 77_000, leaderEpoch: 4 }) }])
  partitions.add(TOPIC, true)
  await pause()
  assert.deepEqual([partitions.isOpening(TOPIC, 0), partitions.logUnsafe(TOPIC, 0)], [true, undefined])
  await settle()
  assert.deepEqual(opened, ["t", "t"])
  const logs = [0, 1].map((partition) => partitions.logUnsafe(TOPIC, partition))
  assert.deepEqual(
    logs.map((log) => [log?.logStartOffset, log?.nextOffset, log?.leaderEpoch, log?.incarnation]),
    [
      [0, 0, 0, 0],
      [77_000, 77_000, 4, 0]
    ]
  )
  assert.deepEqual(rows(), [
    { offset: BLOCK_OFFSETS_MIN, leaderEpoch: 1 },
    { offset: 77_000 + BLOCK_OFFSETS_MIN, leaderEpoch: 5 }
  ])
})

test("closed in good order a log goes on exactly where it ended, what lay gathered counted", async () => {
  const { partitions, settle, rows } = make(new StartingEngine(), (partition) => partition === 0)
  partitions.add(TOPIC, true)
  await settle()
  for (let index = 0; index < 5; index++) partitions.logUnsafe(TOPIC, 0)?.takeUnsafe(messageOf("a", "x"))
  const closed = Effect.runPromise(partitions.closeAll())
  await settle()
  await closed
  assert.deepEqual(rows(), [{ offset: 5, leaderEpoch: 0 }])
})

test("other modes, and topics that do not last, have no rows and open at once", async () => {
  const engine = new StartingEngine()
  const { partitions, journal, logged } = make(engine)
  partitions.add({ ...TOPIC, mode: "persistent" }, true)
  partitions.add({ ...TOPIC, id: "other", origin: "publish" }, false)
  assert.ok(partitions.logUnsafe(TOPIC, 0) !== undefined)
  assert.ok((partitions.logUnsafe({ ...TOPIC, id: "other" }, 0)?.incarnation ?? 0) > 0)
  assert.deepEqual(engine.starts, [undefined, undefined, undefined, undefined])
  await Effect.runPromise(partitions.remove({ ...TOPIC, id: "other" }))
  assert.deepEqual([journal.pending, logged], [0, []])
})

test("an engine that begins anew all the same is told of, and its log is known as another one", async () => {
  const { store, partitions, logged, settle, rows } = make(new ArrayEngine(), (partition) => partition === 0)
  store.apply([{ key: offsetKey(keyOf(0)), value: encodeLogStart({ offset: 9, leaderEpoch: 1 }) }])
  partitions.add(TOPIC, true)
  await settle()
  const log = partitions.logUnsafe(TOPIC, 0)
  assert.deepEqual([log?.logStartOffset, (log?.incarnation ?? 0) > 0], [0, true])
  assert.deepEqual(logged, ["partition t/0: engine memory begins at 0 where 9 offsets were given out"])
  const before = rows()
  const closed = Effect.runPromise(partitions.closeAll())
  await settle()
  await closed
  assert.deepEqual(rows(), before)
})

test("a row that cannot be read costs its partition, and one line", async () => {
  const { store, partitions, logged, settle } = make()
  store.apply([{ key: offsetKey(keyOf(1)), value: Uint8Array.of(2, 0, 0) }])
  partitions.add(TOPIC, true)
  await settle()
  assert.ok(partitions.logUnsafe(TOPIC, 0) !== undefined)
  assert.equal(partitions.logUnsafe(TOPIC, 1), undefined)
  assert.match(
    logged.join("\n"),
    /^partition t\/1: engine memory cannot open it: .*form 2 and 3 bytes; this version reads form 1 of 13$/
  )
})

test("removed, a topic leaves no rows; one whose rows cannot go is not forgotten", async () => {
  const { partitions, journal, settle, rows, logged } = make()
  partitions.add(TOPIC, true)
  await settle()
  assert.equal(rows().length, 2)
  const removed = Effect.runPromise(partitions.remove(TOPIC))
  await settle()
  await settle()
  assert.deepEqual([await removed, rows()], [true, []])
  partitions.add(TOPIC, true)
  await settle()
  journal.refusal = -3
  assert.equal(await Effect.runPromise(partitions.remove(TOPIC)), false)
  assert.match(logged.join("\n"), /partition t\/0: engine memory cannot be removed/)
})

test("topics that the meta store agrees on last, on the shard that owns them; those that a PUBLISH makes in memory do not", async () => {
  const { simulation, offsets, store, settle } = kept()
  const { shards, joined } = joinTopics(simulation, { shards: 1, offsets })
  const [one] = shards
  assert.ok(one !== undefined && joined.all.length > 0)
  const published = one.topics.createForPublishUnsafe(0, "published")
  assert.ok(published !== undefined && one.topics.logUnsafe(published, 0) !== undefined)
  const created = Effect.runPromise(one.topics.create(0, { name: "created", partitions: 3 }))
  const ensured = Effect.runPromise(one.topics.ensure(0, "ensured"))
  await simulation.runAsync()
  await settle()
  const ids = [...Array.from({ length: 3 }, (_, at) => keyOf(at, "")), keyOf(0, "")]
  const owners = [await created, await created, await created, await ensured]
  const keys = ids.map((key, at) => Buffer.from(offsetKey({ ...key, topicId: owners[at]?.id ?? "" })).toString("hex"))
  assert.deepEqual(store.rows.map(({ key }) => Buffer.from(key).toString("hex")).toSorted(), keys.toSorted())
  assert.ok(one.topics.logUnsafe(await created, 2) !== undefined)
})
