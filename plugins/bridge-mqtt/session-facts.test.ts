/** What this broker says of a session: there is one, there is none, or it cannot tell, which is not the same. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { InvariantViolation, type Resource, ResourceError } from "../../core/mod.ts"
import { sessionFacts } from "./session-facts.ts"

const item = {
  client_id: "c",
  connected: false,
  inflight: 2,
  queued_messages: 3,
  queued_bytes: 400,
  queued_since: "2027-01-31T12:00:00.000Z",
  received: 1
}
const ask = (get: Resource["get"]): Promise<unknown> => {
  const session = { name: "session", get } as Resource
  return Effect.runPromise(
    sessionFacts(() => [session], "c").pipe(Effect.catch(({ message }) => Effect.succeed(message)))
  )
}
const error = (reason: "not-found" | "unavailable") => new ResourceError({ reason, code: "x", message: "words" })

test("a session, none, and nobody knows", async () => {
  assert.deepEqual(await ask(() => Effect.succeed(item)), {
    inflight: 2,
    messages: 3,
    bytes: 400,
    since: "2027-01-31T12:00:00.000Z",
    received: 1
  })
  assert.equal(await ask(() => Effect.fail(error("not-found"))), undefined)
  const cannot = "this broker cannot tell what waits for the bridge: "
  assert.equal(await ask(() => Effect.fail(error("unavailable"))), `${cannot}words`)
  assert.equal(await ask(() => Effect.promise(() => Promise.reject(new Error("a disk")))), `${cannot}a disk`)
  assert.equal(await ask(undefined), `${cannot}nobody tells of sessions`)
  // What must never be is no reason to try again.
  const broken = new InvariantViolation("an identifier is in use once")
  await assert.rejects(
    ask(() => Effect.die(broken)),
    /in use once/
  )
})
