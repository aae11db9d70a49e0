import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Engine, Partition, PartitionKey, PartitionOptions } from "../log/Engines.ts"
import { ArrayEngine, ArrayPartition } from "../log/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { OPEN_TIMEOUT_MS, RETRY_MS } from "./OpenPartition.ts"
import { CLOSE_TIMEOUT_MS, IDLE_ROUNDS, OpenPartitions } from "./OpenPartitions.ts"
import type { TopicInfo } from "./TopicInfo.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "00000000-0000-4000-8000-000000000000",
  partitions: 3,
  engine: "odd",
  mode: "memory",
  origin: "manifest"
}
const LIMITS = { sizeBytesMax: 1_000, recordsMax: 10, ageMsMax: 0 }

interface Given {
  readonly isOwned?: (partition: number) => boolean
  readonly openMax?: number
  /** Partitions of each topic, as it is known. */
  readonly count?: number
}

function make(given: Partial<Engine>, { isOwned = () => true, count = TOPIC.partitions, ...parts }: Given = {}) {
  const simulation = new Simulation(1)
  const engine: Engine = Object.assign(new ArrayEngine(), given)
  const logged: Array<string> = []
  const opened: Array<string> = []
  const partitions = new OpenPartitions({
    ...parts,
    engines: {
      register: () => Effect.void,
      get: (name: string) => (name === "odd" ? engine : undefined),
      names: () => []
    },
    clock: simulation.clock,
    turn: new TurnLoop(simulation.clock),
    engineLabel: (name: string) => `engine ${name}`,
    log: (line: string) => void logged.push(line),
    isOwned: (_info: TopicInfo, partition: number) => isOwned(partition),
    limitsOf: () => LIMITS,
    current: (id) => ({ ...TOPIC, partitions: count, id }),
    opened: (info: TopicInfo) => void opened.push(info.name)
  })
  const isOpen = (): ReadonlyArray<boolean> =>
    [0, 1, 2].map((partition) => partitions.logUnsafe(TOPIC, partition) !== undefined)
  return { simulation, partitions, logged, opened, isOpen }
}

const rest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test("the partitions that are owned are open when the call returns, with the topic's mode and limits", () => {
  const asked: Array<PartitionOptions> = []
  const open: Engine["open"] = (_key, options) => {
    asked.push(options)
    return Effect.sync(() => new ArrayPartition())
  }
  const { partitions, isOpen, opened } = make({ open }, { isOwned: (partition) => partition !== 1 })
  partitions.add(TOPIC, true)
  assert.deepEqual(isOpen(), [true, false, true])
  assert.deepEqual(
    asked.map(({ mode, limits }) => [mode, limits]),
    [
      ["memory", LIMITS],
      ["memory", LIMITS]
    ]
  )
  assert.equal([...partitions.logs()].length, 2)
  assert.deepEqual(opened, [])
})

for (const [what, open] of [
  [
    "throws",
    () => {
      throw new Error("boom\nmore")
    }
  ],
  ["dies", () => Effect.die(new Error("boom"))],
  ["fails", () => Effect.fail(new Error("boom"))]
] as const) {
  test(`an engine whose open ${what} costs that partition, and says so in one line`, () => {
    const { partitions, isOpen, logged } = make(
      { open: open as unknown as Engine["open"] },
      { isOwned: (partition) => partition === 2 }
    )
    partitions.add(TOPIC, true)
    assert.deepEqual(isOpen(), [false, false, false])
    assert.deepEqual(logged, ["partition t/2: engine odd cannot open it: Error: boom"])
  })
}

test("a partition that opens later is told of and waited for", async () => {
  let ready = (_partition: Partition): void => {}
  const later = new Promise<Partition>((resolve) => {
    ready = resolve
  })
  const { partitions, isOpen, opened } = make(
    { open: () => Effect.promise(() => later) },
    { isOwned: (partition) => partition === 0 }
  )
  partitions.add(TOPIC, true)
  let settled = false
  void Effect.runPromise(partitions.settled()).then(() => {
    settled = true
  })
  await rest()
  assert.deepEqual([settled, ...isOpen()], [false, false, false, false])
  ready(new ArrayPartition())
  await rest()
  await rest()
  assert.deepEqual([settled, ...isOpen()], [true, true, false, false])
  assert.deepEqual(opened, ["t"])
})

test("a partition that never opens is waited for no longer than its time", async () => {
  const { simulation, partitions, logged } = make(
    { open: () => Effect.never },
    { isOwned: (partition) => partition === 0 }
  )
  partitions.add(TOPIC, true)
  const settled = Effect.runPromise(partitions.settled())
  simulation.run(OPEN_TIMEOUT_MS + 1)
  await settled
  assert.deepEqual(logged, ["partition t/0: engine odd has not opened it after 10 s"])
})

test("a topic that is gone before its partition opened gets no log", async () => {
  let ready = (_partition: Partition): void => {}
  const later = new Promise<Partition>((resolve) => {
    ready = resolve
  })
  const { partitions, isOpen, logged } = make({ open: () => Effect.promise(() => later) })
  partitions.add(TOPIC, true)
  Effect.runFork(partitions.remove(TOPIC))
  ready(new ArrayPartition())
  await rest()
  assert.deepEqual(isOpen(), [false, false, false])
  assert.deepEqual(logged, [])
})

test("closing: what fails or never ends is told of, and the rest is closed", async () => {
  for (const [close, line] of [
    [Effect.die(new Error("boom")), /failed to close: Error: boom/],
    [Effect.promise(() => new Promise(() => {})), /has not closed after 5 s/]
  ] as const) {
    const open: Engine["open"] = () =>
      Effect.acquireRelease(
        Effect.sync(() => new ArrayPartition()),
        () => close
      )
    const { simulation, partitions, logged, isOpen } = make({ open })
    const closeAll = partitions.closeAll()
    partitions.add(TOPIC, true)
    const closed = Effect.runPromise(closeAll)
    await rest()
    simulation.run(CLOSE_TIMEOUT_MS + 1)
    await closed
    assert.deepEqual(isOpen(), [false, false, false])
    assert.match(logged.join("\n"), line)
  }
})

test("removing: the engine forgets every partition; where it fails it is told of", async () => {
  const forgotten: Array<number> = []
  const remove: Engine["remove"] = ({ partition }) => {
    forgotten.push(partition)
    if (partition === 1) throw new Error("boom")
    return Effect.void
  }
  const { partitions, logged } = make({ remove })
  partitions.add(TOPIC, true)
  Effect.runFork(partitions.remove(TOPIC))
  await rest()
  assert.deepEqual(forgotten, [0, 1, 2])
  assert.deepEqual(logged, ["partition t/1: engine odd cannot be removed: Error: boom"])
})

test("a partition that could not be opened is tried again when it is asked for later, and the same reason is told of once", () => {
  let isBroken = true
  const open: Engine["open"] = () =>
    isBroken ? Effect.die(new Error("boom")) : Effect.sync(() => new ArrayPartition())
  const { simulation, partitions, logged } = make({ open })
  partitions.add(TOPIC, true)
  assert.equal(logged.length, 3)
  simulation.run(RETRY_MS - 1)
  isBroken = false
  assert.equal(partitions.logUnsafe(TOPIC, 0), undefined)
  isBroken = true
  simulation.run(RETRY_MS)
  assert.equal(partitions.logUnsafe(TOPIC, 0), undefined)
  assert.equal(logged.length, 3)
  isBroken = false
  simulation.run(3 * RETRY_MS)
  assert.notEqual(partitions.logUnsafe(TOPIC, 0), undefined)
})

/** An engine whose partitions can be opened again: what was opened and closed, and in which order. */
function reopening(given: Given = {}) {
  const events: Array<string> = []
  const kept = new Map<string, ArrayPartition>()
  const open = ({ topicId, partition }: PartitionKey) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const name = `${topicId.slice(-1)}/${partition}`
        events.push(`open ${name}`)
        const opened = kept.get(name) ?? new ArrayPartition()
        kept.set(name, opened)
        return opened
      }),
      () => Effect.sync(() => void events.push(`close ${topicId.slice(-1)}/${partition}`))
    )
  const made = make({ open, reopens: { tryOpen: () => undefined, close: () => Promise.resolve() } }, given)
  const topic = (digit: number): TopicInfo => ({ ...TOPIC, name: `t${digit}`, id: `${TOPIC.id.slice(0, -1)}${digit}` })
  return { ...made, events, topic }
}

const rounds = (partitions: OpenPartitions, count: number): void => {
  for (let round = 0; round < count; round++) partitions.housekeep()
}

test("one that can be opened again is opened by who asks for it, and closed when nobody has for a while", () => {
  const { partitions, events } = reopening()
  partitions.add(TOPIC, true)
  assert.deepEqual(events, [])
  const log = partitions.logUnsafe(TOPIC, 1)
  assert.equal(partitions.logUnsafe(TOPIC, 1), log)
  assert.equal(partitions.logUnsafe(TOPIC, 3), undefined)
  assert.deepEqual(events, ["open 0/1"])
  rounds(partitions, 1)
  assert.equal(log?.isClosed, false)
  rounds(partitions, 2)
  assert.equal(log?.isClosed, true)
  assert.deepEqual(events, ["open 0/1", "close 0/1"])
  assert.deepEqual([...partitions.logs()], [])
  const again = partitions.logUnsafe(TOPIC, 1)
  assert.notEqual(again, log)
  assert.equal(again?.isClosed, false)
  // Used between any two looks: it stays.
  for (let round = 0; round < 5; round++) {
    rounds(partitions, 1)
    partitions.logUnsafe(TOPIC, 1)
  }
  assert.equal(again?.isClosed, false)
})

test("of many open ones a part is looked at each second", () => {
  const { partitions, topic, events } = reopening({ count: 40 })
  for (let digit = 0; digit < 10; digit++) partitions.logUnsafe(topic(digit), 39)
  rounds(partitions, 10)
  assert.equal(events.length, 10)
  rounds(partitions, IDLE_ROUNDS)
  assert.equal(events.length, 20)
})

test("one that somebody waits for, or that has something to commit, is not closed", async () => {
  const { partitions } = reopening()
  const log = partitions.logUnsafe(TOPIC, 0) ?? assert.fail("it is open")
  const waiter = { partitionAdvanced: (): void => {} }
  log.watch(waiter)
  rounds(partitions, 5)
  assert.equal(log.isClosed, false)
  log.unwatch(waiter)
  const reading = log.read(0, 1)
  rounds(partitions, 5)
  assert.equal(log.isClosed, false)
  await reading
  rounds(partitions, 5)
  assert.equal(log.isClosed, true)
})

test("above the bound those used least lately are closed", () => {
  const { partitions, topic, events } = reopening({ openMax: 4 })
  for (let digit = 0; digit < 4; digit++) partitions.logUnsafe(topic(digit), 0)
  for (let digit = 4; digit < 9; digit++) {
    partitions.logUnsafe(topic(0), 0)
    partitions.logUnsafe(topic(digit), 0)
  }
  const isOpen = (digit: number): boolean =>
    events.lastIndexOf(`open ${digit}/0`) > events.lastIndexOf(`close ${digit}/0`)
  const open = Array.from({ length: 9 }, (_, digit) => digit).filter(isOpen)
  assert.ok(open.includes(0) && open.includes(8), String(open))
  assert.ok(open.length <= 6, String(open))
})

test("who waits for an opening is called in order, before anybody else finds the log", async () => {
  let ready = (_partition: Partition): void => {}
  const later = new Promise<Partition>((resolve) => {
    ready = resolve
  })
  const { partitions } = make({
    open: () => Effect.promise(() => later),
    reopens: { tryOpen: () => undefined, close: () => Promise.resolve() }
  })
  const called: Array<string> = []
  assert.equal(partitions.logUnsafe(TOPIC, 0), undefined)
  assert.equal(partitions.isOpening(TOPIC, 0), true)
  for (const name of ["a", "b"]) {
    partitions.whenSettled(TOPIC, 0, () => {
      called.push(`${name} ${partitions.logUnsafe(TOPIC, 0) !== undefined}`)
    })
  }
  partitions.whenSettled(TOPIC, 1, () => void called.push("at once"))
  assert.deepEqual(called, ["at once"])
  ready(new ArrayPartition())
  await rest()
  assert.deepEqual(called, ["at once", "a true", "b true"])
})

test("an engine that can opens at once and without a scope; where it cannot it is asked in the other way", async () => {
  const events: Array<string> = []
  let isReady = false
  const { partitions, logged } = make({
    open: () => Effect.sync(() => new ArrayPartition()),
    reopens: {
      tryOpen: ({ partition }, { mode, limits }) => {
        events.push(`try ${partition} ${mode} ${limits === LIMITS}`)
        return isReady ? new ArrayPartition() : undefined
      },
      close: () => {
        events.push("close")
        return Promise.resolve()
      }
    }
  })
  assert.ok(partitions.logUnsafe(TOPIC, 0) !== undefined)
  isReady = true
  assert.ok(partitions.logUnsafe(TOPIC, 1) !== undefined)
  assert.deepEqual(events, ["try 0 memory true", "try 1 memory true"])
  await Effect.runPromise(partitions.closeAll())
  assert.deepEqual(events, ["try 0 memory true", "try 1 memory true", "close"])
  assert.deepEqual(logged, [])
})
