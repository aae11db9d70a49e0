import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import * as v from "valibot"
import type { Listeners, NodeFacts } from "../plugin/Plugin.ts"
import { clusterInfo } from "./cluster-info.ts"

type State = ReturnType<(typeof NodeFacts.Service)["state"]>

function makeInfo(state: State, uptimeMs: number) {
  const facts: typeof NodeFacts.Service = {
    id: "node-1",
    dataDirectory: "data",
    version: "0.1.0",
    shards: 2,
    startedAtMs: 1_000,
    state: () => state,
    plugins: () => [{ name: "p", version: "1.0.0", kind: "http", secret: "kept inside" }],
    topicDefaults: { engine: "memory", mode: "memory", partitions: 1 },
    topicCount: () => 3
  }
  const listeners: typeof Listeners.Service = {
    announce: () => Effect.void,
    all: () => [{ plugin: "p", listener: "tcp", address: "127.0.0.1:1" }]
  }
  const clock = { ms: 123.25, monotonicMs: () => clock.ms }
  const resource = clusterInfo(facts, listeners, clock)
  clock.ms += uptimeMs
  return resource
}

const read = (resource: ReturnType<typeof makeInfo>): Promise<unknown> => {
  assert.ok(resource.get !== undefined && resource.singleton === true && resource.list === undefined)
  return Effect.runPromise(resource.get(""))
}

for (const state of ["starting", "ready", "stopping"] as const) {
  test(`of a node that is ${state}: what its schema says, after a trip through JSON`, async () => {
    const resource = makeInfo(state, 60_000.5)
    const value = await read(resource)
    assert.deepEqual(v.parse(resource.schema, JSON.parse(JSON.stringify(value))), value)
    assert.deepEqual(value, {
      nodes: [
        {
          id: "node-1",
          version: "0.1.0",
          state,
          uptime_ms: 60_000,
          shards: 2,
          listeners: [{ plugin: "p", listener: "tcp", address: "127.0.0.1:1" }],
          plugins: [{ name: "p", version: "1.0.0", kind: "http" }]
        }
      ],
      topics: 3,
      topic_defaults: { engine: "memory", mode: "memory", partitions: 1 }
    })
  })
}

test("the schema refuses what it does not know", async () => {
  const resource = makeInfo("ready", 0)
  const value = v.parse(v.looseObject({}), await read(resource))
  assert.equal(v.safeParse(resource.schema, { ...value, more: 1 }).success, false)
  assert.equal(v.safeParse(resource.schema, { ...value, topics: -1 }).success, false)
})
