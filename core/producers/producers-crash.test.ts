/**
 * Idempotent producers against a log whose answers are lost, whose disk fails and whose process crashes: every record is there once and in
 * order, and a repeat has the offset of the first. Then faults that are planted, which this has to notice.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { RecordCursor } from "../log/RecordCursor.ts"
import { producerId } from "../log/record-batch.ts"
import { PRODUCER_OUT_OF_ORDER } from "../log/refusals.ts"
import { Simulation } from "../platform/simulated.ts"
import { keepSome } from "../platform/simulated-content.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { producerBatch } from "./fakes.ts"
import { LogProducers } from "./LogProducers.ts"
import { hasProducer, PartitionProducers } from "./PartitionProducers.ts"
import { ShardProducers } from "./ShardProducers.ts"
import { Life, OwnDisk } from "./testing.ts"

interface Sent {
  readonly sequence: number
  readonly bytes: Uint8Array
  /** As it was told first; -1 = it was not. */
  offset: number
  isAnswered: boolean
}

/** What was promised and not kept, in this run. */
let violations: Array<string> = []
const counts = {
  crashes: 0,
  reopened: 0,
  lostAnswers: 0,
  late: 0,
  repeats: 0,
  rows: 0,
  replayed: 0,
  failures: 0,
  losses: 0
}

class Client {
  readonly id: number
  readonly sent: Array<Sent> = []
  sequence = 0
  /** Copies that are still on their way, of connections that were given up. */
  readonly late: Array<Sent> = []
  connection = 0
  #isRetryDue = false

  constructor(id: number) {
    this.id = id
  }

  get open(): ReadonlyArray<Sent> {
    return this.sent.filter(({ isAnswered }) => !isAnswered)
  }

  send(life: Life, simulation: Simulation): void {
    if (this.open.length >= 5 || this.#isRetryDue) return
    const records = 1 + simulation.chance.below(3)
    const batch: Sent = {
      sequence: this.sequence,
      bytes: producerBatch({ id: this.id, sequence: this.sequence, records }),
      offset: -1,
      isAnswered: false
    }
    this.sequence += records
    this.sent.push(batch)
    this.#transmit(batch, life, simulation)
  }

  /** Everything that was not answered is sent again, in order, on another connection. */
  again(life: Life, simulation: Simulation): void {
    this.connection += 1
    this.#isRetryDue = false
    for (const batch of this.open) this.#transmit(batch, life, simulation)
  }

  #transmit(batch: Sent, life: Life, simulation: Simulation): void {
    const { connection } = this
    const { chance, clock } = simulation
    if (chance.below(20) === 0) this.late.push(batch)
    void life.produce(batch.bytes).then((offset) => {
      if (offset >= 0) {
        if (batch.offset !== -1 && batch.offset !== offset) violations.push(`told ${offset} and before ${batch.offset}`)
        batch.offset = offset
      }
      // An answer behind one that was lost is lost with it: the connection is.
      if (connection !== this.connection || this.#isRetryDue) return
      if (offset >= 0 && chance.below(10) > 0) batch.isAnswered = true
      else {
        if (offset >= 0) counts.lostAnswers += 1
        this.#isRetryDue = true
        clock.after(1 + chance.below(10), () => {
          if (connection === this.connection) this.again(life, simulation)
        })
      }
    })
  }

  /** A copy of long ago comes in. */
  deliverLate(life: Life, simulation: Simulation): void {
    const [batch] = this.late.splice(simulation.chance.below(this.late.length), 1)
    if (batch === undefined) return
    counts.late += 1
    void life.produce(batch.bytes).then((offset) => {
      if (offset >= 0 && batch.offset !== -1 && offset !== batch.offset)
        violations.push(`a late copy was told ${offset}`)
    })
  }
}

async function scenario(seed: number, isOwn: boolean): Promise<void> {
  violations = []
  const simulation = new Simulation(seed)
  const { chance, clock } = simulation
  const later = (task: () => void): void => clock.immediate(task)
  let files = new SimulatedFiles({ trace: () => {}, later })
  files.isLossy = true
  const disk = isOwn ? new OwnDisk() : undefined
  const clients = [1, 2, 3].map((id) => new Client(id))
  const pass = (ms: number): Promise<void> => simulation.runAsync(clock.monotonicMs() + ms)
  let life = await Life.begin({ simulation, files, disk })
  for (let lives = 0; lives < 4; lives++) {
    let losses = 0
    for (let step = 0; step < 60; step++) {
      const client = clients[chance.below(3)] as Client
      const fate = chance.below(40)
      if (fate === 0) {
        life.reopen()
        counts.reopened += 1
      } else if (fate === 1) client.again(life, simulation)
      else if (fate === 2) client.deliverLate(life, simulation)
      else if (fate === 3) {
        // Somebody without a sequence.
        void life.produce(producerBatch({ id: -1, sequence: -1, value: "plain" }))
      } else if (fate === 4 && !isOwn) {
        counts.failures += 1
        files.hook = ({ name }) =>
          name === "write" || name === "sync" ? { code: "failed", reason: "it fails" } : undefined
        clock.after(1 + chance.below(5), () => (files.hook = undefined))
      } else client.send(life, simulation)
      if (chance.below(3) === 0) await pass(chance.below(6))
      // A journal whose disk has failed goes on a second later.
      else if (life.engine.leaderEpoch > losses) {
        losses = life.engine.leaderEpoch
        await pass(chance.below(2_000))
      }
    }
    counts.repeats += life.producers.repeats
    counts.rows += life.producers.rows
    counts.losses += life.engine.leaderEpoch
    counts.replayed += life.producers.replayedBytes
    assert.deepEqual(life.faults, [])
    files.hook = undefined
    counts.crashes += 1
    life.end()
    files = files.afterCrash(keepSome((bound) => chance.below(bound)))
    files.later = later
    life = await Life.begin({ simulation, files, disk })
    for (const client of clients) {
      // What was on its way to the process that is gone went with it.
      client.late.length = 0
      client.again(life, simulation)
    }
  }
  for (let round = 0; round < 400 && clients.some(({ open }) => open.length > 0); round++) await pass(20)
  for (const client of clients) while (client.late.length > 0) client.deliverLate(life, simulation)
  await pass(1_000)
  assert.deepEqual(violations, [])
  const stored = new Map<number, Array<number>>()
  const cursor = new RecordCursor()
  for (const { bytes } of life.engine.batches) {
    if (!hasProducer(bytes, 0)) continue
    cursor.reset(bytes, 0, bytes.length)
    const own = stored.get(producerId(bytes, 0)) ?? []
    stored.set(producerId(bytes, 0), own)
    while (cursor.next())
      own.push(Number(new TextDecoder().decode(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd))))
  }
  for (const { id, sequence, open } of clients) {
    assert.equal(open.length, 0, `producer ${id} is not answered`)
    assert.deepEqual(
      stored.get(id) ?? [],
      Array.from({ length: sequence }, (_, index) => index),
      `producer ${id}`
    )
  }
}

for (const isOwn of [false, true]) {
  test(`every record once and in order, ${isOwn ? "an engine that commits by itself" : "appends in the journal"}`, async () => {
    for (const name of Object.keys(counts) as Array<keyof typeof counts>) counts[name] = 0
    for (let seed = 1; seed <= 30; seed++) {
      await scenario(seed, isOwn).catch((error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
      })
    }
    const told = JSON.stringify(counts)
    for (const name of [
      "crashes",
      "reopened",
      "lostAnswers",
      "late",
      "repeats",
      "rows",
      "replayed",
      "losses"
    ] as const) {
      assert.ok(counts[name] > 25, told)
    }
  })
}

interface Planted {
  readonly name: string
  readonly isOwn: boolean
  /** Puts the fault in; returns what takes it out. */
  readonly plant: () => () => void
}

function replacing<Name extends string>(target: Record<Name, unknown>, name: Name, value: unknown): () => void {
  const before = target[name]
  target[name] = value
  return () => {
    target[name] = before
  }
}

const logs = LogProducers.prototype as unknown as Record<string, unknown>
const known = PartitionProducers.prototype as unknown as Record<string, unknown>
const shard = ShardProducers.prototype as unknown as Record<string, unknown>
const { check } = PartitionProducers.prototype
const PLANTED: ReadonlyArray<Planted> = [
  { name: "repeats are appended again", isOwn: false, plant: () => replacing(known, "check", () => 0) },
  { name: "what was lost is not forgotten", isOwn: false, plant: () => replacing(logs, "rewound", () => {}) },
  {
    name: "what was lost is not forgotten, of an engine of its own",
    isOwn: true,
    plant: () => replacing(logs, "rewound", () => {})
  },
  {
    name: "no row is found at a start",
    isOwn: false,
    plant: () => replacing(shard, "rowOf", () => Promise.resolve(undefined))
  },
  {
    name: "no row is written",
    isOwn: true,
    plant: () => {
      const both = [replacing(shard, "writeSynced", () => Promise.resolve(true)), replacing(shard, "write", () => {})]
      return () => {
        for (const takeOut of both) takeOut()
      }
    }
  },
  {
    name: "gaps are taken",
    isOwn: true,
    plant: () =>
      replacing(known, "check", function (this: PartitionProducers, bytes: Uint8Array, start: number) {
        const outcome = check.call(this, bytes, start)
        return outcome === PRODUCER_OUT_OF_ORDER ? 0 : outcome
      })
  }
]

for (const { name, isOwn, plant } of PLANTED) {
  test(`planted: ${name}`, async () => {
    const takeOut = plant()
    let noticed = 0
    try {
      for (let seed = 1; seed <= 40 && noticed === 0; seed++) {
        await scenario(seed, isOwn).catch(() => {
          noticed += 1
        })
      }
    } finally {
      takeOut()
    }
    assert.ok(noticed > 0)
  })
}
