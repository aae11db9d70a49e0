import assert from "node:assert/strict"
import { test } from "node:test"
import { type JournalEntry, type JournalShape, TicketStream } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { Message } from "./Message.ts"
import { Retained } from "./Retained.ts"
import { RETAINED_LIMITS } from "./retained-limits.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A journal that applies and commits its entries one by one, when the test says so. */
class SteppedJournal implements JournalShape {
  readonly tickets = new TicketStream()
  readonly refusal = 0
  readonly nextIndex = 1
  readonly syncedIndex = 0
  readonly values = new Map<string, Uint8Array>()
  readonly #waiting: Array<JournalEntry> = []

  submit(entry: JournalEntry): number {
    this.#waiting.push(entry)
    return this.tickets.issue()
  }

  ticketsOf(): TicketStream {
    return this.tickets
  }
  submitOperation(): number {
    throw new Error("no operations here")
  }
  register(): void {}
  released(): void {}
  whenSynced(): Promise<void> {
    return Promise.resolve()
  }

  /** Loses the oldest entry. */
  lose(): void {
    if (this.#waiting.shift() === undefined) return
    const ticket = this.tickets.committed + 1
    this.tickets.fail(ticket, ticket, -3)
    this.tickets.commit(ticket)
  }

  /** Commits the oldest entry. */
  step(): void {
    const entry = this.#waiting.shift()
    if (entry === undefined) return
    for (const { key, value } of entry.writes) {
      if (value === undefined) this.values.delete(decoder.decode(key))
      else this.values.set(decoder.decode(key), value)
    }
    this.tickets.commit(this.tickets.committed + 1)
  }

  get left(): number {
    return this.#waiting.length
  }
}

function make(limits = RETAINED_LIMITS): { journal: SteppedJournal; store: KeyValueStoreShape; retained: Retained } {
  const journal = new SteppedJournal()
  const store: KeyValueStoreShape = {
    get: (key) => journal.values.get(decoder.decode(key)),
    range: () => [],
    rangeLater: (start) => {
      const from = decoder.decode(start)
      const rows = [...journal.values]
        .filter(([key]) => key >= from)
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
      return Promise.resolve(rows.map(([key, value]) => ({ key: encoder.encode(key), value })))
    },
    apply: () => {},
    get size() {
      return journal.values.size
    }
  }
  return { journal, store, retained: new Retained(journal, store, 5, limits) }
}

function messageOn(name: string, payload: string, expiresAtMs = 0): Message {
  const message = new Message()
  message.topic = encoder.encode(name)
  message.topicEnd = message.topic.length
  message.payload = encoder.encode(payload)
  message.payloadEnd = message.payload.length
  message.retain = true
  message.expiresAtMs = expiresAtMs
  message.begin()
  return message
}

function found(retained: Retained, filter: string, nowMs = 1): ReadonlyArray<string> {
  const all: Array<string> = []
  retained.match(0, filter, nowMs, (message) => {
    all.push(`${message.name}=${decoder.decode(message.payload.subarray(message.payloadStart, message.payloadEnd))}`)
  })
  return all.toSorted()
}

test("the newest value is found from the moment it was given, wherever the journal stands", () => {
  const { journal, retained } = make()
  for (let round = 0; round < 50; round++) {
    retained.setUnsafe(messageOn("a", String(round)))
    if (round % 3 === 0) retained.setUnsafe(messageOn("b", `b${round}`))
    assert.deepEqual(found(retained, "a"), [`a=${round}`])
    if (round % 2 === 0) journal.step()
    assert.deepEqual(found(retained, "a"), [`a=${round}`])
    assert.deepEqual(found(retained, "b"), [`b=b${round - (round % 3)}`])
  }
  while (journal.left > 0) {
    journal.step()
    assert.deepEqual(found(retained, "#"), ["a=49", "b=b48"])
  }
  assert.equal(journal.values.size, 2)
})

test("an empty payload clears at once, and a value set after it stays", () => {
  const { journal, retained } = make()
  retained.setUnsafe(messageOn("a", "one"))
  retained.setUnsafe(messageOn("a", ""))
  assert.deepEqual(found(retained, "#"), [])
  retained.setUnsafe(messageOn("a", "two"))
  while (journal.left > 0) {
    assert.deepEqual(found(retained, "#"), ["a=two"])
    journal.step()
  }
  assert.deepEqual(found(retained, "#"), ["a=two"])
  assert.equal(retained.count, 1)
})

test("a message as large as any packet is kept whole", () => {
  const { journal, retained } = make()
  for (const length of [1_048_400, 1_048_576, 3_000_000]) {
    retained.setUnsafe(messageOn("large", "x".repeat(length)))
    journal.step()
    assert.deepEqual(found(retained, "large"), [`large=${"x".repeat(length)}`])
  }
})

test("names that a shard does not own any more are found, read, and forgotten unless they were set again", () => {
  const { journal, retained } = make()
  for (const name of ["a", "a/b", "a/b/c", "stays"]) retained.setUnsafe(messageOn(name, `of ${name}`))
  while (journal.left > 0) journal.step()
  const isOwner = (name: string): boolean => name === "stays"
  assert.deepEqual(retained.misplaced(0, undefined, isOwner).toSorted(), ["a", "a/b", "a/b/c"])
  assert.deepEqual(retained.misplaced(0, "a/b", isOwner), ["a/b"])
  assert.deepEqual(retained.misplaced(0, "stays", isOwner), [])
  assert.deepEqual(retained.misplaced(0, "unknown", isOwner), [])
  assert.deepEqual(retained.misplaced(7, undefined, isOwner), [])
  const entries = ["a", "a/b"].map((name) => {
    const found = retained.find(0, name)
    assert.ok(found !== undefined)
    const { payload, payloadStart, payloadEnd } = found.message
    assert.equal(decoder.decode(payload.subarray(payloadStart, payloadEnd)), `of ${name}`)
    return found.entry
  })
  assert.equal(retained.find(0, "unknown"), undefined)
  retained.setUnsafe(messageOn("a/b", "newer"))
  for (const [index, name] of ["a", "a/b"].entries()) {
    const entry = entries[index]
    if (entry !== undefined) retained.forget(0, name, entry, () => {})
  }
  while (journal.left > 0) journal.step()
  assert.deepEqual(found(retained, "#").toSorted(), ["a/b/c=of a/b/c", "a/b=newer", "stays=of stays"])
  assert.equal(journal.values.size, 3)
})

test("a removal that the journal loses is none: the message is there again, in memory as on disk", () => {
  const { journal, retained } = make()
  retained.setUnsafe(messageOn("a", "one"))
  journal.step()
  const heard: Array<boolean> = []
  const forget = (): void => {
    const entry = retained.find(0, "a")?.entry
    assert.ok(entry !== undefined)
    retained.forget(0, "a", entry, (isGone) => heard.push(isGone))
    assert.deepEqual(found(retained, "a"), [])
  }
  forget()
  journal.lose()
  assert.deepEqual([heard, found(retained, "a"), journal.values.size], [[false], ["a=one"], 1])
  forget()
  journal.step()
  assert.deepEqual([heard, found(retained, "a"), journal.values.size], [[false, true], [], 0])
})

test("a name that begins with U+FEFF is the same name after a restart, cleared or not [MQTT-1.5.4-3]", async () => {
  const { journal, store, retained } = make()
  retained.notesCleared = true
  retained.setUnsafe(messageOn("\ufeffcleared", ""))
  retained.setUnsafe(messageOn("\ufeffkept", "one"))
  while (journal.left > 0) journal.step()
  const restarted = new Retained(journal, store, 1, RETAINED_LIMITS)
  await restarted.start()
  for (const each of [retained, restarted]) {
    assert.deepEqual([each.isCleared(0, "\ufeffcleared"), each.isCleared(0, "cleared")], [true, false])
    assert.deepEqual(found(each, "#"), ["\ufeffkept=one"])
  }
})

test("an entry that somebody was shown is the same one when the journal has committed it", () => {
  const { journal, retained } = make()
  retained.setUnsafe(messageOn("a", "one"))
  const before = retained.find(0, "a")?.entry
  journal.step()
  assert.ok(before !== undefined && retained.find(0, "a")?.entry === before)
  retained.forget(0, "a", before, () => {})
  assert.deepEqual(found(retained, "#"), [])
})

test("an expired message that a visitor replaces by one of the same size goes, the newer one stays", () => {
  const { journal, retained } = make()
  retained.setUnsafe(messageOn("a", "old", 5))
  retained.setUnsafe(messageOn("b", "any"))
  while (journal.left > 0) journal.step()
  retained.match(0, "#", 9, () => {
    retained.setUnsafe(messageOn("a", "new"))
    journal.step()
  })
  assert.deepEqual(found(retained, "a"), ["a=new"])
})

test("of changes of one name the last one decides, also where one before it is lost", () => {
  for (const last of ["", "newer"]) {
    const { journal, retained } = make()
    retained.setUnsafe(messageOn("a", "old"))
    journal.step()
    retained.setUnsafe(messageOn("a", ""))
    retained.setUnsafe(messageOn("a", last))
    const expected = last === "" ? [] : ["a=newer"]
    journal.lose()
    assert.deepEqual(found(retained, "a"), expected, "between the two")
    journal.step()
    assert.deepEqual(
      [found(retained, "a"), retained.count, journal.values.size],
      [expected, expected.length, expected.length]
    )
    if (last === "") assert.equal(retained.sizeBytes, 0)
    // What another shard has is not given way to a name without a message.
    const heard: Array<boolean> = []
    retained.setIfNewer(messageOn("a", "moved"), (isKept) => heard.push(isKept))
    journal.step()
    assert.deepEqual([heard, found(retained, "a")], [[true], last === "" ? ["a=moved"] : expected])
  }
  const { journal, retained } = make()
  retained.setUnsafe(messageOn("a", "old"))
  journal.step()
  for (const payload of ["", ""]) retained.setUnsafe(messageOn("a", payload))
  journal.lose()
  journal.lose()
  assert.deepEqual([found(retained, "a"), retained.count], [["a=old"], 1])
})

test("while names may move, one that is cleared is noted, with or without a message, across a restart, until it is forgotten", async () => {
  const { journal, store, retained } = make()
  retained.setUnsafe(messageOn("had", "one"))
  journal.step()
  retained.notesCleared = true
  retained.setUnsafe(messageOn("had", ""))
  retained.setUnsafe(messageOn("$never/had", ""))
  retained.setUnsafe(messageOn("again", ""))
  retained.setUnsafe(messageOn("again", "two"))
  while (journal.left > 0) journal.step()
  const restarted = new Retained(journal, store, 1, RETAINED_LIMITS)
  await restarted.start()
  for (const each of [retained, restarted]) {
    assert.deepEqual([each.count, found(each, "#"), found(each, "$never/#")], [1, ["again=two"], []])
    assert.deepEqual(
      each
        .clearings()
        .map(({ name }) => name)
        .toSorted(),
      ["$never/had", "had"]
    )
    assert.ok(each.isCleared(0, "had") && !each.isCleared(0, "again") && !each.isCleared(0, "unknown"))
    assert.deepEqual(
      each.misplaced(0, undefined, () => false),
      ["again"]
    )
    const heard: Array<boolean> = []
    each.setIfNewer(messageOn("had", "older"), (isKept) => heard.push(isKept))
    assert.deepEqual([heard, found(each, "had")], [[true], []])
  }
  for (const { tenant, name, entry } of restarted.clearings()) restarted.forget(tenant, name, entry, () => {})
  while (journal.left > 0) journal.step()
  assert.deepEqual([restarted.clearings(), restarted.count, journal.values.size], [[], 1, 1])
  restarted.setUnsafe(messageOn("again", ""))
  assert.equal(restarted.sizeBytes, 0, "it is not noted now")
})

test("what is added replaces nothing, and whoever adds hears when it is for good, or that it is not", () => {
  const { journal, retained } = make()
  const heard: Array<string> = []
  const add = (name: string, payload: string): void =>
    retained.setIfNewer(messageOn(name, payload), (isKept) => heard.push(`${name} ${isKept}`))
  add("new", "1")
  assert.deepEqual(heard, [])
  journal.step()
  assert.deepEqual(heard, ["new true"])
  add("new", "2")
  assert.deepEqual([heard, found(retained, "new")], [["new true", "new true"], ["new=1"]])
  retained.setUnsafe(messageOn("late", "own"))
  add("late", "other")
  assert.equal(heard.length, 2)
  journal.lose()
  assert.deepEqual([heard.at(-1), found(retained, "late")], ["late false", []])
  add("late", "other")
  journal.lose()
  assert.deepEqual([heard.at(-1), found(retained, "late")], ["late false", []])
  add("late", "other")
  retained.setUnsafe(messageOn("late", ""))
  while (journal.left > 0) journal.step()
  assert.deepEqual([heard.at(-1), found(retained, "late")], ["late true", []])
})

test("tenants do not see each other's messages", () => {
  const { journal, retained } = make()
  const theirs = messageOn("a", "theirs")
  theirs.tenant = 7
  retained.setUnsafe(theirs)
  retained.setUnsafe(messageOn("a", "ours"))
  journal.step()
  journal.step()
  assert.deepEqual(found(retained, "#"), ["a=ours"])
  assert.equal(journal.values.size, 2)
})

test("an expired message is not handed out, and is forgotten", () => {
  const { journal, retained } = make()
  const short = messageOn("a", "short", 1_000)
  const header = encoder.encode("mqtt.message-expiry")
  short.headers = Uint8Array.of(header.length * 2, ...header, 2, 0x31)
  short.headersEnd = short.headers.length
  short.headerCount = 1
  // The record keeps the interval, one second from when it was published.
  retained.setUnsafe(short)
  retained.setUnsafe(messageOn("b", "long"))
  journal.step()
  journal.step()
  assert.equal(found(retained, "+", 999).length, 2)
  assert.equal(found(retained, "+", 1_000).length, 1)
  assert.equal(retained.count, 1)
  journal.step()
  assert.equal(journal.values.size, 1)
})

test("a bound on messages and one on bytes: more is refused, clearing and what is no larger is not", () => {
  const { retained } = make({ messagesMax: 3, bytesMax: 2_000 })
  for (const name of ["a", "b"]) retained.setUnsafe(messageOn(name, "12345"))
  const bytes = retained.sizeBytes
  assert.ok(bytes > 2 * 250, "names, payloads and what a record costs")
  assert.equal(retained.refuses(messageOn("c", "x".repeat(2_000))), true)
  retained.setUnsafe(messageOn("c", "12345"))
  assert.equal(retained.refuses(messageOn("d", "1")), true)
  assert.equal(retained.refuses(messageOn("a", "54321")), false)
  assert.equal(retained.refuses(messageOn("a", "x".repeat(2_000))), true)
  assert.equal(retained.refuses(messageOn("d", "")), false)
  retained.setUnsafe(messageOn("a", ""))
  assert.equal(retained.refuses(messageOn("d", "1")), false)
  retained.setUnsafe(messageOn("b", ""))
  retained.setUnsafe(messageOn("c", ""))
  retained.setUnsafe(messageOn("c", ""))
  assert.equal(retained.sizeBytes, 0)
})

test("what the journal loses was never set nor cleared; what was changed again meanwhile stays", () => {
  const { journal, retained } = make()
  const seen = (): string => {
    const found: Array<string> = []
    retained.match(
      0,
      "#",
      0,
      (message) =>
        void found.push(
          `${message.name}=${decoder.decode(message.payload.subarray(message.payloadStart, message.payloadEnd))}`
        )
    )
    return found.sort().join(" ")
  }
  retained.setUnsafe(messageOn("kept", "1"))
  journal.step()
  retained.setUnsafe(messageOn("kept", "2"))
  retained.setUnsafe(messageOn("new", "1"))
  journal.lose()
  journal.lose()
  assert.equal(seen(), "kept=1")
  assert.equal(retained.count, 1)
  retained.setUnsafe(messageOn("kept", ""))
  assert.equal(seen(), "")
  journal.lose()
  assert.equal(seen(), "kept=1")
  const before = retained.sizeBytes
  retained.setUnsafe(messageOn("kept", ""))
  retained.setUnsafe(messageOn("kept", "3"))
  journal.lose()
  assert.equal(seen(), "kept=3")
  journal.step()
  assert.equal(seen(), "kept=3")
  assert.equal(retained.sizeBytes, before)
})
