/** Handlers that have to wait for something: what they find is the answer, what they throw is a failure of theirs. */
import type { Exchange } from "../Exchange.ts"
import type { Api, ResponseOf } from "../wire/schema.ts"

/** Things of one request that are under way at once. */
const CONCURRENCY = 64

/** Completes the exchange with what comes. */
export function answerWith<A extends Api>(exchange: Exchange<A>, answer: Promise<ResponseOf<A>>): void {
  answer.then(
    (response) => exchange.complete(response),
    (error) => exchange.fail(error)
  )
}

/** What `work` makes of each item, in their order; some at a time. */
export async function mapInOrder<Item, Result>(
  items: ReadonlyArray<Item>,
  work: (item: Item, index: number) => Promise<Result>
): Promise<Array<Result>> {
  const results = new Array<Result>(items.length)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index] as Item, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker))
  return results
}

/** Those that stand more than once. */
export function repeatedOf<Item>(items: Iterable<Item>): ReadonlySet<Item> {
  const seen = new Set<Item>()
  const twice = new Set<Item>()
  for (const item of items) {
    if (seen.has(item)) twice.add(item)
    seen.add(item)
  }
  return twice
}
