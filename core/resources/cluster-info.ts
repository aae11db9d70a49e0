/** `cluster/info`: what this cluster is made of; one node in this release. */
import { Effect } from "effect"
import * as v from "valibot"
import type { ClockShape } from "../platform/Clock.ts"
import type { Listeners, NodeFacts } from "../plugin/Plugin.ts"
import type { Resource } from "./Resources.ts"

const count = v.pipe(v.number(), v.integer(), v.minValue(0))

const schema = v.strictObject({
  nodes: v.array(
    v.strictObject({
      id: v.string(),
      version: v.string(),
      state: v.picklist(["starting", "ready", "stopping"]),
      uptime_ms: count,
      shards: count,
      listeners: v.array(v.strictObject({ plugin: v.string(), listener: v.string(), address: v.string() })),
      plugins: v.array(v.strictObject({ name: v.string(), version: v.string(), kind: v.string() }))
    })
  ),
  topics: count,
  topic_defaults: v.strictObject({ engine: v.string(), mode: v.string(), partitions: count })
})

export function clusterInfo(
  facts: typeof NodeFacts.Service,
  listeners: typeof Listeners.Service,
  clock: Pick<ClockShape, "monotonicMs">
): Resource {
  // Made when the node starts. The wall clock may jump, and is no measure of how long something runs.
  const startedMs = clock.monotonicMs()
  return {
    name: "cluster/info",
    description: "Nodes, their listeners and plugins, and how many topics there are",
    schema,
    singleton: true,
    get: () =>
      Effect.sync(
        // Each field by name: what an owner's object holds beyond the schema does not get out.
        (): v.InferOutput<typeof schema> => ({
          nodes: [
            {
              id: facts.id,
              version: facts.version,
              state: facts.state(),
              uptime_ms: Math.floor(clock.monotonicMs() - startedMs),
              shards: facts.shards,
              listeners: listeners.all().map(({ plugin, listener, address }) => ({ plugin, listener, address })),
              plugins: facts.plugins().map(({ name, version, kind }) => ({ name, version, kind }))
            }
          ],
          topics: facts.topicCount(),
          topic_defaults: {
            engine: facts.topicDefaults.engine,
            mode: facts.topicDefaults.mode,
            partitions: facts.topicDefaults.partitions
          }
        })
      )
  }
}
