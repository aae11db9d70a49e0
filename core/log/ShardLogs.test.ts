import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { TicketStream } from "../journal/Journal.ts"
import { Simulation } from "../platform/simulated.ts"
import { joinTopics, NotingEngine } from "../topics/fakes.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { encodeTopic, topicKey } from "../topics/topic-codec.ts"
import { FAILED } from "./Engines.ts"
import { ArrayPartition, LatePartition } from "./fakes.ts"
import { NOT_AVAILABLE } from "./Logs.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { type LocalAppend, ShardLogs } from "./ShardLogs.ts"

const topic: TopicInfo = {
  tenant: 0,
  name: "watched",
  id: "00000000-0000-4000-8000-000000000001",
  partitions: 2,
  engine: "memory",
  mode: "memory",
  origin: "manifest"
}

function make() {
  const simulation = new Simulation(1)
  const meta = [{ key: topicKey(topic), value: encodeTopic(topic), version: 1 }]
  const { joined, shards } = joinTopics(simulation, { meta })
  const logs = joined.all.map(({ port, turn }, index) => {
    const { topics } = shards[index] ?? assert.fail("there are as many")
    return new ShardLogs(port, turn, topics, () => assert.fail("nobody appends"), simulation.clock)
  })
  return { simulation, logs, shards }
}

test("whoever waits for a log's next record is told when it is closed, and of one that is not there, here and elsewhere; once", async () => {
  const { simulation, logs, shards } = make()
  const told: Array<string> = []
  const takeBacks: Array<() => void> = []
  const watchAll = (): void => {
    for (const [shard, each] of logs.entries()) {
      for (let partition = 0; partition < 2; partition++) {
        const logAdvanced = (): void => void told.push(`${shard} ${partition}`)
        takeBacks.push(each.watch(topic, partition, 0, { logAdvanced }))
      }
    }
  }
  watchAll()
  await simulation.runAsync(10)
  assert.deepEqual(told, [])
  for (const { topics } of shards) topics.metaChanged({ key: topicKey(topic), value: undefined, revision: 2 })
  await simulation.runAsync(20)
  assert.deepEqual(told.toSorted(), ["0 0", "0 1", "1 0", "1 1"])
  watchAll()
  await simulation.runAsync(30)
  assert.equal(told.length, 8)
  // What was taken back is told of nothing.
  watchAll()
  for (const takeBack of takeBacks) takeBack()
  await simulation.runAsync(40)
  assert.equal(told.length, 8)
})

test("what is asked for while a log is being opened is answered when it is, in order, here and elsewhere", async () => {
  const simulation = new Simulation(1)
  const meta = [{ key: topicKey(topic), value: encodeTopic(topic), version: 1 }]
  const engine = new NotingEngine()
  let ready = (): void => {}
  const opened = new Promise<void>((resolve) => {
    ready = resolve
  })
  engine.open = () => Effect.promise(() => opened.then(() => new ArrayPartition()))
  Object.assign(engine, { reopens: { tryOpen: () => undefined, close: () => Promise.resolve() } })
  const { joined, shards } = joinTopics(simulation, { meta, engine })
  const appended: Array<number> = []
  const logs = joined.all.map(({ port, turn }, index) => {
    const { topics } = shards[index] ?? assert.fail("there are as many")
    const append: LocalAppend = (log, bytes, start, end, records) => {
      appended.push(bytes[start] ?? -1)
      return records === end - start && !log.isClosed ? 10 * appended.length : -1
    }
    return new ShardLogs(port, turn, topics, append, simulation.clock)
  })
  const bytes = new Uint8Array(4)
  const answers: Array<Promise<string>> = []
  for (const each of logs) {
    for (let partition = 0; partition < 2; partition++) {
      for (let number = 1; number <= 3; number++) {
        bytes.fill(number)
        const answer = Promise.resolve(each.append(topic, partition, bytes, 1, 3, 2))
        answers.push(answer.then(({ refusal }) => `appended ${refusal}`))
      }
      answers.push(Promise.resolve(each.state(topic, partition)).then(({ refusal }) => `state ${refusal}`))
      answers.push(Promise.resolve(each.read(topic, partition, 0, 1)).then(({ refusal }) => `read ${refusal}`))
      answers.push(each.offsetForTimestamp(topic, partition, 1).then((found) => `time ${found?.offset}`))
    }
  }
  // The bytes are borrowed until the call returns.
  bytes.fill(9)
  await simulation.runAsync(10)
  assert.deepEqual(appended, [])
  ready()
  await simulation.runAsync(20)
  const each = ["appended 0", "appended 0", "appended 0", "state 0", "read 0", "time undefined"]
  assert.deepEqual(await Promise.all(answers), [...each, ...each, ...each, ...each])
  assert.deepEqual(appended.toSorted().join(""), "111122223333")
  // Each connection's order holds: those of this shard and partition, then those that came over the Link.
  assert.deepEqual(appended.slice(0, 3), [1, 2, 3])
})

test("where a leader epoch ends is told here and elsewhere", async () => {
  const { simulation, logs } = make()
  const ask = async (which: TopicInfo, epoch: number) => {
    const asked = logs.flatMap((each) => [0, 1].map((partition) => each.epochEnd(which, partition, epoch)))
    await simulation.runAsync(simulation.clock.monotonicMs() + 10)
    const found = await Promise.all(asked)
    return found.map(({ refusal, leaderEpoch, ...end }) => [refusal, leaderEpoch, end.epoch, end.epochEndOffset])
  }
  const four = (one: ReadonlyArray<number>) => [one, one, one, one]
  assert.deepEqual(await ask(topic, 3), four([0, 3, 3, 0]))
  assert.deepEqual(await ask(topic, 4), four([0, 3, -1, -1]))
  assert.deepEqual(await ask(topic, 1), four([0, 3, 1, 0]))
  assert.deepEqual(await ask({ ...topic, id: "gone" }, 3), four([NOT_AVAILABLE, -1, -1, -1]))
})

test("whether a partition is served is told without opening it", async () => {
  const simulation = new Simulation(1)
  const meta = [{ key: topicKey(topic), value: encodeTopic(topic), version: 1 }]
  const engine = new NotingEngine()
  let opened = 0
  const tryOpen = (): ArrayPartition => {
    opened += 1
    return new ArrayPartition()
  }
  Object.assign(engine, { reopens: { tryOpen, close: () => Promise.resolve() } })
  const { joined, shards } = joinTopics(simulation, { meta, engine })
  const logs = joined.all.map(({ port, turn }, index) => {
    const { topics } = shards[index] ?? assert.fail("there are as many")
    return new ShardLogs(port, turn, topics, () => assert.fail("nobody appends"), simulation.clock)
  })
  const ask = async (which: TopicInfo): Promise<ReadonlyArray<unknown>> => {
    const asked = logs.flatMap((each) => [0, 1].map((partition) => each.leader(which, partition)))
    await simulation.runAsync(simulation.clock.monotonicMs() + 10)
    return await Promise.all(asked)
  }
  const closed = { refusal: 0, leaderEpoch: -1 }
  assert.deepEqual(await ask(topic), [closed, closed, closed, closed])
  assert.equal(opened, 0)
  const states = logs.map((each) => each.state(topic, 0))
  await simulation.runAsync(simulation.clock.monotonicMs() + 10)
  await Promise.all(states)
  const open = { refusal: 0, leaderEpoch: 3 }
  assert.deepEqual(await ask(topic), [open, closed, open, closed])
  const none = { refusal: NOT_AVAILABLE, leaderEpoch: -1 }
  assert.deepEqual(await ask({ ...topic, id: "gone", engine: "none" }), [none, none, none, none])
})

for (const isJournaled of [false, true]) {
  const what = isJournaled
    ? "is in the entry of the batch itself"
    : "is committed, too, where the engine commits by itself"
  test(`a batch is acknowledged when what sessions want of it ${what}`, async () => {
    const simulation = new Simulation(1)
    const kept: TopicInfo = { ...topic, mode: "persistent", partitions: 1 }
    const meta = [{ key: topicKey(kept), value: encodeTopic(kept), version: 1 }]
    const engine = new NotingEngine()
    const partition = new LatePartition()
    engine.open = (_key, { events }) =>
      Effect.sync(() => {
        partition.events = events
        return partition
      })
    Object.assign(engine, { isJournaled })
    const { joined, shards } = joinTopics(simulation, { meta, engine })
    const owner = shards.findIndex(({ topics }, index) => topics.ownerOf(kept, 0) === index)
    const [shard, link] = [shards[owner], joined.all[owner]]
    assert.ok(shard !== undefined && link !== undefined)
    const queued = { tickets: new TicketStream(), ticket: 0, isHeldUp: false }
    const append = Object.assign(
      (log: PartitionLog, bytes: Uint8Array, start: number, end: number, records: number) => {
        queued.ticket = queued.tickets.issue()
        return log.appendUnsafe(bytes, start, end, records)
      },
      { queued }
    )
    const logs = new ShardLogs(link.port, link.turn, shard.topics, append, simulation.clock)
    const builder = new RecordBatchBuilder()
    builder.append(1, undefined, 0, 0, new Uint8Array(3), 0, 3)
    const bytes = builder.bytes.slice(0, builder.finish())
    const answers: Array<number> = []
    const ask = (): void => {
      const answer = Promise.resolve(logs.append(kept, 0, bytes, 0, bytes.length, 1))
      void answer.then(({ refusal }) => answers.push(refusal))
    }
    ask()
    await simulation.runAsync(10)
    assert.deepEqual(answers, [])
    partition.commit()
    await simulation.runAsync(20)
    assert.deepEqual(answers, isJournaled ? [0] : [])
    queued.tickets.commit(1)
    await simulation.runAsync(30)
    assert.deepEqual(answers, [0])
    // What sessions want of it is lost: whoever sent it is told, and sends it again.
    ask()
    partition.commit()
    queued.tickets.setOutcome(2, FAILED)
    queued.tickets.commit(2)
    await simulation.runAsync(40)
    assert.deepEqual(answers, [0, isJournaled ? 0 : FAILED])
  })
}
