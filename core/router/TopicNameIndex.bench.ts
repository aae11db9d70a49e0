/** The cost of a million stored names and of walking them. `bun core/router/TopicNameIndex.bench.ts [NAMES]`. */
import { type NamedValue, TopicNameIndex } from "./TopicNameIndex.ts"

const names = Number(process.argv[2] ?? 1_000_000)
const index = new TopicNameIndex<number>(7)

function nanosEach(count: number, work: () => void): string {
  const start = performance.now()
  work()
  return `${(((performance.now() - start) * 1e6) / count).toFixed(0)} ns`
}

const set = nanosEach(names, () => {
  for (let each = 0; each < names; each++) index.set(`tenant/device/${each}/cmd`, each)
})
console.log(`${names} names: ${(index.sizeBytes / names).toFixed(0)} bytes and the value's place each, set ${set}`)
const literals: Array<NamedValue<number>> = []
let found = 0
const literal = nanosEach(names, () => {
  for (let each = 0; each < names; each++) {
    found += index.cursor(`tenant/device/${each}/cmd`).next(1, literals)
    literals.pop()
  }
})
console.log(`filter without wildcard: ${literal} each (${found} found)`)
for (const filter of ["tenant/device/+/cmd", "tenant/#", "tenant/+/+/none"]) {
  const cursor = index.cursor(filter)
  const out: Array<NamedValue<number>> = []
  let paces = 0
  let matched = 0
  let longest = 0
  const time = nanosEach(names, () => {
    while (!cursor.isDone) {
      const start = performance.now()
      matched += cursor.next(1000, out)
      out.length = 0
      paces += 1
      longest = Math.max(longest, performance.now() - start)
    }
  })
  console.log(`${filter}: ${matched} in ${paces} paces, ${time} a stored name, longest pace ${longest.toFixed(1)} ms`)
}
