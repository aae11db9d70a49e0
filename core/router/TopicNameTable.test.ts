import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { hashBytes, hashMultiplier } from "./seeded-hash.ts"
import { TopicNameTable } from "./TopicNameTable.ts"

interface Entry {
  readonly name: string
}
const encoder = new TextEncoder()

/** The calls of a table with names as text, each at another position of its buffer. */
class Named {
  readonly evicted: Array<Entry> = []
  readonly table: TopicNameTable<Entry>
  #shift = 0
  constructor(capacity: number, seed = 1, keyBytesMax?: number) {
    const onEvict = (entry: Entry): void => {
      this.evicted.push(entry)
    }
    const options = { capacity, seed, onEvict }
    this.table = new TopicNameTable<Entry>(keyBytesMax === undefined ? options : { ...options, keyBytesMax })
  }
  lookup(name: string): Entry | undefined {
    return this.table.lookup(...this.#bytes(name))
  }
  insert(name: string): Entry {
    const entry = { name }
    const [bytes, start, end] = this.#bytes(name)
    this.table.insert(bytes, start, end, entry)
    bytes.fill(0x2a)
    return entry
  }
  delete(name: string): boolean {
    return this.table.delete(...this.#bytes(name))
  }
  #bytes(name: string): [Uint8Array, number, number] {
    this.#shift = (this.#shift + 1) % 5
    const bytes = encoder.encode(`${"~".repeat(this.#shift)}${name}~~`)
    return [bytes, this.#shift, bytes.length - 2]
  }
}

const name = fc.oneof(
  fc.integer({ min: 0, max: 30 }).map((number) => `device/${number}`),
  fc.constantFrom("a", "b", "é", "a/b", "a/c", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh", "x".repeat(300))
)
const step = fc.record({ kind: fc.constantFrom("insert", "insert", "lookup", "delete", "clear"), name })

test("any changes: what is found is what was set last, what is lost was told, and the capacity holds", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 12 }),
      fc.array(step, { maxLength: 120, size: "max" }),
      (seed, max, steps) => {
        const named = new Named(max, seed)
        const model = new Map<string, Entry>()
        for (const { kind, name } of steps) {
          if (kind === "insert") model.set(name, named.insert(name))
          else if (kind === "delete") assert.strictEqual(named.delete(name), model.delete(name))
          else if (kind === "clear" && name === "a") {
            named.table.clear()
            model.clear()
          } else assert.strictEqual(named.lookup(name), model.get(name))
          for (const gone of named.evicted.splice(0)) {
            assert.strictEqual(model.get(gone.name), gone)
            model.delete(gone.name)
          }
          assert.strictEqual(named.table.size, model.size)
          assert.ok(named.table.size <= max)
        }
        for (const [each, entry] of model) assert.strictEqual(named.lookup(each), entry)
      }
    ),
    { numRuns: 500 }
  )
})

test("a name in use stays while names used once come and go", () => {
  const named = new Named(100)
  const hot = named.insert("hot")
  for (let each = 0; each < 5000; each++) {
    named.insert(`cold/${each}`)
    if (each % 50 === 0) assert.strictEqual(named.lookup("hot"), hot)
  }
  assert.strictEqual(named.table.size, 100)
  assert.strictEqual(named.evicted.length, 4901)
})

test("a name that is not used any more goes at last", () => {
  const named = new Named(10)
  named.insert("once")
  named.lookup("once")
  for (let each = 0; each < 30; each++) named.insert(`cold/${each}`)
  assert.strictEqual(named.lookup("once"), undefined)
})

test("all names in use: one makes room", () => {
  const named = new Named(10)
  for (let each = 0; each < 10; each++) named.insert(`${each}`)
  for (let each = 0; each < 10; each++) named.lookup(`${each}`)
  const entry = named.insert("new")
  assert.strictEqual(named.evicted.length, 1)
  assert.strictEqual(named.lookup("new"), entry)
})

test("20,000 names are all kept and found, and no other; half removed, the other half is there", () => {
  const named = new Named(20_000)
  const entries = Array.from({ length: 20_000 }, (_, each) => named.insert(`tenant/device/${each}/cmd`))
  assert.strictEqual(named.evicted.length, 0)
  for (const entry of entries) assert.strictEqual(named.lookup(entry.name), entry)
  for (let each = 0; each < 20_000; each++) assert.strictEqual(named.lookup(`tenant/device/${each}/cmx`), undefined)
  for (const [place, { name }] of entries.entries()) if (place % 2 === 0) assert.ok(named.delete(name))
  for (const [place, entry] of entries.entries()) {
    assert.strictEqual(named.lookup(entry.name), place % 2 === 0 ? undefined : entry)
  }
})

test("names of one hash are told apart", () => {
  const seen = new Map<number, string>()
  let pairs = 0
  for (let each = 0; pairs < 3; each++) {
    assert.ok(each < 1_000_000, "so many names hold three pairs of one hash")
    const text = each.toString(36).padStart(8, "-")
    const bytes = encoder.encode(text)
    const hash = hashBytes(bytes, 0, bytes.length, 5, hashMultiplier(5))
    const other = seen.get(hash)
    seen.set(hash, text)
    if (other === undefined) continue
    pairs += 1
    const named = new Named(10, 5)
    const entry = named.insert(text)
    assert.strictEqual(named.lookup(other), undefined)
    const second = named.insert(other)
    assert.strictEqual(named.lookup(text), entry)
    assert.strictEqual(named.lookup(other), second)
    assert.ok(named.delete(text))
    assert.strictEqual(named.lookup(other), second)
  }
})

test("the bytes of names are bounded, the longest name has room", () => {
  const named = new Named(1000, 1, 65_536)
  for (let each = 0; each < 50; each++) {
    const long = `${each}/`.padEnd(60_000, "x")
    const entry = named.insert(long)
    assert.strictEqual(named.lookup(long), entry)
    assert.strictEqual(named.lookup(`${each - 1}/`.padEnd(60_000, "x")), undefined)
  }
  assert.strictEqual(named.table.size, 1)
  for (let each = 0; each < 5000; each++) named.insert(`short/${each}`.padEnd(100, "y"))
  assert.ok(named.table.size <= 655 && named.table.size > 600, `${named.table.size} names`)
  assert.ok(named.table.sizeBytes < 500_000, `${named.table.sizeBytes} bytes`)
  assert.throws(() => named.insert("x".repeat(65_536)), /checked/)
})

test("names that come and go do not make the table grow", () => {
  const named = new Named(500)
  for (let each = 0; each < 3000; each++) named.insert(`a/${each}`)
  const { sizeBytes } = named.table
  for (let each = 0; each < 50_000; each++) named.insert(`b/${each}`)
  assert.ok(named.table.sizeBytes <= sizeBytes * 2)
})
