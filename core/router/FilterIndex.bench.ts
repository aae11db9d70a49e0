/**
 * The cost of the index with a million filters: bytes a filter, time of a change and of a match, the longest change (collections of the
 * runtime are among them), the pause of a full collection.
 * `bun core/router/FilterIndex.bench.ts [FILTERS]`.
 */
import { FilterIndex } from "./FilterIndex.ts"

const filters = Number(process.argv[2] ?? 1_000_000)
const MATCHES = 1_000_000
const value = { id: 1 }

function nanosEach(count: number, work: () => void): string {
  const start = performance.now()
  work()
  return `${(((performance.now() - start) * 1e6) / count).toFixed(0)} ns`
}

/** Names in an order that no cache foresees, made beforehand. */
function namesOf(tenant: string): ReadonlyArray<string> {
  let state = 1
  return Array.from({ length: MATCHES }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return `${tenant}/device/${state % filters}/cmd`
  })
}

/** Matches every name twice, once to warm up; the second time counts. */
function matchAll(index: FilterIndex<object>, tenant: string): string {
  const names = namesOf(tenant)
  const out: Array<object> = []
  let matched = 0
  const round = (): void => {
    for (const name of names) {
      out.length = 0
      matched += index.matchInto(name, out)
    }
  }
  round()
  return `${nanosEach(MATCHES, round)} (${matched / MATCHES / 2} values)`
}

for (const [kind, filterOf] of [
  ["exact  tenant/device/N/cmd", (index: number) => `tenant/device/${index}/cmd`],
  ["tree   tenant/device/N/+", (index: number) => `tenant/device/${index}/+`],
  ["tree   tenant/device/N/#", (index: number) => `tenant/device/${index}/#`],
  ["tree   tenant/+/N/cmd", (index: number) => `tenant/+/${index}/cmd`]
] as const) {
  const index = new FilterIndex<object>(12_345)
  let longest = 0
  const add = nanosEach(filters, () => {
    for (let each = 0; each < filters; each++) {
      const filter = filterOf(each)
      const start = performance.now()
      index.add(filter, value)
      longest = Math.max(longest, performance.now() - start)
    }
  })
  const hit = matchAll(index, "tenant")
  const miss = matchAll(index, "nobody")
  // The names of the matches go first, so that the collection walks the index and little else.
  Bun.gc(true)
  const start = performance.now()
  Bun.gc(true)
  const pause = performance.now() - start
  const bytes = (index.sizeBytes / filters).toFixed(0)
  const remove = nanosEach(filters, () => {
    for (let each = 0; each < filters; each++) index.remove(filterOf(each), value)
  })
  console.log(
    `${kind.padEnd(28)} ${bytes} bytes a filter, add ${add} (${longest.toFixed(1)} ms at most), match ${hit}, ` +
      `no match ${miss}, remove ${remove}, full collection ${pause.toFixed(1)} ms`
  )
}
