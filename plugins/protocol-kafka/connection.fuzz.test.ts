/** A short run of the fuzz target, so that it does not rot. */
import { ok } from "node:assert"
import { test } from "node:test"
import { fuzzConnections } from "./connection.fuzz.ts"

test("damaged streams end their connection or not, and leave nothing behind", async () => {
  const endings = await fuzzConnections(1, 150)
  ok((endings.get("") ?? 0) > 10 && endings.size > 3, JSON.stringify([...endings]))
})
