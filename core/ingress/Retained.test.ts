import assert from "node:assert/strict"
import { test } from "node:test"
import { type JournalEntry, type JournalShape, TicketStream } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { Message } from "./Message.ts"
import { Retained } from "./Retained.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A journal that applies and commits its entries one by one, when the test says so. */
class SteppedJournal implements JournalShape {
  readonly tickets = new TicketStream()
  readonly values = new Map<string, Uint8Array>()
  readonly #waiting: Array<JournalEntry> = []

  submit(entry: JournalEntry): number {
    this.#waiting.push(entry)
    return this.tickets.issue()
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

function make(): { journal: SteppedJournal; retained: Retained } {
  const journal = new SteppedJournal()
  const store: KeyValueStoreShape = {
    get: (key) => journal.values.get(decoder.decode(key)),
    range: () => [],
    apply: () => {},
    get size() {
      return journal.values.size
    }
  }
  return { journal, retained: new Retained(journal, store, 5) }
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
