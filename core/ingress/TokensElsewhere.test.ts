import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../access/Access.ts"
import { Simulation } from "../platform/simulated.ts"
import { type IngressShard, joinIngress, messageOf } from "./fakes.ts"
import { ACCEPTED_PENDING } from "./Ingress.ts"

const PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "c", peerAddress: "" }
const MANY = 2_500

function publish({ ingress }: IngressShard, token: string): number {
  const message = messageOf("a/1", "x", { publisher: "p", qos: 2 })
  message.token = token
  return ingress.publishUnsafe(message, PRINCIPAL)
}

/** Shards of which the last run left tokens of the first one's messages with the second, and others. */
async function begin(tokens: ReadonlyArray<string>) {
  const simulation = new Simulation(1)
  const { shards, ...rest } = joinIngress(simulation, { shards: 3 })
  const [first, second] = shards
  assert.ok(first !== undefined && second !== undefined)
  for (const token of tokens) second.tokens.take(token)
  second.tokens.take("1/7/1")
  second.tokens.take("10/7/1")
  simulation.run()
  const resumed = Promise.all(shards.map(({ ingress }) => ingress.resume()))
  for (let ms = 0; ms < 100; ms++) await simulation.runAsync(simulation.clock.monotonicMs() + 1)
  await resumed
  return { simulation, first, second, shards, ...rest }
}

test("a message that another shard stored in the last run is known by whoever its client sends it to again", async () => {
  const { simulation, first, second, shards } = await begin(["0/7/1", "0/7/2"])
  const stored = () => shards.reduce((sum, { ingress }) => sum + ingress.counts.stored + ingress.counts.forwarded, 0)
  assert.equal(publish(first, "0/7/2"), ACCEPTED_PENDING)
  const { pendingStream, pendingTicket, pendingOwner, pendingIsJournaled } = first.ingress
  assert.ok(pendingTicket <= pendingStream.committed)
  assert.deepEqual([pendingOwner, pendingIsJournaled, stored()], [1, false, 0])
  // Its client has released it: the next one with that token is another message.
  let outcome: number | undefined
  first.ingress.giveBackToken("0/7/2", (ended) => {
    outcome = ended
  })
  await simulation.runAsync(simulation.clock.monotonicMs() + 10)
  assert.deepEqual([outcome, second.tokens.ticketOf("0/7/2"), second.tokens.ticketOf("0/7/1")], [0, undefined, 0])
  publish(first, "0/7/2")
  assert.ok(stored() > 0)
})

test("one that nobody holds is stored, also where its token begins like another", async () => {
  const { first, shards } = await begin(["0/7/11"])
  publish(first, "0/7/1")
  assert.ok(shards.some(({ ingress }) => ingress.counts.stored + ingress.counts.forwarded > 0))
})

test("more than one answer has room for", async () => {
  const tokens = Array.from({ length: MANY }, (_, number) => `0/9/${number}`)
  const { first, shards } = await begin(tokens)
  for (const token of tokens) publish(first, token)
  assert.ok(shards.every(({ ingress }) => ingress.counts.stored + ingress.counts.forwarded === 0))
})
