/** The cost of finding a hot topic name by its bytes. `bun core/router/TopicNameTable.bench.ts`. */
import { TopicNameTable } from "./TopicNameTable.ts"

const LOOKUPS = 4_000_000
const encoder = new TextEncoder()

for (const [count, length] of [
  [100, 20],
  [10_000, 20],
  [65_536, 20],
  [10_000, 60]
] as const) {
  const table = new TopicNameTable<{ readonly id: number }>({ capacity: 65_536, seed: 99 })
  const name = (id: number): Uint8Array => encoder.encode(`tenant/dev/${String(id).padStart(length - 11, "0")}`)
  // All names lie in one buffer, as they do in what a socket hands over.
  const buffer = new Uint8Array(count * length)
  for (let id = 0; id < count; id++) {
    buffer.set(name(id), id * length)
    table.insert(buffer, id * length, (id + 1) * length, { id })
  }
  // No divisor of the count: every name comes up, in an order that no cache foresees where they are many.
  const step = count < 1000 ? 7 : 7919
  let check = 0
  const round = (): number => {
    const start = performance.now()
    let id = 0
    for (let each = 0; each < LOOKUPS; each++) {
      id += step
      if (id >= count) id -= count
      check += table.lookup(buffer, id * length, (id + 1) * length)?.id ?? 0
    }
    return ((performance.now() - start) * 1e6) / LOOKUPS
  }
  round()
  const best = Math.min(round(), round(), round())
  console.log(
    `${count} names of ${length} bytes: ${best.toFixed(1)} ns a lookup, ` +
      `${(table.sizeBytes / table.size).toFixed(0)} bytes a name (check ${check})`
  )
}
