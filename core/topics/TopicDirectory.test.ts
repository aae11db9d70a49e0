import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import { topicFilter, topicName } from "../router/topic-arbitraries.ts"
import { matches } from "../router/topic-filter.ts"
import { topicOfName } from "./default-binding.ts"
import { compareRank, filtersOverlap } from "./filter-relations.ts"
import { TopicDirectory } from "./TopicDirectory.ts"
import type { TopicInfo } from "./TopicInfo.ts"

function topic(name: string, filter?: string, facts: Partial<TopicInfo> = {}): TopicInfo {
  const bound = filter === undefined ? {} : { filter }
  const plain = { tenant: 0, name, id: `id of ${name}`, partitions: 1, engine: "memory", mode: "memory" } as const
  return { ...plain, origin: "manifest", ...bound, ...facts }
}

/** As {@link topic}, with an id as the meta store gives it. */
function agreed(name: string, facts: Partial<TopicInfo> = {}): TopicInfo {
  return topic(name, undefined, { id: randomUUID(), ...facts })
}

function directoryOf(...topics: ReadonlyArray<TopicInfo>): TopicDirectory {
  const directory = new TopicDirectory()
  for (const each of topics) assert.equal(directory.add(each), true)
  return directory
}

const homeOf = (directory: TopicDirectory, name: string): string | undefined => directory.homeOf(0, name)?.name

test("the default binding is the home of plain names, and of no others", () => {
  const directory = directoryOf(topic("sensors.room1"), topic("plain"))
  assert.equal(homeOf(directory, "sensors/room1"), "sensors.room1")
  assert.equal(homeOf(directory, "plain"), "plain")
  for (const name of ["sensors.room1", "sensors/room1/", "sensors/room2", "Sensors/room1", "/plain"]) {
    assert.equal(homeOf(directory, name), undefined, name)
  }
})

test("exact name before the longest literal prefix before fewest wildcards before the default binding", () => {
  const directory = directoryOf(
    topic("all", "#"),
    topic("a-any", "a/#"),
    topic("a-two", "a/+/+"),
    topic("a-b-any", "a/b/#"),
    topic("exact", "a/b/c"),
    topic("a.x.y"),
    topic("a")
  )
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["a/b/c", "exact"],
    ["a/b/d", "a-b-any"],
    ["a/b", "a-b-any"],
    ["a/x", "a-any"],
    ["a/x/y", "a-any"],
    ["other/name", "all"],
    ["a", "a-any"]
  ]
  for (const [name, home] of rows) assert.equal(homeOf(directory, name), home, name)
})

test("a topic with a filter of its own is not the default home of its name", () => {
  const directory = directoryOf(topic("telemetry", "devices/+/telemetry"))
  assert.equal(homeOf(directory, "telemetry"), undefined)
  assert.equal(homeOf(directory, "devices/7/telemetry"), "telemetry")
})

test("the name that unkeyed records go out on", () => {
  const directory = new TopicDirectory()
  assert.equal(directory.ownName(topic("sensors.room1")), "sensors/room1")
  assert.equal(directory.ownName(topic("with..dots")), undefined)
  assert.equal(directory.ownName(topic("t", "devices/seven")), "devices/seven")
  assert.equal(directory.ownName(topic("t", "devices/+")), undefined)
  assert.equal(directory.ownName(topic("t", "devices/#")), undefined)
})

test("filters that overlap with equal rank are in conflict, others are not", () => {
  const directory = directoryOf(topic("one", "a/+/c"), topic("plain"))
  assert.equal(directory.conflicting(0, "a/b/+")?.name, undefined)
  assert.equal(directory.conflicting(0, "a/+/c")?.name, "one")
  assert.equal(directory.conflicting(0, "a/+/d"), undefined)
  assert.equal(directory.conflicting(0, "a/#")?.name, "one")
  assert.equal(directory.conflicting(0, "a/+/+"), undefined)
  assert.equal(directory.conflicting(1, "a/+/c"), undefined)
})

test("adding twice under one id changes nothing; under another id it replaces, filter and all", () => {
  const directory = directoryOf(topic("t", "old/+"))
  assert.equal(directory.add(topic("t", "other/+")), false)
  assert.equal(homeOf(directory, "other/x"), undefined)
  assert.equal(directory.add(topic("t", "new/+", { id: "second" })), true)
  assert.equal(directory.size, 1)
  assert.equal(homeOf(directory, "old/x"), undefined)
  assert.equal(homeOf(directory, "new/x"), "t")
  assert.equal(directory.findById("id of t"), undefined)
  assert.equal(directory.find(0, "t")?.id, "second")
})

test("topics are listed in the order of names, in pages, whole or those that hold a part", () => {
  const names = Array.from(
    { length: 1_500 },
    (_, index) => `t.${(index * 7) % 1_500}.${index % 2 === 0 ? "even" : "odd"}`
  )
  const directory = directoryOf(...names.map((name) => agreed(name)))
  const sorted = names.toSorted()
  const listed = (part: string): ReadonlyArray<string> => {
    const found: Array<string> = []
    for (let cursor = ""; ; ) {
      const page = directory.page(0, cursor, part, 100)
      found.push(...page.map(({ name }) => name))
      if (page.length < 100) return found
      cursor = page.at(-1)?.name ?? ""
    }
  }
  assert.deepEqual(listed(""), sorted)
  assert.deepEqual(
    listed("even"),
    sorted.filter((name) => name.includes("even"))
  )
  assert.deepEqual(
    directory.list(0).map(({ name }) => name),
    sorted
  )
  for (const name of names) {
    const found = directory.find(0, name)
    assert.deepEqual(directory.findById(found?.id ?? ""), found)
    if (name.includes("odd")) assert.deepEqual(directory.remove(found?.id ?? ""), found)
  }
  assert.deepEqual(listed(""), listed("even"))
  assert.equal([...{ [Symbol.iterator]: () => directory.all() }].length, 750)
})

test("removal takes name, id and binding away; what is not there is undefined", () => {
  const directory = directoryOf(topic("t", "x/+"), topic("u"))
  assert.equal(directory.remove("id of t")?.name, "t")
  assert.equal(directory.remove("id of t"), undefined)
  assert.equal(homeOf(directory, "x/y"), undefined)
  assert.deepEqual(
    directory.list(0).map(({ name }) => name),
    ["u"]
  )
})

test("tenants are apart", () => {
  const directory = directoryOf(topic("t"), topic("t", undefined, { tenant: 1, id: "theirs" }))
  assert.equal(directory.homeOf(1, "t")?.id, "theirs")
  assert.equal(directory.homeOf(0, "t")?.id, "id of t")
  assert.equal(directory.homeOf(2, "t"), undefined)
  assert.deepEqual(directory.list(2), [])
  directory.remove("theirs")
  assert.equal(directory.homeOf(0, "t")?.id, "id of t")
})

test("any bindings without conflicts: the home is the best of all that match, found one by one", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(topicFilter, { maxLength: 8 }),
      fc.array(topicName, { maxLength: 12 }),
      fc.nat(7),
      (filters, names, gone) => {
        const directory = new TopicDirectory()
        const kept: Array<TopicInfo> = []
        for (const [index, filter] of filters.entries()) {
          const rival = kept.find((other) => {
            const theirs = other.filter ?? ""
            return compareRank(theirs, filter) === 0 && filtersOverlap(theirs, filter)
          })
          assert.equal(directory.conflicting(0, filter)?.id, rival?.id)
          if (rival !== undefined) continue
          const made = topic(`t${index}`, filter)
          directory.add(made)
          kept.push(made)
        }
        const leaving = kept.splice(gone, 1)[0]
        if (leaving !== undefined) directory.remove(leaving.id)
        for (const name of names) {
          const matching = kept.filter(({ filter = "" }) => matches(filter, name))
          const [best] = matching.toSorted((left, right) => compareRank(left.filter ?? "", right.filter ?? ""))
          const plain = topicOfName(name)
          const byDefault = kept.find((each) => each.name === plain && each.filter === undefined)
          assert.equal(directory.homeOf(0, name)?.id, (best ?? byDefault)?.id, name)
        }
      }
    ),
    { numRuns: 400 }
  )
})

test("the homes of what a filter matches are those of all its names, page by page", () => {
  const directory = directoryOf(
    agreed("sensors.room1"),
    topic("sensors.room2"),
    agreed("sensorsx"),
    agreed("sensors.room1.temp"),
    agreed("__internal"),
    topic("wide", "d/+/t"),
    topic("exact", "d/1/t"),
    topic("system", "$SYS/x")
  )
  const all = (filter: string, namesMax = 2): ReadonlyArray<TopicInfo> => {
    const found: Array<TopicInfo> = []
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page = directory.homesPage(0, filter, cursor, namesMax)
      assert.ok(page.homes.length <= namesMax + 3, "a page is no larger than was asked for, and what has a filter")
      found.push(...page.homes)
      cursor = page.next
    }
    return found
  }
  const homes = (filter: string): ReadonlyArray<string> =>
    all(filter)
      .map(({ name }) => name)
      .toSorted()
  assert.deepEqual(homes("sensors/+"), ["sensors.room1", "sensors.room2"])
  assert.deepEqual(homes("sensors/#"), ["sensors.room1", "sensors.room1.temp", "sensors.room2"])
  assert.deepEqual(homes("sensors/room1"), ["sensors.room1"])
  assert.deepEqual(homes("d/1/t"), ["exact"])
  assert.deepEqual(homes("d/+/#"), ["exact", "wide"])
  assert.deepEqual(homes("+/room1/#"), ["sensors.room1", "sensors.room1.temp", "wide"])
  assert.deepEqual(homes("a b/#"), [])
  assert.deepEqual(homes("nothing/#"), [])
  assert.deepEqual([homes("#").length, all("#", 1_000).length], [6, 6])
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      const home = directory.homeOf(0, name)
      if (home === undefined || !matches(filter, name)) return
      const ids = all(filter).map(({ id }) => id)
      assert.ok(ids.includes(home.id), `${filter} ${name}`)
    })
  )
})

test("who watches a filter is told of the topics that may be homes of what it matches, when they come to be", () => {
  const directory = directoryOf(topic("sensors.before"))
  const told: Array<string> = []
  const stops = ["sensors/#", "sensors/room1", "other/+"].map((filter) =>
    directory.watchHomes(0, filter, ({ name }) => told.push(`${filter} ${name}`))
  )
  directory.add(topic("sensors.room1"))
  directory.add(topic("all", "sensors/+"))
  // A filter that is less exact is no home of a name that has one.
  directory.add(topic("wide", "#"))
  directory.add(topic("elsewhere", "sensors/#", { tenant: 1 }))
  assert.deepEqual(told, [
    "sensors/# sensors.room1",
    "sensors/room1 sensors.room1",
    "sensors/# all",
    "sensors/room1 all",
    "sensors/# wide",
    "other/+ wide"
  ])
  for (const stop of stops) stop()
  directory.add(topic("sensors.after"))
  assert.equal(told.length, 6)
})

test("who watches the homes of a filter hears of a topic again when it has more partitions, and of no other change", () => {
  const directory = directoryOf(topic("sensors.room1"), topic("bound", "a/+"))
  const told: Array<string> = []
  directory.watchHomes(0, "#", ({ name, partitions }) => told.push(`${name} ${partitions}`))
  directory.replace(topic("sensors.room1", undefined, { configs: { "segment.ms": "5" } }))
  directory.replace(topic("bound", "a/+", { mode: "persistent" }))
  assert.deepEqual(told, [])
  directory.replace(topic("sensors.room1", undefined, { partitions: 3 }))
  directory.replace(topic("bound", "a/+", { partitions: 2 }))
  assert.deepEqual(told, ["sensors.room1 3", "bound 2"])
  assert.equal(directory.findById("id of bound")?.partitions, 2)
})

test("a topic that is bound otherwise: names have another home at once, who watches is told, and what it was is remembered", () => {
  const directory = directoryOf(topic("one", "a/+"), topic("two"))
  const told: Array<string> = []
  directory.watchHomes(0, "b/#", ({ name }) => void told.push(name))
  const { removals } = directory
  directory.rebind(topic("one", "b/+", { boundFrom: [7], formerly: [{ filter: "a/+", from: [] }] }))
  assert.deepEqual([homeOf(directory, "a/1"), homeOf(directory, "b/1"), told], [undefined, "one", ["one"]])
  assert.ok(directory.removals > removals, "names that others had may be another's now")
  assert.deepEqual(
    [directory.formerHomes(0, "a/1"), directory.formerHomes(0, "b/1"), directory.formerHomes(1, "a/1")].map((homes) =>
      homes.map(({ name }) => name)
    ),
    [["one"], [], []]
  )
  directory.remove("id of one")
  assert.deepEqual(directory.formerHomes(0, "#"), [])
})
