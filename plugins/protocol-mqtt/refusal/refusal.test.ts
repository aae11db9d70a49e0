import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { matches } from "../../../core/mod.ts"
import { type RefusalRule, refusalRules } from "./refusal-rule.ts"
import { TopicRefusals } from "./TopicRefusals.ts"

const rule = (topic: string, more: Partial<RefusalRule> = {}): RefusalRule => ({
  name: `r${topic.length}`,
  action: "all",
  topic,
  match: "overlapping",
  desc: "",
  ...more
})

test("a name is refused where a rule's filter matches it, whatever match says of subscriptions", () => {
  const refusals = new TopicRefusals([rule("secret/#"), rule("a/+", { match: "exact", name: "2" })])
  for (const [name, refused] of [
    ["secret", true],
    ["secret/a/b", true],
    ["secrets", false],
    ["a/b", true],
    ["a", false],
    ["$SYS/x", false]
  ] as const) {
    // The second time it is remembered.
    for (let round = 0; round < 2; round++) assert.equal(refusals.isPublishRefused(name), refused, name)
  }
})

test("a subscription is refused where something refused would come, nothing else would, or its filter is written so", () => {
  const cases: ReadonlyArray<readonly [filter: string, overlapping: boolean, covered: boolean, exact: boolean]> = [
    ["secret/#", true, true, true],
    ["secret/a", true, true, false],
    ["secret/+/b", true, true, false],
    ["#", true, false, false],
    ["+/a", true, false, false],
    ["+", true, false, false],
    ["other/#", false, false, false],
    ["$SYS/#", false, false, false]
  ]
  for (const [filter, ...expected] of cases) {
    const found = (["overlapping", "covered", "exact"] as const).map((match) =>
      new TopicRefusals([rule("secret/#", { match })]).isSubscribeRefused(filter)
    )
    assert.deepEqual(found, expected, filter)
  }
  // Everything may be had, only not everything at once.
  const all = new TopicRefusals([rule("#", { match: "exact" })])
  assert.deepEqual([all.isSubscribeRefused("#"), all.isSubscribeRefused("+/#")], [true, false])
})

test("rules hold for what they are for", () => {
  const publish = new TopicRefusals([rule("t", { action: "publish" })])
  assert.deepEqual([publish.isPublishRefused("t"), publish.isSubscribeRefused("t")], [true, false])
  const subscribe = new TopicRefusals([rule("t", { action: "subscribe" })])
  assert.deepEqual([subscribe.isPublishRefused("t"), subscribe.isSubscribeRefused("t")], [false, true])
  assert.equal(subscribe.hasPublishRules, false)
  assert.equal(new TopicRefusals([]).isSubscribeRefused("#"), false)
})

test("with the default no name that is refused can come by a subscription that is taken", () => {
  const level = fc.constantFrom("a", "b", "$x", "")
  const filterLevel = fc.constantFrom("a", "b", "+", "")
  const name = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"))
  const filter = fc
    .tuple(fc.array(filterLevel, { maxLength: 3 }), fc.boolean())
    .map(([levels, isOpen]) => [...levels, ...(isOpen ? ["#"] : [])].join("/"))
    .filter((text) => text !== "")
  fc.assert(
    fc.property(filter, filter, name, (refused, wanted, of) => {
      const refusals = new TopicRefusals([rule(refused)])
      if (of === "" || refusals.isSubscribeRefused(wanted) || !matches(wanted, of)) return
      assert.equal(refusals.isPublishRefused(of), false)
    })
  )
})

test("wrong rules are refused with the reason", () => {
  for (const [wrong, says] of [
    [{ topic: "a/#/b" }, /topic filter/],
    [{ topic: "" }, /topic filter/],
    [{ topic: "a", action: "both" }, /publish/],
    [{ topic: "a", match: "some" }, /overlapping/],
    [{ topic: "a", more: 1 }, /more/],
    [{ topic: "$share/g/a" }, /without \$share/],
    [{ topic: "$exclusive/a" }, /without \$share/]
  ] as const) {
    const { issues = [] } = v.safeParse(refusalRules.schema, { name: "r", ...wrong })
    assert.match(issues.map(({ message }) => message).join("; "), says, JSON.stringify(wrong))
  }
})
