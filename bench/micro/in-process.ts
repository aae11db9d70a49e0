/**
 * A message from the program to the program: publish without a promise, ingress, storage in memory, router, a copy for the handler, and
 * the handler's call at the end of the turn. The broker is whole; its loop is turned by hand, so that a sample is one plain call.
 */
import { Effect, Layer, Scope } from "effect"
import * as v from "valibot"
import * as schemas from "../../core/config/schema.ts"
import { topicDefaults } from "../../core/config/topic-defaults.ts"
import { RETAINED_LIMITS } from "../../core/ingress/retained-limits.ts"
import { startNode } from "../../core/node/mod.ts"
import { bunPlatform } from "../../core/platform/bun/mod.ts"
import { Clock, type ClockShape } from "../../core/platform/Clock.ts"
import { systemClock } from "../../core/platform/system.ts"
import { plugin as embedded, type Face } from "../../plugins/embedded/mod.ts"
import { plugin as metaRaft } from "../../plugins/meta-raft/mod.ts"
import { plugin as storageMemory } from "../../plugins/storage-memory/mod.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const MESSAGES = 1_000
const PAYLOAD_BYTES = 64

const waiting: Array<() => void> = []
/** While a case is made, its loop is the system's: a node that starts and a topic that is created wait for turns. */
let isStarting = true
/** So many of the system's turns are enough to create a topic in memory. */
const CREATING_TURNS = 50
/** Afterwards time is real, turns are the benchmark's, and no timer ever fires. */
const handClock: ClockShape = {
  ...systemClock,
  after: (...call) => (isStarting ? systemClock.after(...call) : { cancel: () => {} }),
  microtask: (task) => (isStarting ? systemClock.microtask(task) : void waiting.push(task)),
  immediate: (task) => (isStarting ? systemClock.immediate(task) : void waiting.push(task))
}

/** Runs what the loop would run. */
function turn(): void {
  for (let index = 0; index < waiting.length; index++) waiting[index]?.()
  waiting.length = 0
}

async function openFace(): Promise<Face> {
  const topics = v.parse(schemas.topics, {})
  let face: Face | undefined
  const opened = (opening: Face): void => {
    face = opening
  }
  const node = startNode({
    id: "bench",
    version: "0",
    dataDirectory: "",
    makesDataDirectory: false,
    shards: 1,
    defaults: topicDefaults(topics),
    retained: RETAINED_LIMITS,
    budget: { dataBytesMax: 0, tenantBytesMax: 0 },
    defaultTopic: { engine: "memory", mode: "memory", partitions: 1 },
    declared: [],
    plugins: [
      { plugin: storageMemory, options: v.parse(storageMemory.options, {}) },
      { plugin: metaRaft, options: {} },
      { plugin: embedded, options: { opened } }
    ],
    insecure: false,
    log: () => {}
  })
  const platform = Layer.merge(
    bunPlatform(() => {}),
    Layer.succeed(Clock, handClock)
  )
  await Effect.runPromise(Scope.provide(Effect.provide(node, platform), Scope.makeUnsafe()))
  if (face === undefined) throw new Error("the face opens with its plugin")
  return face
}

/** Publishes on `topicName`, to so many handlers. */
async function publish(name: string, topicName: string, handlers: number): Promise<MicroCase> {
  isStarting = true
  const face = await openFace()
  let seen = 1
  for (let count = 0; count < handlers; count++) {
    await face.subscribe(topicName, ({ payload }) => {
      seen += payload.length
    })
  }
  const publisher = face.publisher(topicName)
  const payload = new Uint8Array(PAYLOAD_BYTES)
  publisher.publishUnsafe(payload)
  for (let count = 0; count < CREATING_TURNS; count++) await new Promise((resolve) => setImmediate(resolve))
  isStarting = false
  return {
    name,
    bytes: PAYLOAD_BYTES,
    operations: MESSAGES,
    run: () => {
      seen = 1
      for (let count = 0; count < MESSAGES; count++) if (publisher.publishUnsafe(payload) < 0) seen -= 1
      turn()
      return seen
    }
  }
}

export const suite: MicroSuite = {
  name: "in-process (publish to handler, one shard, engine memory)",
  cases: [
    await publish("stored, no subscriber", "bench/stored", 0),
    await publish("stored, 1 handler", "bench/stored", 1),
    await publish("stored, 10 handlers", "bench/stored", 10),
    await publish("not stored, 1 handler", "$bench/routed", 1)
  ]
}
