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

test("a page that was cut short is followed by the next one, from where it ended", async () => {
  const cache = new PageCache<number>(10, 1_000)
  const { load, starts } = loaderOf(3)
  assert.deepEqual(await cache.at("", 17, 1_000, load), { items: [16], next: 19, bytes: 100 })
  assert.deepEqual(starts, [10, 13, 16])
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
