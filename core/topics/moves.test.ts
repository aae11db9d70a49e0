/** Whole moves of topics on several shards in virtual time: whatever fails, waits, is cancelled, altered, bound otherwise or deleted meanwhile. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit } from "effect"
import { endOffsetOf } from "../log/partition-operations.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { baseOffset, baseTimestamp } from "../log/record-batch.ts"
import { Simulation } from "../platform/simulated.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { joinTopics } from "./fakes.ts"
import { ObedientEngine, ObedientPartition } from "./ObedientPartition.ts"
import { HOLD_MS_MAX } from "./ShardMoves.ts"
import type { TopicError } from "./TopicError.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import type { MoveProgress } from "./TopicMover.ts"
import { type AgreedMove, decodeTopic, topicKey } from "./topic-codec.ts"

const PARTITIONS = 3
const ENGINES = ["a", "b"] as const
const MODES = ["hybrid", "persistent"] as const
/** Which stream of random numbers the test draws from; the others are the simulation's. */
const STREAM = 7

/** A batch of so many records that says who it is. */
function batchOf(mark: number, records: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (let at = 0; at < records; at++) builder.append(mark, undefined, 0, 0, new Uint8Array(20), 0, 20)
  return builder.bytes.slice(0, builder.finish())
}

class Story {
  readonly simulation: Simulation
  readonly chance: Xoshiro128
  readonly engines: Readonly<Record<(typeof ENGINES)[number], ObedientEngine>>
  readonly world: ReturnType<typeof joinTopics>
  /** What was acknowledged, by partition: the mark of the batch at each base offset. */
  readonly acknowledged = Array.from({ length: PARTITIONS }, () => new Map<number, number>())
  info: TopicInfo | undefined
  refusedCount = 0
  #marks = 1_000

  constructor(seed: number, commitMsMax: number) {
    this.simulation = new Simulation(seed)
    this.chance = Xoshiro128.seeded(seed, STREAM)
    const make = (): ObedientEngine =>
      new ObedientEngine(() => {
        const partition = new ObedientPartition(this.simulation.clock)
        partition.commitMs = () => this.chance.below(commitMsMax + 1)
        partition.coldMs = this.chance.below(2) * 15
        return partition
      })
    this.engines = { a: make(), b: make() }
    this.world = joinTopics(this.simulation, { shards: 2, others: this.engines, synced: () => Promise.resolve() })
  }

  get topics() {
    return this.world.shards.map(({ topics }) => topics)
  }

  pass(ms: number): Promise<void> {
    return this.simulation.runAsync(this.simulation.clock.monotonicMs() + ms)
  }

  /** Runs it in virtual time; undefined where it did not end in time. */
  async run<A, E>(effect: Effect.Effect<A, E>, msMax = 60_000): Promise<Exit.Exit<A, E> | undefined> {
    let exit: Exit.Exit<A, E> | undefined
    void Effect.runPromiseExit(effect).then((ended) => {
      exit = ended
    })
    for (let ms = 0; exit === undefined && ms <= msMax; ms += 20) await this.pass(20)
    return exit
  }

  async create(): Promise<void> {
    const topic = { name: "t", partitions: PARTITIONS, engine: "a", mode: "persistent" } as const
    const created = await this.run(this.topics[0]?.create(0, topic) ?? Effect.die("no shard"))
    assert.ok(created !== undefined && Exit.isSuccess(created))
    this.info = created.value
  }

  /** Appends a batch where the partition is, now or when it can be had; notes it when that is acknowledged. */
  append(partition: number, waits = 200): void {
    const now = this.topics[0]?.find(0, "t")
    if (now === undefined) return
    const topics = this.topics[this.topics[0]?.ownerOf(now, partition) ?? 0]
    const own = topics?.find(0, "t")
    if (topics === undefined || own === undefined) return
    const log = topics.logUnsafe(own, partition)
    if (log === undefined || log.isClosed) {
      assert.ok(waits > 0, `partition ${partition} cannot be had`)
      if (topics.isOpening(own, partition)) topics.whenSettled(own, partition, () => this.append(partition, waits - 1))
      else this.simulation.clock.after(20, () => this.append(partition, waits - 1))
      return
    }
    const records = 1 + this.chance.below(4)
    const mark = this.#marks++
    const bytes = batchOf(mark, records)
    const offset = log.appendUnsafe(bytes, 0, bytes.length, records)
    if (offset < 0) {
      this.refusedCount += 1
      return
    }
    const ticket = log.producedTicket
    log.tickets?.whenCommitted(ticket, () => {
      if (log.tickets?.takeOutcome(ticket) !== 0) {
        this.refusedCount += 1
        return
      }
      const values = this.acknowledged[partition]
      assert.ok(values?.has(offset) === false, `offset ${offset} of partition ${partition} was given twice`)
      values.set(offset, mark)
    })
  }

  /** The partition in use, or one that is copied to, as the engines have it. */
  anyPartition(): ObedientPartition | undefined {
    const all = Object.values(this.engines).flatMap(({ partitions }) => [...partitions.values()])
    return all[this.chance.below(Math.max(1, all.length))]
  }

  async lastMove(): Promise<MoveProgress | undefined> {
    const exit = await this.run(this.topics[0]?.moves.all() ?? Effect.die("no shard"))
    return exit !== undefined && Exit.isSuccess(exit) ? exit.value.at(-1) : undefined
  }

  async ended(): Promise<MoveProgress | undefined> {
    for (let looks = 0; looks < 3_000; looks++) {
      const move = await this.lastMove()
      if (move === undefined || ["done", "failed", "cancelled"].includes(move.stage)) return move
      await this.pass(20)
    }
    throw new Error(`the move never ended: ${JSON.stringify(await this.lastMove())}`)
  }

  /** Everything that was acknowledged is there, once, and nothing is left of any other log. */
  async check(): Promise<void> {
    await this.pass(2_000)
    for (let second = 0; second < 5; second++) {
      for (const topics of this.topics) topics.housekeep()
      await this.pass(1_000)
    }
    const now = this.topics.map((topics) => topics.find(0, "t"))
    assert.deepEqual(now[1], now[0])
    const entry = this.world.meta.entries.get(topicKey({ tenant: 0, name: "t" }))
    assert.deepEqual(now[0], entry && decodeTopic(entry.key, entry.value))
    const info = now[0]
    const names = info === undefined ? [] : [0, 1, 2].map((partition) => `${logIdOf(info)}/${partition}`)
    for (const [engine, { partitions }] of Object.entries(this.engines)) {
      const expected = info?.engine === engine ? names : []
      const found = [...partitions.keys()].filter((name) => !expected.includes(name))
      assert.deepEqual(found, [], `left in engine ${engine}`)
    }
    const left = [...this.world.meta.entries.keys()].filter((key) => !/^(?:topics|bindings)\//.test(key))
    assert.deepEqual(left, [])
    if (info === undefined) return
    const { partitions } = this.engines[info.engine as "a" | "b"]
    for (const [partition, values] of this.acknowledged.entries()) {
      const stored = partitions.get(`${logIdOf(info)}/${partition}`)
      if (stored === undefined) {
        assert.equal(values.size, 0)
        continue
      }
      const marks = new Map(stored.batches.map((batch) => [baseOffset(batch, 0), baseTimestamp(batch, 0)]))
      let end = stored.batches[0] === undefined ? 0 : baseOffset(stored.batches[0], 0)
      for (const batch of stored.batches) {
        assert.equal(baseOffset(batch, 0), end, `a gap in partition ${partition}`)
        end = endOffsetOf(batch, 0)
      }
      for (const [offset, mark] of values) {
        if (offset < stored.logStartOffset) continue
        assert.equal(marks.get(offset), mark, `what partition ${partition} has at ${offset}`)
      }
    }
  }
}

test("moves of topics while they are used, over what engines and the meta store do: nothing acknowledged is lost or repeated", async () => {
  const stages = new Map<string, number>()
  let acknowledged = 0
  let changed = 0
  const refusals = new Set<string>()
  const change = (effect: Effect.Effect<unknown, TopicError> | undefined): void => {
    const counted = Effect.match(effect ?? Effect.void, {
      onSuccess: () => void (changed += 1),
      onFailure: (error) => void refusals.add((error as TopicError).reason)
    })
    void Effect.runPromiseExit(counted)
  }
  for (let seed = 1; seed <= 60; seed++) {
    const story = new Story(seed, [0, 5, 60][seed % 3] ?? 0)
    try {
      await story.create()
      const { chance, world } = story
      // Each shard hears later of what was agreed, and one later than the other.
      const watchMs = [0, 1].map(() => chance.below(2) * chance.below(400))
      world.meta.watchDelayMs = (watcher) => watchMs[watcher >> 1] ?? 0
      let isDeleted = false
      for (let step = 0; step < 150; step++) {
        const what = chance.below(100)
        const topics = story.topics[chance.below(2)]
        if (what < 60) story.append(chance.below(PARTITIONS))
        else if (what < 63) story.anyPartition()?.fail()
        else if (what < 66) {
          const partition = story.anyPartition()
          const { logStartOffset: start = 0, highWatermark: end = 0 } = partition ?? {}
          await partition?.deleteBefore(start + chance.below(end - start + 1))
        } else if (what < 70) world.meta.delayMs = chance.below(2) * chance.below(300)
        else if (what < 76 && !isDeleted) {
          const [engine, mode] = [ENGINES[chance.below(2)] ?? "a", MODES[chance.below(2)] ?? "hybrid"]
          const bytesPerSecond = [2_000, 1_000_000][chance.below(2)] ?? 1
          void Effect.runPromiseExit(
            topics?.moves.move(0, "t", { engine, mode, bytesPerSecond }) ?? Effect.die("no shard")
          )
        } else if (what < 78) void Effect.runPromiseExit(topics?.moves.cancel(0, "t") ?? Effect.die("no shard"))
        else if (what < 82) {
          const value = String(chance.below(1_000_000))
          change(topics?.alter(0, "t", { configs: [{ name: "segment.ms", operation: "set", value }] }))
        } else if (what < 86) change(topics?.bindings.bind(0, "t", [undefined, "a/+", "b/#"][chance.below(3)]))
        else if (what === 99 && step > 100 && chance.chance(1, 3)) {
          isDeleted = true
          void Effect.runPromiseExit(topics?.delete(0, "t") ?? Effect.die("no shard"))
        } else await story.pass(chance.below(120))
      }
      world.meta.delayMs = 0
      const last = await story.ended()
      stages.set(last?.stage ?? "none", (stages.get(last?.stage ?? "none") ?? 0) + 1)
      await story.check()
      for (const values of story.acknowledged) acknowledged += values.size
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
  }
  // What is not seen is not checked.
  for (const stage of ["done", "failed", "cancelled"]) assert.ok((stages.get(stage) ?? 0) > 0, `no move was ${stage}`)
  assert.ok(acknowledged > 2_000, `${acknowledged} batches`)
  assert.ok(changed > 100, `${changed} changes`)
  // What meets the switch of a move waits for it.
  assert.deepEqual([...refusals].toSorted(), ["not-found"])
})

test("appends that wait for the rest of a copy go on after a second, where they were, and the next attempt ends it", async () => {
  const story = new Story(1, 0)
  await story.create()
  for (let partition = 0; partition < PARTITIONS; partition++) story.append(partition)
  await story.pass(100)
  // One commit never comes while they are held: the hold must not last.
  const stuck = story.engines.a.partitions.get(`${story.info?.id}/0`)
  assert.ok(stuck !== undefined)
  stuck.commitMs = undefined
  for (let partition = 0; partition < PARTITIONS; partition++) story.append(partition)
  const begun = await story.run(story.topics[0]?.moves.move(0, "t", { engine: "b" }) ?? Effect.die("no shard"))
  assert.ok(begun !== undefined && Exit.isSuccess(begun))
  let wasHeld = false
  let heldMs = 0
  for (let ms = 0; ms < 4_000; ms += 20) {
    await story.pass(20)
    const info = story.topics[0]?.find(0, "t")
    assert.ok(info !== undefined)
    const isHeld = story.topics.some(
      (topics) => topics.ownerOf(info, 0) === story.topics.indexOf(topics) && topics.isOpening(info, 0)
    )
    heldMs = isHeld ? heldMs + 20 : 0
    wasHeld ||= isHeld
    assert.ok(heldMs <= HOLD_MS_MAX + 200, `held for ${heldMs} ms`)
  }
  assert.ok(wasHeld, "it was never held")
  assert.equal(story.topics[0]?.find(0, "t")?.engine, "a")
  stuck.commitMs = () => 0
  stuck.commit()
  assert.equal((await story.ended())?.stage, "done")
  assert.equal(story.topics[0]?.find(0, "t")?.engine, "b")
  await story.check()
  assert.equal(
    story.acknowledged.reduce((count, values) => count + values.size, 0),
    2 * PARTITIONS
  )
  assert.equal(story.refusedCount, 0)
})

test("while the meta store does not answer appends wait, and both ends of that are whole", async () => {
  const story = new Story(3, 0)
  await story.create()
  for (let partition = 0; partition < PARTITIONS; partition++) story.append(partition)
  await story.pass(100)
  await story.run(story.topics[0]?.moves.move(0, "t", { engine: "b" }) ?? Effect.die("no shard"))
  story.world.meta.delayMs = 3_000
  await story.pass(1_000)
  for (let partition = 0; partition < PARTITIONS; partition++) story.append(partition)
  await story.pass(500)
  story.world.meta.delayMs = 0
  const move: AgreedMove | undefined = await story.ended()
  assert.notEqual(move?.to.logId, undefined)
  await story.check()
  assert.equal(
    story.acknowledged.reduce((count, values) => count + values.size, 0),
    2 * PARTITIONS
  )
})

test("who heard of a topic before it was moved gets the log that it has now, in the mode that it has now", async () => {
  const story = new Story(4, 0)
  await story.create()
  const before = story.info
  assert.ok(before !== undefined)
  for (const wish of [{ engine: "b" }, { mode: "hybrid" }] as const) {
    await story.run(story.topics[0]?.moves.move(0, "t", wish) ?? Effect.die("no shard"))
    assert.equal((await story.ended())?.stage, "done")
  }
  await story.check()
  const shard = story.topics[story.topics[0]?.ownerOf(before, 1) ?? 0]
  const log = shard?.logUnsafe(before, 1)
  assert.equal(log?.topic.mode, "hybrid")
  assert.equal(story.engines.a.partitions.size, 0)
  await story.run(shard?.delete(0, "t") ?? Effect.die("no shard"))
  assert.equal(shard?.logUnsafe(before, 1), undefined)
  await story.check()
})
