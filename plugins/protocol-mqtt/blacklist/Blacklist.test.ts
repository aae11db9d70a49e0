import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { loadExpressions } from "../rules/expressions.ts"
import { Blacklist } from "./Blacklist.ts"
import { areFewInTurn, BAN_TYPES, type BanRule, banRules } from "./ban-rule.ts"

await loadExpressions()

const NOW = Date.parse("2027-01-01T00:00:00Z")
let names = 0
function rule(blacklist_type: BanRule["blacklist_type"], resource_name: string, end_time = ""): BanRule {
  names += 1
  return { name: `r${names}`, blacklist_type, resource_name, end_time, desc: "" }
}
const asks = (list: Blacklist, client: string, user = "", address = "192.0.2.1", nowMs = NOW): boolean =>
  list.isBanned(client, user, address, nowMs)

test("each of the six types names what it says and nothing else", () => {
  const cases: ReadonlyArray<readonly [BanRule, banned: ReadonlyArray<string>, free: ReadonlyArray<string>]> = [
    [rule("client_id", "c1"), ["c1 u 192.0.2.1"], ["c12 u 192.0.2.1", "C1 u 192.0.2.1", "u c1 192.0.2.1"]],
    [rule("user", "u1"), ["c u1 192.0.2.1"], ["u1 c 192.0.2.1", "c u 192.0.2.1"]],
    [rule("ip", "192.0.2.1"), ["c u 192.0.2.1", "c u ::ffff:192.0.2.1"], ["c u 192.0.2.10", "192.0.2.1 u 10.0.0.1"]],
    [rule("ip", "2001:DB8::0:1"), ["c u 2001:db8::1"], ["c u 2001:db8::2"]],
    [rule("client_id_match", "^bad-\\d+$"), ["bad-7 u 10.0.0.1"], ["bad- u 10.0.0.1", "x bad-7 10.0.0.1"]],
    [rule("client_id_match", "bad"), ["so-bad-7 u 10.0.0.1"], ["u bad 10.0.0.1"]],
    [rule("user_match", "^tmp_"), ["c tmp_1 10.0.0.1"], ["tmp_1 c 10.0.0.1", "c atmp_1 10.0.0.1"]],
    [rule("ip_cidr", "10.1.0.0/16"), ["c u 10.1.2.3"], ["c u 10.2.2.3", "10.1.2.3 u 9.9.9.9"]]
  ]
  for (const [one, banned, free] of cases) {
    const list = new Blacklist([one])
    const ask = (of: string): boolean => {
      const [client = "", user = "", address = ""] = of.split(" ")
      return asks(list, client, user, address)
    }
    for (const of of banned) assert.ok(ask(of), `${JSON.stringify(one)} ${of}`)
    for (const of of free) assert.ok(!ask(of), `${JSON.stringify(one)} ${of}`)
    list.changed(one, undefined)
    for (const of of banned) assert.ok(!ask(of), `without ${JSON.stringify(one)} ${of}`)
  }
})

test("who has no name is not named by an expression that matches nothing, or by an empty address", () => {
  const list = new Blacklist([rule("user_match", ".*"), rule("ip_cidr", "0.0.0.0/0")])
  assert.ok(!asks(list, "c", "", ""))
  assert.ok(asks(list, "c", "u", ""))
})

test("an expression that has ended, or that an assigned identifier would match, keeps nobody out", () => {
  const ended = new Blacklist([rule("client_id_match", "x", "2020-01-01T00:00:00Z")])
  assert.ok(!asks(ended, "y".repeat(2_000)))
  const long = new Blacklist([rule("client_id_match", "x")])
  assert.deepEqual([asks(long, "y".repeat(512)), asks(long, "y".repeat(513))], [false, true])
  assert.ok(!asks(new Blacklist([rule("client_id_match", "^[0-9]*$")]), ""))
})

test("an entry ends at its time; of two of one name the longer holds", () => {
  const list = new Blacklist([
    rule("client_id", "c", "2027-01-01T00:00:10Z"),
    rule("client_id", "c", "2027-01-01T00:00:20Z"),
    rule("client_id_match", "^p", "2027-01-01T00:00:10Z"),
    rule("ip_cidr", "10.0.0.0/8", "2027-01-01T01:00:10+01:00")
  ])
  const at = (seconds: number): ReadonlyArray<boolean> =>
    [["c", "192.0.2.1"] as const, ["p", "192.0.2.1"] as const, ["x", "10.0.0.1"] as const].map(([client, address]) =>
      asks(list, client, "", address, NOW + seconds * 1_000)
    )
  assert.deepEqual(at(9.999), [true, true, true])
  assert.deepEqual(at(10), [true, false, false])
  assert.deepEqual(at(20), [false, false, false])
  assert.deepEqual(list.endedBy(NOW + 60_000, 10), [], "those of the manifest stay")
})

test("as a list that goes through all entries says, whatever is added and removed", () => {
  const value = fc.constantFrom("a", "b", "ab", "10.0.0.1", "10.0.0.2")
  const entry = fc.record({ type: fc.constantFrom(...BAN_TYPES), value, seconds: fc.constantFrom(0, 5, 50) })
  const step = fc.record({ entry, removes: fc.nat(9), isRemoval: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const list = new Blacklist([rule("client_id", "nobody")])
      const all: Array<BanRule> = []
      for (const { entry: made, removes, isRemoval } of steps) {
        if (isRemoval && all.length > 0) {
          const [gone] = all.splice(removes % all.length, 1)
          list.changed(gone, undefined)
          continue
        }
        const text = made.type === "ip_cidr" ? "10.0.0.1/32" : made.type === "ip" ? "10.0.0.2" : made.value
        const added = rule(
          made.type,
          text,
          made.seconds === 0 ? "" : new Date(NOW + made.seconds * 1_000).toISOString()
        )
        all.push(added)
        list.changed(undefined, added)
      }
      for (const client of ["a", "b", "ab"]) {
        for (const user of ["", "a", "ab"]) {
          for (const address of ["10.0.0.1", "10.0.0.2", ""]) {
            for (const atMs of [NOW, NOW + 5_000]) {
              const expected = all.some((each) => {
                if (each.end_time !== "" && Date.parse(each.end_time) <= atMs) return false
                const { blacklist_type: type, resource_name: of } = each
                if (type === "client_id") return client === of
                if (type === "user") return user === of
                if (type === "ip") return address === of
                if (type === "ip_cidr") return address === "10.0.0.1"
                const asked = type === "user_match" ? user : client
                return asked !== "" && new RegExp(of).test(asked)
              })
              assert.equal(asks(list, client, user, address, atMs), expected)
            }
          }
        }
      }
    })
  )
})

test("wrong entries are refused with the reason", () => {
  const good = { name: "r", blacklist_type: "client_id", resource_name: "c" }
  assert.deepEqual(v.parse(banRules.schema, good), { ...good, end_time: "", desc: "" })
  for (const [wrong, says] of [
    [{ blacklist_type: "host" }, /client_id/],
    [{ resource_name: "" }, /length/],
    [{ resource_name: "c".repeat(65_536) }, /length/],
    [{ blacklist_type: "ip", resource_name: "10.1.0.0/16" }, /IPv4 or IPv6/],
    [{ blacklist_type: "ip_cidr", resource_name: "10.1.0.0" }, /network/],
    [{ blacklist_type: "ip_cidr", resource_name: "10.1.0.0/33" }, /network/],
    [{ blacklist_type: "client_id_match", resource_name: "(" }, /RE2/],
    [{ blacklist_type: "user_match", resource_name: "(a)\\1" }, /RE2/],
    [{ blacklist_type: "user_match", resource_name: "a".repeat(1_025) }, /1024 characters/],
    [{ end_time: "tomorrow" }, /expected a time/],
    [{ end_time: "2027-13-01T00:00:00Z" }, /expected a time/],
    [{ end_time: "2027-02-30T00:00:00Z" }, /expected a time/],
    [{ blacklist_type: "user_match", resource_name: "a{1000}" }, /500 instructions/],
    [{ desc: "x".repeat(257) }, /length/],
    [{ more: 1 }, /more/]
  ] as const) {
    const { issues = [] } = v.safeParse(banRules.schema, { ...good, ...wrong })
    assert.match(issues.map(({ message }) => message).join("; "), says, JSON.stringify(wrong))
  }
  const many = (type: BanRule["blacklist_type"], count: number) => Array.from({ length: count }, () => rule(type, "a"))
  assert.ok(areFewInTurn([...many("ip_cidr", 100), ...many("client_id", 1_000)]))
  assert.ok(!areFewInTurn(many("client_id_match", 101)))
})

test("an entry of the manifest that is none is named", async () => {
  const list = new Blacklist([rule("client_id_match", "a")])
  await list.ready()
  assert.ok(asks(list, "a"))
})
