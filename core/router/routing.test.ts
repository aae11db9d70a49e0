/** Router and resolutions together, over two shards: what changes while names are hot. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { joinIngress, messageOf, NotingSubscriber, subscribe } from "../ingress/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { matches } from "./topic-filter.ts"

const NAMES = ["a", "a/b", "a/b/c", "b/b", "/a", "$s/a", "a//c"]
const FILTERS = ["#", "+", "a/#", "a/+", "+/b", "+/+/c", "a/b", "a/b/#", "$s/#", "$s/+", "/+", "a/+/c", "b/b"]
const PRINCIPAL = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }

test("subscriptions that come and go change what hot names lead to, on both shards, at once", () => {
  const step = fc.oneof(
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("subscribe" as const),
        shard: fc.nat(1),
        pick: fc.nat(FILTERS.length - 1)
      })
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("unsubscribe" as const), shard: fc.nat(1), pick: fc.nat(20) })
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("publish" as const), shard: fc.nat(1), pick: fc.nat(NAMES.length - 1) })
    }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const simulation = new Simulation(1)
      // Nothing is stored: each name is routed by the shard it comes to.
      const { shards } = joinIngress(simulation, { defaults: { autoCreateMqtt: "off" } })
      let live: Array<{ shard: number; filter: string; seen: Array<string>; end: () => boolean }> = []
      for (const [index, { kind, shard: at, pick }] of steps.entries()) {
        const shard = shards[at]
        assert.ok(shard !== undefined)
        if (kind === "subscribe") {
          const filter = FILTERS[pick] ?? "#"
          const subscriber = new NotingSubscriber()
          const { subscription } = subscribe(shard, subscriber, filter)
          live.push({
            shard: at,
            filter,
            seen: subscriber.seen,
            end: () => shard.router.unsubscribeUnsafe(subscription)
          })
        } else if (kind === "unsubscribe") {
          const gone = live[pick]
          if (gone === undefined) continue
          assert.equal(gone.end(), true)
          assert.equal(gone.end(), false)
          live = live.filter((each) => each !== gone)
        } else {
          for (const { seen } of live) seen.length = 0
          const name = NAMES[pick] ?? "a"
          shard.ingress.publishUnsafe(messageOf(name, String(index)), PRINCIPAL)
          simulation.run()
          for (const { seen, filter } of live) {
            assert.deepEqual(seen, matches(filter, name) ? [` ${name}=${index}`] : [], `${filter} on ${name}`)
          }
        }
        simulation.run()
      }
      for (const { end } of live) end()
      simulation.run()
      for (const { router } of shards) assert.ok(router.isEmpty)
    }),
    { numRuns: 300 }
  )
})
