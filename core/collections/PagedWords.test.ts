import assert from "node:assert/strict"
import { test } from "node:test"
import { PAGE_WORDS, PagedWords } from "./PagedWords.ts"

test("words are what was set, whatever is reserved later, and 0 where nothing was", () => {
  const words = new PagedWords()
  const last = 3 * PAGE_WORDS + 5
  const places = [0, 1, 15, 16, PAGE_WORDS - 1, PAGE_WORDS, 2 * PAGE_WORDS, last]
  for (const place of places) {
    words.reserve(place + 1)
    assert.equal(words.get(place), 0)
    words.set(place, -place - 1)
  }
  for (const place of places) assert.equal(words.get(place), -place - 1)
  assert.equal(words.add(last, 10), 9 - last)
  assert.equal(words.get(last), 9 - last)
  words.clear(PAGE_WORDS, 8)
  assert.deepEqual([words.get(PAGE_WORDS), words.get(PAGE_WORDS - 1)], [0, -PAGE_WORDS])
  assert.ok(words.length > last && words.sizeBytes === words.length * 4)
  words.reset()
  words.reserve(last + 1)
  for (const place of places) assert.equal(words.get(place), 0)
})
