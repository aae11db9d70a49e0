import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Message } from "../../../core/mod.ts"
import { type Candidate, Chooser, hashOf, STRATEGIES, type Strategy } from "./strategies.ts"

interface TestMember extends Candidate {
  readonly name: string
  inflight: number
  limit: number
}

function member(name: string, shard = 0, limit = 10): TestMember {
  return {
    name,
    shard,
    hash: hashOf(name),
    inflight: 0,
    limit,
    get hasRoom() {
      return this.inflight < this.limit
    }
  }
}

function message(name: string, publisher = "", queue = 0): Message {
  const made = new Message()
  made.begin()
  made.name = name
  made.publisher = publisher
  made.queue = queue
  return made
}

/** A source of chance that a test can foresee. */
function stepping(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

const names = (members: ReadonlyArray<TestMember | undefined>): ReadonlyArray<string> =>
  members.map((each) => each?.name ?? "nobody")

test("in turn: each as often as the others, past those that have no room", () => {
  const [a, b, c] = [member("a"), member("b"), member("c")]
  const chooser = new Chooser<TestMember>("round_robin", stepping())
  const give = () => chooser.choose([a, b, c], message("t"), true)
  assert.deepEqual(names([give(), give(), give(), give()]), ["a", "b", "c", "a"])
  b.limit = 0
  assert.deepEqual(names([give(), give(), give()]), ["c", "a", "c"])
  // What needs no acknowledgement needs no room.
  assert.equal(chooser.choose([b], message("t"), false), b)
})

test("sticky: one of them until it has left, though it has no room", () => {
  const members = [member("a"), member("b"), member("c")]
  const chooser = new Chooser<TestMember>("sticky", stepping())
  const first = chooser.choose(members, message("t"), true)
  assert.ok(first !== undefined && chooser.isKeyed)
  for (let times = 0; times < 20; times++) assert.equal(chooser.choose(members, message(`t/${times}`), true), first)
  first.inflight = first.limit
  assert.equal(chooser.choose(members, message("t"), true), undefined)
  const rest = members.filter((each) => each !== first)
  const second = chooser.choose(rest, message("t"), true)
  assert.ok(second !== undefined && second !== first)
  assert.equal(chooser.choose(members, message("t"), true), second)
})

test("least in flight: the one that has the least, in turn among equals", () => {
  const [a, b, c] = [member("a"), member("b"), member("c")]
  const chooser = new Chooser<TestMember>("least_inflight", stepping())
  a.inflight = 2
  b.inflight = 1
  c.inflight = 1
  const give = () => chooser.choose([a, b, c], message("t"), true)
  assert.deepEqual(names([give(), give(), give()]), ["b", "c", "b"])
  b.limit = 1
  c.limit = 1
  assert.equal(give(), a)
})

test("local: those of the shard that sequenced the message, as long as one has room", () => {
  const [here, there] = [member("here", 0, 1), member("there", 1)]
  const chooser = new Chooser<TestMember>("local", stepping())
  const give = (queue: number) => chooser.choose([here, there], message("t", "", queue), true)
  assert.deepEqual(names([give(0), give(0), give(1), give(1)]), ["here", "here", "there", "there"])
  here.inflight = 1
  assert.equal(give(0), there)
})

test("what does not say who published it goes by its name, where the publisher decides", () => {
  const chooser = new Chooser<TestMember>("hash_clientid", stepping())
  const members = Array.from({ length: 4 }, (_, index) => member(`member-${index}`))
  const chosen = Array.from({ length: 100 }, (_, index) =>
    chooser.choose(members, message(`device/${index}`, ""), true)
  )
  assert.equal(new Set(chosen).size, 4)
})

test("by topic and by publisher: one member a key, and only the keys of one that leaves move", () => {
  for (const strategy of ["hash_topic", "hash_clientid"] as const) {
    const chooser = new Chooser<TestMember>(strategy, stepping())
    const members = Array.from({ length: 8 }, (_, index) => member(`member-${index}`))
    const keys = Array.from({ length: 4_000 }, (_, index) => `device/${index}`)
    const of = (key: string): Message => (strategy === "hash_topic" ? message(key, "x") : message("t", key))
    const before = keys.map((key) => chooser.choose(members, of(key), true))
    const shares = members.map((each) => before.filter((chosen) => chosen === each).length)
    assert.ok(Math.min(...shares) > 400 && Math.max(...shares) < 600, `shares ${shares}`)
    assert.deepEqual(
      keys.map((key) => chooser.choose([...members].reverse(), of(key), true)),
      before
    )
    const left = members[3]
    const rest = members.filter((each) => each !== left)
    for (const [index, key] of keys.entries()) {
      if (before[index] !== left) assert.equal(chooser.choose(rest, of(key), true), before[index])
    }
  }
})

test("whatever the strategy: nobody without room is chosen, and somebody is where all have some", () => {
  const rooms = fc.array(fc.record({ inflight: fc.nat(3), limit: fc.nat(3), shard: fc.nat(2) }), { maxLength: 6 })
  fc.assert(
    fc.property(fc.constantFrom<Strategy>(...STRATEGIES), rooms, fc.array(fc.string()), (strategy, facts, topics) => {
      const chooser = new Chooser<TestMember>(strategy, stepping())
      const members = facts.map(({ inflight, limit, shard }, index) =>
        Object.assign(member(`m${index}`, shard, limit), { inflight })
      )
      for (const topic of topics) {
        const chosen = chooser.choose(members, message(topic), true)
        if (chosen !== undefined) assert.ok(chosen.hasRoom && members.includes(chosen))
        else if (members.length > 0) {
          assert.ok(chooser.isKeyed ? members.some(({ hasRoom }) => !hasRoom) : !members.some(({ hasRoom }) => hasRoom))
        }
        assert.equal(chooser.choose(members, message(topic), false) === undefined, members.length === 0)
      }
    })
  )
})
