import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { loadExpressions } from "../rules/expressions.ts"
import { type RewriteRule, rewriteRules } from "./rewrite-rule.ts"
import { TopicRewrite } from "./TopicRewrite.ts"

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
const become = (rewrite: TopicRewrite, topic: string): string => rewrite.published(topic, client) ?? topic

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

test("groups and the client's own names; where those do not fit the next rule is asked", () => {
  const rewrite = new TopicRewrite([
    rule("1", "c/#", "^c/(.*)$", `of/${ID}/${USER}/$1`),
    rule("2", "c/#", "^c/", "of/nobody")
  ])
  assert.equal(become(rewrite, "c/x/y"), "of/c1/anna/x/y")
  assert.equal(rewrite.published("c/x", { ...client, clientIdentifier: "c2" }), "of/c2/anna/x")
  for (const user of ["", "a/b", "#", "+"]) assert.equal(rewrite.published("c/x", { ...client, user }), "of/nobody")
  // A group that took no part is nothing; what a topic holds is not a reference.
  assert.equal(become(new TopicRewrite([rule("1", "#", "^(a)?(b)?/(.*)$", "$1-$2-$3")]), `b/$2${ID}`), `-b-$2${ID}`)
})

test("names that are remembered are bounded", () => {
  const rewrite = new TopicRewrite([rule("1", "a/#", "^a/(.*)$", "b/$1")])
  for (let each = 0; each < 25_000; each++) assert.equal(become(rewrite, `a/${each}`), `b/${each}`)
  assert.equal(become(rewrite, "a/1"), "b/1")
})

test("wrong rules are refused with the reason", () => {
  const good = { name: "r", source_topic: "a/#", regex: "^a/(.*)$", dest_topic: "b/$1" }
  assert.ok(v.is(rewriteRules.schema, good))
  for (const [wrong, says] of [
    [{ source_topic: "a/#/b" }, /topic filter/],
    [{ regex: "(" }, /RE2/],
    [{ regex: "(?=a)" }, /RE2/],
    [{ regex: "(a)\\1" }, /RE2/],
    [{ regex: "x{1001}" }, /RE2/],
    [{ regex: "a".repeat(1_025) }, /1024/],
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

test("expressions that others choke on take the time of the text: 60,000 characters within a second", () => {
  for (const regex of ["(a+)+$", "(a|a)*$", "(.*)*x", "^(a?){50}a{50}$"]) {
    const rewrite = new TopicRewrite([rule("1", "#", regex, "b")])
    const start = performance.now()
    become(rewrite, `${"a".repeat(60_000)}!`)
    assert.ok(performance.now() - start < 1_000, regex)
  }
})

test("any topic stays or becomes what a rule says, and nothing throws", () => {
  const rewrite = new TopicRewrite([rule("1", "+/x/#", "^([^/]*)/x/?(.*)$", "$2/$1")])
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (topic) => {
      const [, first = "", rest = ""] = /^([^/]*)\/x(?:\/(.*))?$/s.exec(topic) ?? []
      const holds = /^[^/]*\/x(?:\/|$)/.test(topic) && !topic.startsWith("$") && !topic.includes("\n")
      if (holds) assert.equal(become(rewrite, topic), `${rest}/${first}`)
    })
  )
})

test("a rule of the manifest that is none is named", async () => {
  await assert.rejects(new TopicRewrite([rule("bad-one", "a/#", "(", "b")]).ready(), /topic_rewrite "bad-one": .*RE2/)
  await assert.rejects(new TopicRewrite([rule("r", "a/#", "a", "$1")]).ready(), /"r": .*group/)
  await new TopicRewrite([rule("r", "a/#", "(a)", "$1")]).ready()
  await new TopicRewrite([]).ready()
})
