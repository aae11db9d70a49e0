import assert from "node:assert/strict"
import { test } from "node:test"
import { type Page, PageCache, type PageLoader } from "./PageCache.ts"

/** Pages of at most `span` offsets and 100 bytes each; notes where it was asked to begin. */
function loaderOf(span: number): { readonly load: PageLoader<number>; readonly starts: Array<number> } {
  const starts: Array<number> = []
  const load = async (start: number, end: number): Promise<Page<number>> => {
    starts.push(start)
    await Promise.resolve()
    return { items: [start], next: Math.min(start + span, end), bytes: 100 }
  }
  return { load, starts }
}

test("readers at different positions of one page share it, also while it is on its way", async () => {
  const cache = new PageCache<number>(10, 1_000)
  const { load, starts } = loaderOf(10)
  const pages = await Promise.all([12, 15, 19].map((position) => cache.at("", position, 1_000, load)))
  assert.deepEqual(new Set(pages).size, 1)
  assert.deepEqual((await cache.at("", 10, 1_000, load)).items, [10])
  assert.deepEqual(starts, [10])
  await cache.at("other", 12, 1_000, load)
  assert.deepEqual(starts, [10, 10])
})

test("where the first page of a block ends before the position, the next one begins at the position", async () => {
  const cache = new PageCache<number>(10, 1_000)
  const { load, starts } = loaderOf(3)
  assert.deepEqual(await cache.at("", 17, 1_000, load), { items: [17], next: 20, bytes: 100 })
  assert.deepEqual(starts, [10, 17])
  // What is there is found, wherever it begins.
  for (const [position, start] of [
    [19, 17],
    [18, 17],
    [12, 10]
  ] as const) {
    assert.deepEqual((await cache.at("", position, 1_000, load)).items, [start])
  }
  assert.deepEqual((await cache.at("", 13, 1_000, load)).items, [13])
  assert.deepEqual(starts, [10, 17, 13])
})

test("rows so large that a few fill the cache are read once each by who goes through them, and by who follows", async () => {
  const cache = new PageCache<number>(64, 300)
  const { load, starts } = loaderOf(1)
  for (let position = 0; position < 64; position++) {
    for (const each of [position, Math.max(0, position - 1)]) {
      assert.deepEqual((await cache.at("", each, 1_000, load)).items, [each])
    }
  }
  assert.deepEqual(
    starts,
    Array.from({ length: 64 }, (_, start) => start)
  )
  // Whoever comes to where nothing is kept any more: the page of the block, and its own.
  assert.deepEqual((await cache.at("", 30, 1_000, load)).items, [30])
  assert.deepEqual(starts.slice(64), [0, 30])
})

test("readers that wait for one page and find themselves behind it share what they read then", async () => {
  const cache = new PageCache<number>(10, 1_000)
  const { load, starts } = loaderOf(2)
  const pages = await Promise.all([1, 5, 5, 6, 8].map((position) => cache.at("", position, 1_000, load)))
  assert.deepEqual(
    pages.map(({ items }) => items[0]),
    [0, 5, 5, 6, 8]
  )
  assert.deepEqual(starts, [0, 5, 6, 8])
  assert.equal(cache.bytes, 400)
})

test("what is kept stays below the bound: what was used longest ago goes first", async () => {
  const cache = new PageCache<number>(10, 300)
  const { load, starts } = loaderOf(10)
  for (const position of [0, 10, 20, 0, 30]) await cache.at("", position, 1_000, load)
  assert.equal(cache.bytes, 300)
  for (const position of [0, 20, 30]) await cache.at("", position, 1_000, load)
  assert.deepEqual(starts, [0, 10, 20, 30])
  await cache.at("", 10, 1_000, load)
  assert.equal(starts.length, 5)
})

test("a page larger than the bound is kept alone; a failure is not kept", async () => {
  const cache = new PageCache<number>(10, 50)
  const { load, starts } = loaderOf(10)
  await cache.at("", 0, 1_000, load)
  await cache.at("", 0, 1_000, load)
  assert.deepEqual(starts, [0])
  const failing = (): Promise<Page<number>> => Promise.reject(new Error("no disk"))
  await assert.rejects(cache.at("", 10, 1_000, failing), /no disk/)
  assert.deepEqual((await cache.at("", 10, 1_000, load)).items, [10])
  assert.equal(cache.bytes, 100)
})
