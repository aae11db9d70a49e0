import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TopicIds } from "./TopicIds.ts"
import type { TopicInfo } from "./TopicInfo.ts"

// FNV-1a gives the first two the same hash.
const id = fc.constantFrom("costarring", "liquid", "", "a", "b", "c", "00000000-0000-4000-8000-000000000000")
const topicOf = (each: string): TopicInfo => ({
  tenant: 0,
  name: each,
  id: each,
  partitions: 1,
  engine: "memory",
  mode: "memory",
  origin: "admin"
})

test("it agrees with a map, whatever comes and goes, also while it is gone through", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 60 }), id, (steps, late) => {
      const ids = new TopicIds()
      const model = new Map<string, TopicInfo>()
      for (const [isAdded, each] of steps) {
        if (!isAdded) assert.equal(ids.delete(each), model.delete(each))
        else if (!model.has(each)) {
          const topic = topicOf(each)
          ids.add(topic)
          model.set(each, topic)
        }
        assert.equal(ids.size, model.size)
        assert.equal(ids.get(each), model.get(each))
      }
      assert.deepEqual(new Set(ids.values()), new Set(model.values()))
      const seen: Array<string> = []
      for (const topic of ids.values()) {
        seen.push(topic.id)
        ids.delete(late)
      }
      const rest = [...model.keys()].filter((each) => each !== late)
      assert.ok(rest.every((each) => seen.includes(each)) && seen.length >= rest.length)
    })
  ))
