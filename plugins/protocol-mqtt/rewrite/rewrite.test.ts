import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { loadExpressions } from "../rules/expressions.ts"
import { areSmall, type RewriteRule, rewriteRules } from "./rewrite-rule.ts"
import { NOT_ALLOWED, TopicRewrite } from "./TopicRewrite.ts"

await loadExpressions()

const ID = "\u0024{clientid}"
const USER = "\u0024{username}"
const client = { tenant: 0, user: "anna", clientIdentifier: "c1", peerAddress: "10.0.0.7" }
const rule = (
  name: string,
  source_topic: string,
  regex: string,
  dest_topic: string,
  action: RewriteRule["action"] = "all"
): RewriteRule => ({ name, action, source_topic, regex, dest_topic })
const become = (rewrite: TopicRewrite, topic: string): string => rewrite.published(topic, client)

test("the example of EMQX's manual, its rules in the order in which they hold", () => {
  const rewrite = new TopicRewrite([
    rule("1", "x/y/+", "^x/y/(\\d+)$", "z/y/$1"),
    rule("2", "x/#", "^x/y/(.+)$", "z/y/x/$1"),
    rule("3", "y/+/z/#", "^y/(.+)/z/(.+)$", "y/z/$2")
  ])
  for (const [from, to] of [
    ["y/a/z/b", "y/z/b"],
    ["y/def", "y/def"],
    ["x/1/2", "x/1/2"],
    ["x/y/2", "z/y/2"],
    ["x/y/z", "z/y/x/z"]
  ] as const) {
    assert.equal(become(rewrite, from), to)
    // The second time it is remembered.
    assert.equal(become(rewrite, from), to)
    assert.equal(rewrite.subscribed(from, client), to)
  }
})

test("what a rule makes is not looked at again: rules cannot go round in a circle", () => {
  const rewrite = new TopicRewrite([rule("a", "a/#", "^a/(.*)$", "b/$1"), rule("b", "b/#", "^b/(.*)$", "a/$1")])
  assert.deepEqual([become(rewrite, "a/x"), become(rewrite, "b/x")], ["b/x", "a/x"])
  assert.equal(become(new TopicRewrite([rule("a", "#", "^(.*)$", "$1/$1")]), "x"), "x/x")
})

test("rules hold for what they are for; prefixes of filters stay where they are", () => {
  const rewrite = new TopicRewrite([
    rule("p", "in/#", "^in/(.*)$", "published/$1", "publish"),
    rule("s", "in/#", "^in/(.*)$", "subscribed/$1", "subscribe")
  ])
  assert.equal(become(rewrite, "in/a"), "published/a")
  for (const prefix of ["", "$share/g/", "$exclusive/", "$exclusive/$share/g/"]) {
    assert.equal(rewrite.subscribed(`${prefix}in/+/b`, client), `${prefix}subscribed/+/b`)
    assert.equal(rewrite.subscribed(`${prefix}out/#`, client), `${prefix}out/#`)
  }
  assert.equal(new TopicRewrite([]).hasPublishRules, false)
})

test("groups and the client's own names; where those do not fit the answer is no, whatever other rules there are", () => {
  const rewrite = new TopicRewrite([
    rule("1", "c/#", "^c/(.*)$", `of/${ID}/${USER}/$1`),
    rule("2", "c/#", "^c/", "of/nobody")
  ])
  assert.equal(become(rewrite, "c/x/y"), "of/c1/anna/x/y")
  assert.equal(rewrite.published("c/x", { ...client, clientIdentifier: "c2" }), "of/c2/anna/x")
  for (const user of ["", "a/b", "#", "+"]) {
    for (let round = 0; round < 2; round++) assert.equal(rewrite.published("c/x", { ...client, user }), NOT_ALLOWED)
    assert.equal(rewrite.subscribed("c/x", { ...client, user }), NOT_ALLOWED)
    assert.equal(rewrite.published("d/x", { ...client, user }), "d/x")
  }
  // A group that took no part is nothing; what a topic holds is not a reference.
  assert.equal(become(new TopicRewrite([rule("1", "#", "^(a)?(b)?/(.*)$", "$1-$2-$3")]), `b/$2${ID}`), `-b-$2${ID}`)
  assert.equal(become(new TopicRewrite([rule("1", "#", "^.*$", "all/$0")]), "a/b"), "all/a/b")
})

test("a rule and what a client is called make none of the forms that only a client may choose, nor nothing", () => {
  const first = new TopicRewrite([rule("1", "in/#", "^in/(.*)$", `${ID}/$1`)])
  for (const clientIdentifier of ["$share", "$SYS", "$exclusive", "$delayed", "$x"]) {
    assert.equal(first.published("in/1/x", { ...client, clientIdentifier }), NOT_ALLOWED)
    assert.equal(first.subscribed("in/g/#", { ...client, clientIdentifier }), NOT_ALLOWED)
  }
  const group = new TopicRewrite([rule("1", "in/#", "^in/(.*)$", "$1")])
  for (const form of ["$share/g/x", "$exclusive/x", "$delayed/1/x"]) {
    assert.equal(become(group, `in/${form}`), NOT_ALLOWED)
    assert.equal(group.subscribed(`in/${form}`, client), NOT_ALLOWED)
  }
  for (let round = 0; round < 3; round++) assert.equal(become(group, "in/"), NOT_ALLOWED)
  assert.equal(group.subscribed("$share/g/in/", client), NOT_ALLOWED)
  assert.equal(group.subscribed("in/$SYS/#", client), "$SYS/#")
  const half = new TopicRewrite([rule("1", "in/#", "^in/(.)", "a$1")])
  assert.equal(half.subscribed("in/+", client), NOT_ALLOWED)
})

test("a filter is looked at where all that it stands for would be", () => {
  const rewrite = new TopicRewrite([rule("1", "old/+", "^old/(.*)$", "new/$1")])
  for (const [filter, made] of [
    ["old/a", "new/a"],
    ["old/+", "new/+"],
    ["old/#", "old/#"],
    ["old", "old"],
    ["+/a", "+/a"],
    ["#", "#"]
  ] as const) {
    assert.equal(rewrite.subscribed(filter, client), made, filter)
  }
})

test("a line break in a topic is a character like others", () => {
  assert.equal(become(new TopicRewrite([rule("1", "old/#", "^old/(.*)$", "new/$1")]), "old/a\nb"), "new/a\nb")
})

test("longer topics than rules may take their time for are refused where one would have to look at them", () => {
  const rewrite = new TopicRewrite([rule("1", "a/#", "^a/(x)", "b/$1")])
  const long = "y".repeat(511)
  assert.deepEqual([become(rewrite, `a/${long}`), become(rewrite, `b/${long}`)], [NOT_ALLOWED, `b/${long}`])
  assert.equal(rewrite.subscribed(`a/${long}`, client), NOT_ALLOWED)
  assert.deepEqual([rewrite.refusedCount, rewrite.rewrittenCount], [2, 0])
})

test("each rule is compiled once, however many come", () => {
  const rules = Array.from({ length: 100 }, (_, each) =>
    rule(`${each}`, `a${each}/#`, `^a${each}/([a-z]{1,20})$`, "b/$1")
  )
  const start = performance.now()
  const rewrite = new TopicRewrite(rules)
  const once = performance.now() - start
  const again = performance.now()
  for (const each of rules) rewrite.rules.onChange({ name: each.name, before: each, after: each, revision: 1 })
  assert.ok(performance.now() - again < 20 * once + 100)
  assert.equal(become(rewrite, "a99/xyz"), "b/xyz")
})

test("names that are remembered are bounded", () => {
  const rewrite = new TopicRewrite([rule("1", "a/#", "^a/(.*)$", "b/$1")])
  for (let each = 0; each < 25_000; each++) assert.equal(become(rewrite, `a/${each}`), `b/${each}`)
  assert.equal(become(rewrite, "a/1"), "b/1")
})

test("wrong rules are refused with the reason", () => {
  const good = { name: "r", source_topic: "a/#", regex: "^a/(.*)$", dest_topic: "b/$1" }
  assert.ok(v.is(rewriteRules.schema, good))
  assert.ok(v.is(rewriteRules.schema, { ...good, action: "subscribe", dest_topic: "$SYS/brokers/#" }))
  for (const [wrong, says] of [
    [{ source_topic: "a/#/b" }, /topic filter/],
    [{ source_topic: "$share/g/a" }, /without \$share/],
    [{ regex: "(" }, /RE2/],
    [{ regex: "(?=a)" }, /RE2/],
    [{ regex: "(a)\\1" }, /RE2/],
    [{ regex: "x{1001}" }, /RE2/],
    [{ regex: "a".repeat(1_025) }, /1024 characters/],
    [{ regex: "a{1000}" }, /500 instructions, found 100\d/],
    [{ dest_topic: "b/\u0024{clientid" }, /known placeholders/],
    [{ dest_topic: "b/+" }, /without wildcards/],
    [{ dest_topic: "b/#", action: "publish" }, /without wildcards/],
    [{ dest_topic: "b/#/c", action: "subscribe" }, /topic may look like/],
    [{ dest_topic: "b\0" }, /topic may look like/],
    [{ dest_topic: "b\ud800" }, /topic may look like/],
    [{ dest_topic: "$SYS/b" }, /may be published on/],
    [{ dest_topic: "$share/g/b", action: "subscribe" }, /none of \$share/],
    [{ dest_topic: "$delayed/5/b" }, /none of \$share/],
    [{ dest_topic: "b".repeat(1_025) }, /length/],
    [{ dest_topic: "b/$2" }, /group/],
    [{ dest_topic: "" }, /length/],
    [{ dest_topic: "b/\u0024{topic}" }, /known placeholders/],
    [{ action: "both" }, /publish/],
    [{ name: "a b" }, /name/],
    [{ more: 1 }, /more/]
  ] as const) {
    const { issues = [] } = v.safeParse(rewriteRules.schema, { ...good, ...wrong })
    assert.match(issues.map(({ message }) => message).join("; "), says, JSON.stringify(wrong))
  }
})

test("expressions that others choke on take a time that is bounded: each within 50 ms", () => {
  for (const regex of ["(a+)+$", "(a|a)*$", "(.*)*x", "^(a?){50}a{50}$", "(?:\\pL?){100}\\pN"]) {
    const rewrite = new TopicRewrite([rule("1", "#", regex, "b")])
    become(rewrite, "warm")
    for (const letter of ["a", "é"]) {
      // Time of this process: others may have the processor meanwhile.
      const start = process.cpuUsage()
      become(rewrite, `${letter.repeat(510)}!`)
      const { user, system } = process.cpuUsage(start)
      assert.ok(user + system < 50_000, `${regex} ${(user + system) / 1_000} ms`)
    }
  }
})

test("any topic stays or becomes what a rule says, and nothing throws", () => {
  const rewrite = new TopicRewrite([rule("1", "+/x/#", "^([^/]*)/x(?:/(.*))?$", "to/$2/$1")])
  const level = fc.constantFrom("x", "y", "", "a b", "\n", "é", "$1", "$z")
  const topics = fc.oneof(
    fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/")),
    // Most of these hold: that some do is not left to chance.
    fc.tuple(level, fc.array(level, { maxLength: 2 })).map(([first, rest]) => [first, "x", ...rest].join("/")),
    fc.string({ unit: "binary" })
  )
  let held = 0
  fc.assert(
    fc.property(topics, (topic) => {
      const [first = "", second, ...rest] = topic.split("/")
      const holds = second === "x" && !first.startsWith("$")
      if (holds) held += 1
      assert.equal(become(rewrite, topic), holds ? `to/${rest.join("/")}/${first}` : topic)
    }),
    { numRuns: 500 }
  )
  assert.ok(held > 10, `${held}`)
})

test("all expressions together are small", () => {
  const large = Array.from({ length: 12 }, (_, each) => rule(`${each}`, "a/#", "b{400}", "b"))
  assert.deepEqual([areSmall(large), areSmall(large.slice(1))], [true, true])
  const more = rule("more", "a/#", "b{400}", "b")
  assert.equal(areSmall([...large, more]), false)
  assert.match(rewriteRules.refusalOf?.(more, large) ?? "", /5000 instructions/)
})

test("a rule of the manifest that is none is named", async () => {
  await assert.rejects(new TopicRewrite([rule("bad-one", "a/#", "(", "b")]).ready(), /topic_rewrite "bad-one": .*RE2/)
  await assert.rejects(new TopicRewrite([rule("r", "a/#", "a", "$1")]).ready(), /"r": .*group/)
  await new TopicRewrite([rule("r", "a/#", "(a)", "$1")]).ready()
  await new TopicRewrite([]).ready()
})
