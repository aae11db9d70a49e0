/** Seeds of the simulated world keep every promise; faults that are planted into the product are noticed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ClassicGroup } from "../ClassicGroup.ts"
import { Generations } from "../Generations.ts"
import { GroupOffsets } from "../GroupOffsets.ts"
import { OwnedGroup } from "../OwnedGroup.ts"
import { type Member, Roster } from "../Roster.ts"
import { Tally, Violation, World } from "./testing.ts"

/** More of them by MANIFOLD_GROUP_SEEDS. */
const SEEDS = Number(process.env.MANIFOLD_GROUP_SEEDS ?? 25)
const FAULTS_MS = 240_000

/** What the first of these seeds to fail says; undefined where none does. */
async function hunt(seeds: number, tally = new Tally()): Promise<string | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      const found = await new World(seed).run(FAULTS_MS)
      for (const name of Object.keys(tally) as Array<keyof Tally>) tally[name] += found[name]
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      return `seed ${seed}: ${error.message}`
    }
  }
  return undefined
}

test(`${SEEDS} seeds keep every promise`, { timeout: 120_000 + SEEDS * 1_000 }, async () => {
  const tally = new Tally()
  assert.equal(await hunt(SEEDS, tally), undefined)
  // What is not seen is not checked.
  for (const [name, sum] of Object.entries(tally)) assert.ok(sum > SEEDS / 4, `only ${sum} ${name}`)
})

/** Puts `by` in the place of a method; the result puts it back. */
function replaced<Class extends object, Name extends keyof Class>(
  prototype: Class,
  name: Name,
  by: Class[Name]
): () => void {
  const before = prototype[name]
  prototype[name] = by
  return () => {
    prototype[name] = before
  }
}

const { byInstance } = Roster.prototype
const { remove } = Generations.prototype
const { commit, store } = OwnedGroup.prototype

function storeTooEarly(this: OwnedGroup, ticket: number): void {
  store.call(this, ticket)
  this.machine.stored(ticket, true, 0)
}
function acknowledgeTooEarly(this: OwnedGroup, ...[offsets, done]: Parameters<OwnedGroup["commit"]>): void {
  commit.call(this, offsets, () => {})
  for (const each of offsets) this.offsets.set(each, each.committed)
  done(0)
}
function removeSilently(this: Generations, ...[member, nowMs]: Parameters<Generations["remove"]>): void {
  member.join = undefined
  member.sync = undefined
  remove.call(this, member, nowMs)
}
function forgetInstance(this: Roster, instance: string): Member | undefined {
  return this.size % 2 === 0 ? byInstance.call(this, instance) : undefined
}

const FAULTS: ReadonlyArray<readonly [what: string, says: RegExp, plant: () => () => void]> = [
  [
    "commits of anybody are taken",
    /a commit of .* was taken/,
    () => replaced(ClassicGroup.prototype, "mayCommit", () => 0)
  ],
  [
    "an assignment is given out before it is kept",
    /was told|has the owners/,
    () => replaced(OwnedGroup.prototype, "store", storeTooEarly)
  ],
  [
    "a commit is acknowledged before it is kept",
    /would be right/,
    () => replaced(OwnedGroup.prototype, "commit", acknowledgeTooEarly)
  ],
  ["offsets are kept and not seen", /would be right/, () => replaced(GroupOffsets.prototype, "set", () => {})],
  ["sessions never end", /has no answer|in the end|ends as/, () => replaced(Generations.prototype, "tick", () => {})],
  ["nobody is heard", /in the end|ends as|generation/, () => replaced(Generations.prototype, "listen", () => {})],
  ["who is removed is not answered", /has no answer/, () => replaced(Generations.prototype, "remove", removeSilently)],
  [
    "an instance is forgotten now and then",
    /was served|was taken|has the owners|in the end|ends as/,
    () => replaced(Roster.prototype, "byInstance", forgetInstance)
  ]
]
for (const [what, says, plantIt] of FAULTS) {
  test(`planted: ${what}`, { timeout: 60_000 }, async () => {
    const restore = plantIt()
    try {
      assert.match((await hunt(SEEDS)) ?? "nothing was noticed", says)
    } finally {
      restore()
    }
  })
}
