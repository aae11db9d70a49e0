import assert from "node:assert/strict"
import { test } from "node:test"
import * as v from "valibot"
import { autoRules } from "./auto-rule.ts"

test("what every client is subscribed to begins in no past, is nobody's alone, and is a filter", () => {
  const takes = (topic: string): boolean => v.is(autoRules.schema, { name: "one", topic })
  for (const topic of ["a/#", "$share/g/a", "a/$replay/earliest", "own/\u0024{clientid}"])
    assert.ok(takes(topic), topic)
  const refused = [
    "$replay/earliest/a",
    "$share/g/$replay/earliest/a",
    "$share/\u0024{clientid}/$replay/5/a",
    "$exclusive/a"
  ]
  for (const topic of [...refused, "a/#/b", "$share/a"]) assert.ok(!takes(topic), topic)
})
