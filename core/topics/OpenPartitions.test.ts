import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Engine, Partition, PartitionOptions } from "../log/Engines.ts"
import { ArrayEngine, ArrayPartition } from "../log/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { CLOSE_TIMEOUT_MS, OPEN_TIMEOUT_MS, OpenPartitions } from "./OpenPartitions.ts"
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

function make(given: Partial<Engine>) {
  const simulation = new Simulation(1)
  const engine: Engine = Object.assign(new ArrayEngine(), given)
  const logged: Array<string> = []
  const opened: Array<string> = []
  const options = {
    engines: {
      register: () => Effect.void,
      get: (name: string) => (name === "odd" ? engine : undefined),
      names: () => []
    },
    clock: simulation.clock,
    turn: new TurnLoop(simulation.clock),
    engineLabel: (name: string) => `engine ${name}`,
    log: (line: string) => void logged.push(line)
  }
  const partitions = new OpenPartitions(options, (info) => void opened.push(info.name))
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
  const { partitions, isOpen, opened } = make({ open })
  partitions.open(TOPIC, (partition) => partition !== 1, LIMITS, true)
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
    const { partitions, isOpen, logged } = make({ open: open as unknown as Engine["open"] })
    partitions.open(TOPIC, (partition) => partition === 2, LIMITS, true)
    assert.deepEqual(isOpen(), [false, false, false])
    assert.deepEqual(logged, ["partition t/2: engine odd cannot open it: Error: boom"])
  })
}

test("a partition that opens later is told of and waited for", async () => {
  let ready = (_partition: Partition): void => {}
  const later = new Promise<Partition>((resolve) => {
    ready = resolve
  })
  const { partitions, isOpen, opened } = make({ open: () => Effect.promise(() => later) })
  partitions.open(TOPIC, (partition) => partition === 0, LIMITS, true)
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
  const { simulation, partitions, logged } = make({ open: () => Effect.never })
  partitions.open(TOPIC, (partition) => partition === 0, LIMITS, true)
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
  partitions.open(TOPIC, () => true, LIMITS, true)
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
    partitions.open(TOPIC, () => true, LIMITS, true)
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
  partitions.open(TOPIC, () => true, LIMITS, true)
  Effect.runFork(partitions.remove(TOPIC))
  await rest()
  assert.deepEqual(forgotten, [0, 1, 2])
  assert.deepEqual(logged, ["partition t/1: engine odd cannot be removed: Error: boom"])
})
