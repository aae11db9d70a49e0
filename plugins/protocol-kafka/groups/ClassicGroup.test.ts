/** What a group answers, case by case; the simulation tries what comes of them together. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { ErrorCode } from "../wire/error-codes.ts"
import { ClassicGroup, type KeptGroup, NEW_MEMBER_JOIN_MS } from "./ClassicGroup.ts"
import type { JoinAnswer, JoinRequest, SyncAnswer, SyncRequest } from "./group-events.ts"
import type { GroupHost } from "./group-host.ts"

const SESSION_MS = 10_000
const REBALANCE_MS = 30_000
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

/** A group with its host: time by hand, stores that are told when the test says so. */
class Bench implements GroupHost {
  rules = { sizeMax: 3, initialRebalanceDelayMs: 0 }
  room = 1_000_000
  now = 0
  stores: Array<number> = []
  rebalances = 0
  #ids = 0
  readonly group: ClassicGroup
  constructor(rules: Partial<GroupHost["rules"]> = {}, kept?: KeptGroup) {
    Object.assign(this.rules, rules)
    this.group = new ClassicGroup("g", this, kept)
  }
  newMemberId(prefix: string): string {
    return `${prefix}-${++this.#ids}`
  }
  hasRoom(size: number): boolean {
    return size <= this.room
  }
  store(ticket: number): void {
    this.stores.push(ticket)
  }
  rebalanced(): void {
    this.rebalances += 1
  }

  /** The answer, as soon as there is one. */
  join(changes: Partial<JoinRequest> = {}): { answer: JoinAnswer | undefined } {
    const request = {
      ...{ memberId: "", instanceId: null, clientId: "c", clientHost: "/h", protocolType: "consumer" },
      ...{ protocols: [{ name: "range", metadata: bytes("m") }], sessionTimeoutMs: SESSION_MS },
      ...{ rebalanceTimeoutMs: REBALANCE_MS, needsKnownId: false, maySkipAssignment: true, ...changes }
    }
    const got: { answer: JoinAnswer | undefined } = { answer: undefined }
    const reply = (answer: JoinAnswer): void => {
      equal(got.answer, undefined, "answered once")
      got.answer = answer
    }
    this.group.join(request, reply, this.now)
    return got
  }
  sync(memberId: string, generation: number, changes: Partial<SyncRequest> = {}): { answer: SyncAnswer | undefined } {
    const got: { answer: SyncAnswer | undefined } = { answer: undefined }
    const names = { protocolType: null, protocolName: null }
    const request = { memberId, instanceId: null, generation, ...names, assignments: new Map(), ...changes }
    this.group.sync(
      request,
      (answer) => {
        got.answer = answer
      },
      this.now
    )
    return got
  }
  kept(isKept = true): void {
    for (const ticket of this.stores.splice(0)) this.group.stored(ticket, isKept, this.now)
  }
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now = Math.min(end, Math.max(this.now + 1, this.group.dueMs))
      this.group.tick(this.now)
    }
  }
  /** A settled group of these members, by client id; returns their ids. */
  settled(...clients: ReadonlyArray<Partial<JoinRequest>>): ReadonlyArray<string> {
    const joins: Array<{ answer: JoinAnswer | undefined }> = []
    for (const client of clients) {
      // Those who are in it join again when somebody comes.
      for (const member of [...this.group.members()]) {
        if (member.join === undefined) {
          this.join({ memberId: member.id, instanceId: member.instanceId, protocols: member.protocols })
        }
      }
      joins.push(this.join(client))
      for (const member of [...this.group.members()]) {
        if (member.join === undefined && this.group.state === "PreparingRebalance") {
          this.join({ memberId: member.id, instanceId: member.instanceId, protocols: member.protocols })
        }
      }
    }
    const ids = joins.map(({ answer }) => answer?.memberId ?? "")
    const assignments = new Map(ids.map((id) => [id, bytes(`for ${id}`)]))
    for (const { id, instanceId } of [...this.group.members()]) {
      this.sync(id, this.group.generation, { instanceId, assignments })
    }
    this.kept()
    equal(this.group.state, "Stable")
    return ids
  }
  beat(memberId: string, generation = this.group.generation, instanceId: string | null = null): number {
    return this.group.heartbeat(memberId, instanceId, generation, this.now)
  }
}

describe("joining", () => {
  test("the first member leads, is told of all, and gets its assignment when that is kept", () => {
    const bench = new Bench()
    const { answer } = bench.join()
    deepStrictEqual([answer?.errorCode, answer?.generationId, answer?.leader], [0, 1, answer?.memberId])
    deepStrictEqual(
      [answer?.protocolType, answer?.protocolName, text(answer?.members[0]?.metadata)],
      ["consumer", "range", "m"]
    )
    const id = answer?.memberId ?? ""
    const synced = bench.sync(id, 1, { assignments: new Map([[id, bytes("all")]]) })
    deepStrictEqual([synced.answer, bench.group.state], [undefined, "CompletingRebalance"])
    equal(text(bench.group.kept().members[0]?.assignment), "all")
    bench.kept()
    deepStrictEqual(
      [synced.answer?.errorCode, text(synced.answer?.assignment), bench.group.state],
      [0, "all", "Stable"]
    )
    equal(text(bench.sync(id, 1).answer?.assignment), "all")
  })
  test("from version 4 on a new member is told its id first; one that does not come back is forgotten", () => {
    const bench = new Bench()
    const { answer } = bench.join({ needsKnownId: true })
    deepStrictEqual([answer?.errorCode, answer?.memberId, bench.group.size], [ErrorCode.MEMBER_ID_REQUIRED, "c-1", 0])
    equal(bench.group.isUnused, false)
    equal(bench.join({ memberId: "c-1", needsKnownId: true }).answer?.generationId, 1)
    bench.join({ needsKnownId: true })
    equal(bench.group.pendingCount, 1)
    bench.pass(SESSION_MS)
    equal(bench.group.pendingCount, 0)
    equal(bench.join({ memberId: "c-2" }).answer?.errorCode, ErrorCode.UNKNOWN_MEMBER_ID)
  })
  test("an id that was given out is not taken with an instance id", () => {
    const bench = new Bench()
    bench.settled({ instanceId: "i" })
    const { answer } = bench.join({ needsKnownId: true })
    const lie = bench.join({ memberId: answer?.memberId ?? "", instanceId: "i" })
    equal(lie.answer?.errorCode, ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.group.size, 1)
  })
  test("a group waits for others at first, longer while more come, as long as a rebalance at most", () => {
    const bench = new Bench({ initialRebalanceDelayMs: 3_000 })
    const one = bench.join()
    bench.pass(2_999)
    equal(one.answer, undefined)
    const two = bench.join()
    bench.pass(2_999)
    equal(one.answer, undefined)
    bench.pass(3_002)
    deepStrictEqual([one.answer?.generationId, two.answer?.generationId, one.answer?.members.length], [1, 1, 2])
  })
  test("the protocol that most like best, of those that all know; one that nobody else knows is refused", () => {
    const bench = new Bench({ initialRebalanceDelayMs: 10 })
    const of = (...names: ReadonlyArray<string>) => names.map((name) => ({ name, metadata: bytes(name) }))
    const joins = [of("a", "b", "x"), of("b", "a"), of("b", "a", "y")].map((protocols) => bench.join({ protocols }))
    equal(bench.join({ protocols: of("x") }).answer?.errorCode, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    equal(bench.join({ protocols: of("a"), protocolType: "connect" }).answer?.errorCode, 23)
    equal(bench.join({ protocols: [] }).answer?.errorCode, 23)
    bench.pass(30)
    deepStrictEqual(
      joins.map(({ answer }) => answer?.protocolName),
      ["b", "b", "b"]
    )
  })
  test("a full group says so, also of ids that nobody comes back with; so does one without room", () => {
    const bench = new Bench({ sizeMax: 1 })
    bench.join()
    equal(bench.join().answer?.errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED)
    const other = new Bench({ sizeMax: 2 })
    for (const expected of [79, 79, 81]) equal(other.join({ needsKnownId: true }).answer?.errorCode, expected)
    const poor = new Bench()
    poor.room = 10
    equal(poor.join().answer?.errorCode, 81)
  })
  test("who waits in its first join goes after five minutes, and is told", () => {
    const bench = new Bench()
    const [first = ""] = bench.settled({})
    const { answer } = bench.join({ needsKnownId: true })
    const waiting = bench.join({ memberId: answer?.memberId ?? "", rebalanceTimeoutMs: 2 * NEW_MEMBER_JOIN_MS })
    // The one that is in it neither comes nor goes.
    for (let passed = 0; passed < NEW_MEMBER_JOIN_MS && waiting.answer === undefined; passed += 5_000) {
      bench.beat(first)
      bench.pass(5_000)
    }
    ok(waiting.answer !== undefined)
  })
})

describe("rebalancing", () => {
  test("members hear of it by heartbeat, and who does not join in time is out", () => {
    const bench = new Bench()
    const [one = "", two = ""] = bench.settled({}, {})
    const { generation } = bench.group
    const third = bench.join()
    equal(bench.beat(one), ErrorCode.REBALANCE_IN_PROGRESS)
    equal(bench.group.mayCommit(one, null, generation, bench.now), ErrorCode.NONE)
    const again = bench.join({ memberId: one })
    for (let passed = 0; passed < REBALANCE_MS; passed += 5_000) {
      equal(bench.beat(two), ErrorCode.REBALANCE_IN_PROGRESS)
      bench.pass(5_000)
    }
    deepStrictEqual([again.answer?.generationId, third.answer?.generationId], [generation + 1, generation + 1])
    equal(bench.beat(two, generation), ErrorCode.UNKNOWN_MEMBER_ID)
    equal(bench.group.mayCommit(one, null, generation + 1, bench.now), ErrorCode.REBALANCE_IN_PROGRESS)
    equal(bench.group.mayCommit(one, null, generation, bench.now), ErrorCode.ILLEGAL_GENERATION)
  })
  test("a member that is silent is gone after its session; one whose owner was paused is not", () => {
    const bench = new Bench()
    const [one = "", two = ""] = bench.settled({}, {})
    bench.pass(SESSION_MS - 1)
    equal(bench.beat(one), 0)
    bench.pass(1)
    equal(bench.group.size, 1)
    equal(bench.beat(two), ErrorCode.UNKNOWN_MEMBER_ID)
    const paused = new Bench()
    const [only = ""] = paused.settled({})
    paused.now += 60_000
    paused.group.paused(60_000)
    paused.group.tick(paused.now)
    equal(paused.beat(only), 0)
  })
  test("a leader that never says who gets what is out when the time is up, and the others are told to join", () => {
    const bench = new Bench({ initialRebalanceDelayMs: 10 })
    const [leader, follower] = [bench.join(), bench.join()]
    bench.pass(30)
    const id = follower.answer?.memberId ?? ""
    const synced = bench.sync(id, 1)
    for (let passed = 0; passed <= REBALANCE_MS; passed += 5_000) {
      bench.beat(leader.answer?.memberId ?? "")
      bench.pass(5_000)
    }
    equal(synced.answer?.errorCode, ErrorCode.REBALANCE_IN_PROGRESS)
    deepStrictEqual([bench.group.size, bench.group.leader], [1, id])
  })
  test("what the disk refuses nobody gets: members are told, and rebalance", () => {
    const bench = new Bench()
    const { answer } = bench.join()
    const synced = bench.sync(answer?.memberId ?? "", 1)
    bench.kept(false)
    deepStrictEqual(
      [synced.answer?.errorCode, bench.group.state],
      [ErrorCode.COORDINATOR_NOT_AVAILABLE, "PreparingRebalance"]
    )
  })
  test("an assignment without room is refused", () => {
    const bench = new Bench()
    const id = bench.join().answer?.memberId ?? ""
    bench.room = 100
    const synced = bench.sync(id, 1, { assignments: new Map([[id, new Uint8Array(1_000)]]) })
    equal(synced.answer?.errorCode, ErrorCode.UNKNOWN_SERVER_ERROR)
  })
  test("a member that joins a second time takes its first question back", () => {
    const bench = new Bench()
    const [one = ""] = bench.settled({})
    bench.join()
    bench.join({ needsKnownId: true })
    const first = bench.join({ memberId: one })
    const second = bench.join({ memberId: one })
    deepStrictEqual([first.answer?.errorCode, second.answer], [ErrorCode.REBALANCE_IN_PROGRESS, undefined])
  })
  test("in a generation that stands a follower that says the same is told of it, a leader begins another", () => {
    const bench = new Bench()
    const [leader = "", follower = ""] = bench.settled({}, {})
    const { generation } = bench.group
    const again = bench.join({ memberId: follower })
    deepStrictEqual([again.answer?.generationId, again.answer?.members.length], [generation, 0])
    equal(bench.join({ memberId: leader }).answer, undefined)
    equal(bench.group.state, "PreparingRebalance")
  })
})

describe("static members", () => {
  test("one that comes back has a new id, the same generation and assignment; the old id is fenced", () => {
    const bench = new Bench()
    const [leader = "", other = ""] = bench.settled({ instanceId: "a" }, { instanceId: "b" })
    const { generation } = bench.group
    const back = bench.join({ instanceId: "b" })
    equal(back.answer, undefined)
    bench.kept()
    const id = back.answer?.memberId ?? ""
    deepStrictEqual(
      [back.answer?.generationId, back.answer?.leader, back.answer?.skipAssignment],
      [generation, leader, false]
    )
    ok(id !== other)
    equal(text(bench.sync(id, generation, { instanceId: "b" }).answer?.assignment), `for ${other}`)
    equal(bench.beat(other, generation, "b"), ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.sync(other, generation, { instanceId: "b" }).answer?.errorCode, ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.group.mayCommit(other, "b", generation, bench.now), ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.join({ memberId: other, instanceId: "b" }).answer?.errorCode, ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.group.generation, generation)
  })
  test("a leader that comes back leads, and may leave the assignment as it is, or is told that another leads", () => {
    for (const maySkipAssignment of [true, false]) {
      const bench = new Bench()
      const [leader = ""] = bench.settled({ instanceId: "a" }, { instanceId: "b" })
      const back = bench.join({ instanceId: "a", maySkipAssignment })
      bench.kept()
      const { answer } = back
      equal(bench.group.leader, answer?.memberId)
      deepStrictEqual(
        [answer?.skipAssignment, answer?.leader, answer?.members.length],
        maySkipAssignment ? [true, answer?.memberId, 2] : [false, leader, 0]
      )
    }
  })
  test("one that comes back in the middle of a rebalance takes its place there", () => {
    const bench = new Bench()
    const [, other = ""] = bench.settled({ instanceId: "a" }, { instanceId: "b" })
    const third = bench.join()
    const old = bench.join({ memberId: other, instanceId: "b" })
    const back = bench.join({ instanceId: "b" })
    equal(old.answer?.errorCode, ErrorCode.FENCED_INSTANCE_ID)
    bench.join({ instanceId: "a" })
    deepStrictEqual([back.answer?.errorCode, third.answer?.errorCode], [0, 0])
  })
  test("it stays while it is away, until its session ends; its instance id is enough to leave", () => {
    const bench = new Bench()
    bench.settled({ instanceId: "a" }, { instanceId: "b" })
    equal(bench.group.leave("", "nobody", bench.now), ErrorCode.UNKNOWN_MEMBER_ID)
    equal(bench.group.leave("wrong", "b", bench.now), ErrorCode.FENCED_INSTANCE_ID)
    equal(bench.group.leave("", "b", bench.now), ErrorCode.NONE)
    equal(bench.group.size, 1)
    bench.pass(SESSION_MS + REBALANCE_MS)
    deepStrictEqual([bench.group.size, bench.group.state], [0, "Empty"])
  })
})

describe("who may commit", () => {
  test("anybody into an empty group; nobody without membership into one that has members", () => {
    const bench = new Bench()
    equal(bench.group.mayCommit("", null, -1, 0), ErrorCode.NONE)
    equal(bench.group.mayCommit("x", null, 3, 0), ErrorCode.UNKNOWN_MEMBER_ID)
    const [one = ""] = bench.settled({})
    equal(bench.group.mayCommit("", null, -1, 0), ErrorCode.UNKNOWN_MEMBER_ID)
    equal(bench.group.mayCommit(one, null, -1, 0), ErrorCode.ILLEGAL_GENERATION)
    equal(bench.group.mayCommit(one, null, bench.group.generation, 0), ErrorCode.NONE)
  })
  test("a group that is deleted says that it is not there", () => {
    const bench = new Bench()
    bench.group.end()
    deepStrictEqual([bench.join().answer?.errorCode, bench.sync("x", 0).answer?.errorCode], [15, 15])
    deepStrictEqual(
      [bench.beat("x", 0), bench.group.leave("x", null, 0), bench.group.mayCommit("", null, -1, 0)],
      [15, 15, 15]
    )
  })
})

test("what was kept comes back: members go on with their ids, generation and assignment", () => {
  const before = new Bench()
  const [leader = "", other = ""] = before.settled({}, { instanceId: "i" })
  const after = new Bench({}, before.group.kept())
  const { generation } = before.group
  deepStrictEqual([after.group.state, after.group.generation, after.group.leader], ["Stable", generation, leader])
  equal(after.beat(leader), 0)
  equal(text(after.sync(other, generation, { instanceId: "i" }).answer?.assignment), `for ${other}`)
  after.pass(SESSION_MS)
  deepStrictEqual([after.group.state, after.group.size], ["Empty", 0])
})
