/** The list of bridges, page by page. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { Bridge } from "./Bridge.ts"
import { bridgeResource } from "./bridge-resource.ts"
import { Counts } from "./Counts.ts"

test("bridges are listed by their names, page by page, and those alone that are asked for", async () => {
  const bridges = ["mid", "last", "first", "midway"].map((name) => ({
    settings: { name, remote: "far.example:1883", protocol: "5.0" },
    counts: new Counts(),
    state: "waiting",
    sinceMs: 0,
    lastError: "",
    lastErrorAtMs: 0,
    warning: "",
    clientIdentifier: `manifold-bridge-${name}`,
    look: () => Effect.succeed(undefined)
  }))
  const { list } = bridgeResource(bridges as unknown as ReadonlyArray<Bridge>)
  const page = async (limit: number, cursor = "", filter = ""): Promise<unknown> => {
    assert.ok(list !== undefined)
    const { items, cursor: next } = await Effect.runPromise(list({ limit, cursor, filter }))
    return [items.map((item) => (item as { name: string }).name), next]
  }
  assert.deepEqual(await page(10), [["first", "last", "mid", "midway"], undefined])
  assert.deepEqual(await page(2), [["first", "last"], "last"])
  assert.deepEqual(await page(2, "last"), [["mid", "midway"], undefined])
  assert.deepEqual(await page(1, "", "mid"), [["mid"], "mid"])
})
