/** A partition's log over an engine that commits later: tickets, readers, failures. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { StorageRoom } from "../budget/StorageBudget.ts"
import { messageOf } from "../ingress/fakes.ts"
import { TicketStream } from "../journal/Journal.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { DISK_FULL, FAILED } from "./Engines.ts"
import { LatePartition, storedIn } from "./fakes.ts"
import { GATHERED_RECORDS_MAX, PartitionLog } from "./PartitionLog.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "00000000-0000-4000-8000-000000000000",
  partitions: 1,
  engine: "late",
  mode: "persistent",
  origin: "manifest"
}

function make(topic = TOPIC) {
  const simulation = new Simulation(1)
  const engine = new LatePartition()
  const room = new StorageRoom()
  const log = new PartitionLog(topic, 0, engine, {
    clock: simulation.clock,
    turn: new TurnLoop(simulation.clock),
    room
  })
  engine.events = { committed: () => log.committed(), failed: () => log.failed() }
  const { tickets = new TicketStream() } = log
  return { simulation, engine, log, tickets, room }
}

const take = (log: PartitionLog, text: string, qos = 1): number => log.takeUnsafe(messageOf("a", text, { qos }))

function clientBatch(records: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (let index = 0; index < records; index++) builder.append(index, undefined, 0, 0, new Uint8Array(10), 0, 10)
  return builder.bytes.slice(0, builder.finish())
}

test("messages of a turn become one batch at its end; their tickets end when it is committed", () => {
  const { simulation, engine, log, tickets } = make()
  assert.deepEqual([take(log, "1"), take(log, "2"), take(log, "3", 0)], [0, 1, 2])
  assert.equal(engine.batches.length, 0)
  simulation.run(1)
  assert.equal(engine.batches.length, 1)
  assert.deepEqual([tickets.issued, tickets.committed], [2, 0])
  engine.commit()
  assert.equal(tickets.committed, 2)
})

test("nobody sees what is not committed, and a reader does not seal", () => {
  const { simulation, engine, log } = make()
  take(log, "1")
  assert.equal(log.highWatermark(), 0)
  assert.equal(log.readUnsafe(0, 100)?.length, 0)
  assert.equal(engine.batches.length, 0)
  const seen: Array<number> = []
  log.watch({ partitionAdvanced: () => void seen.push(log.highWatermark()) })
  simulation.run(1)
  assert.deepEqual(seen, [])
  engine.commit()
  assert.deepEqual(seen, [1])
})

test("an engine that commits within the append tells at once", () => {
  const { simulation, engine, log, tickets } = make()
  const append = engine.tryAppendUnsafe.bind(engine)
  engine.tryAppendUnsafe = (...args) => {
    const offset = append(...args)
    engine.events = undefined
    engine.commit()
    return offset
  }
  let advanced = 0
  log.watch({ partitionAdvanced: () => void (advanced += 1) })
  take(log, "1")
  simulation.run(1)
  assert.deepEqual([tickets.committed, advanced, log.highWatermark()], [1, 1, 1])
})

test("a refused batch ends its tickets with the refusal, behind those before it, and its offsets are given again", () => {
  const { simulation, engine, log, tickets } = make()
  take(log, "1")
  simulation.run(1)
  engine.refusal = DISK_FULL
  take(log, "2")
  take(log, "lost", 0)
  simulation.run(2)
  engine.refusal = 0
  assert.equal(take(log, "3"), 1)
  simulation.run(3)
  assert.equal(tickets.committed, 0)
  engine.commit()
  assert.equal(tickets.committed, 3)
  assert.deepEqual(
    [1, 2, 3].map((ticket) => tickets.takeOutcome(ticket)),
    [0, DISK_FULL, 0]
  )
  assert.equal(log.refusedRecords, 2)
  assert.deepEqual(storedIn(engine), ["0 a=1", "1 a=3"])
})

test("a full batch that is refused does not refuse twice", () => {
  const { engine, log, tickets } = make()
  engine.refusal = DISK_FULL
  for (let index = 0; index < GATHERED_RECORDS_MAX; index++) assert.equal(take(log, "x"), index)
  assert.equal(tickets.committed, GATHERED_RECORDS_MAX)
  assert.equal(tickets.takeOutcome(GATHERED_RECORDS_MAX), DISK_FULL)
})

test("a failed sync fails what waited for it and what lies gathered; the log goes on behind what was committed", () => {
  const { simulation, engine, log, tickets } = make()
  take(log, "1")
  simulation.run(1)
  engine.commit()
  take(log, "2")
  simulation.run(2)
  assert.equal(take(log, "3"), 2)
  engine.fail()
  assert.equal(tickets.committed, 3)
  assert.deepEqual(
    [1, 2, 3].map((ticket) => tickets.takeOutcome(ticket)),
    [0, FAILED, FAILED]
  )
  assert.equal(take(log, "4"), 1)
  simulation.run(3)
  engine.commit()
  assert.deepEqual(storedIn(engine), ["0 a=1", "1 a=4"])
  assert.equal(tickets.takeOutcome(4), 0)
})

test("a failure told from within an append, and an end that moved without a word, are failures", () => {
  const { simulation, engine, log, tickets } = make()
  take(log, "1")
  simulation.run(1)
  engine.tryAppendUnsafe = () => {
    engine.fail()
    return DISK_FULL
  }
  take(log, "2")
  simulation.run(2)
  assert.deepEqual([tickets.committed, tickets.takeOutcome(1), tickets.takeOutcome(2)], [2, FAILED, FAILED])

  const moved = make()
  take(moved.log, "1")
  moved.simulation.run(1)
  moved.engine.events = undefined
  moved.engine.fail()
  take(moved.log, "2")
  moved.simulation.run(2)
  assert.equal(moved.tickets.takeOutcome(1), FAILED)
  assert.equal(moved.tickets.takeOutcome(2), FAILED)
  assert.equal(take(moved.log, "3"), 0)
})

test("a produced batch has a ticket of its own, behind what was gathered before it", () => {
  const { engine, log, tickets } = make()
  take(log, "1")
  const batch = clientBatch(4)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 4), 1)
  assert.equal(log.producedTicket, 2)
  engine.commit(1)
  assert.equal(tickets.committed, 1)
  engine.commit(5)
  assert.equal(tickets.committed, 2)
})

test("an engine that tells of a failure out of its append costs its partition, whatever it answers", () => {
  for (const isProduced of [false, true]) {
    const { simulation, engine, log, tickets } = make()
    take(log, "1")
    simulation.run(1)
    const append = engine.tryAppendUnsafe.bind(engine)
    engine.tryAppendUnsafe = (...args) => {
      const offset = append(...args)
      engine.fail()
      return offset
    }
    const batch = clientBatch(2)
    if (isProduced) assert.equal(log.appendUnsafe(batch, 0, batch.length, 2), FAILED)
    else take(log, "2")
    simulation.run(2)
    engine.tryAppendUnsafe = append
    const outcomes = Array.from({ length: tickets.issued }, (_, index) => tickets.takeOutcome(index + 1))
    assert.deepEqual([tickets.committed, outcomes.every((outcome) => outcome === FAILED)], [tickets.issued, true])
    assert.equal(take(log, "3"), 0)
    simulation.run(3)
    engine.commit()
    assert.equal(tickets.takeOutcome(tickets.issued), 0)
  }
})

test("a log that closes ends what waits: as committed where it is, else as failed", () => {
  const { simulation, engine, log, tickets } = make()
  take(log, "1")
  simulation.run(1)
  engine.commit()
  take(log, "2")
  simulation.run(2)
  take(log, "3")
  log.close()
  assert.deepEqual([tickets.issued, tickets.committed, engine.batches.length], [3, 3, 3])
  assert.deepEqual(
    [1, 2, 3].map((ticket) => tickets.takeOutcome(ticket)),
    [0, FAILED, FAILED]
  )
})

test("while the disk has no room messages and batches are refused, and what was taken before is stored and acknowledged", () => {
  const { simulation, engine, log, tickets, room } = make()
  assert.equal(take(log, "1"), 0)
  room.pressure = "full"
  assert.deepEqual([take(log, "2"), take(log, "3", 0)], [DISK_FULL, DISK_FULL])
  const batch = clientBatch(3)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 3), DISK_FULL)
  simulation.run(1)
  engine.commit()
  assert.deepEqual([tickets.issued, tickets.committed, engine.logEndOffset, log.refusedRecords], [1, 1, 1, 0])
  room.pressure = "high"
  assert.deepEqual([take(log, "4"), log.appendUnsafe(batch, 0, batch.length, 3)], [1, 2])
})

test("a log in memory takes what comes, however full the disk is", () => {
  const { log, room } = make({ ...TOPIC, mode: "memory" })
  room.pressure = "full"
  const batch = clientBatch(3)
  assert.deepEqual([take(log, "1"), log.appendUnsafe(batch, 0, batch.length, 3)], [0, 1])
})

test("whoever waits for records is told when the epoch rises", () => {
  const { engine, log } = make()
  let told = 0
  const waiter = {
    partitionAdvanced: () => assert.fail("nothing is to be read"),
    partitionClosed: () => void (told += 1)
  }
  log.watch(waiter)
  log.appendUnsafe(clientBatch(2), 0, clientBatch(2).length, 2)
  assert.equal(told, 0)
  engine.fail()
  assert.equal(told, 1)
  log.unwatch(waiter)
})
