/**
 * Clients that come, go and take each other's place before anything is committed: when all have gone and expired nothing of them is left,
 * neither counted, nor with the router, nor as rows, and no session that was ended is there again.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { TestNode, Wire } from "./testing.ts"

const expiry = fc.constantFrom(0, 1, 5)
const wire = fc.nat({ max: 9 })
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("connect" as const),
      id: fc.constantFrom("f0", "f1"),
      version: fc.constantFrom(4 as const, 5 as const),
      clean: fc.boolean(),
      expiry
    })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("subscribe" as const), wire, qos: fc.constantFrom(0, 1, 2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), wire }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("disconnect" as const), wire, expiry }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(1, 400, 1_100, 2_500) })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("automatic" as const), isAutomatic: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) }
)

const churn = fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
  const node = new TestNode({ session_expiry_max: 1 })
  await node.start()
  const wires: Array<Wire> = []
  for (const each of steps) {
    if (each.kind === "connect") {
      const { id, version, clean } = each
      const made = new Wire(node.of(id), version)
      wires.push(made)
      const properties = version === 5 ? ([["sessionExpiry", each.expiry]] as const) : []
      made.send(encode.connect({ version, clientId: id, clean, properties }))
    } else if (each.kind === "subscribe") {
      const { wire: number, qos } = each
      const client = wires[number]
      if (client === undefined) continue
      client.send(
        encode.subscribe(client.connection.version, 1, [{ filter: `t/${number % 2}/#`, qos: qos as 0 | 1 | 2 }])
      )
    } else if (each.kind === "cut") wires[each.wire]?.cut()
    else if (each.kind === "disconnect") {
      const client = wires[each.wire]
      if (client?.connection.version === 5) client.send(encode.disconnect(5, 0, [["sessionExpiry", each.expiry]]))
    } else if (each.kind === "pass") await node.advance(each.ms)
    else if (each.kind === "automatic") node.automatic = each.isAutomatic
    else await node.settle()
  }
  node.automatic = true
  for (const each of wires) each.cut()
  await node.settle()
  await node.advance(10_000)
  for (const { broker, router, store } of node.shards) {
    assert.equal(broker.sessions.count, 0, "sessions")
    assert.equal(router.subscriptionCount, 0, "subscriptions")
    assert.equal(router.wantCount, 0, "filters that are kept")
    for (const prefix of ["sd", "ss", "sp", "si", "sr", "sx"]) {
      const start = new TextEncoder().encode(prefix)
      const end = Uint8Array.of(start[0] ?? 0, (start[1] ?? 0) + 1)
      assert.equal(store.range(start, end, 10).length, 0, `rows of ${prefix}`)
    }
  }
  // Nobody is told of a session that has ended.
  for (const id of ["f0", "f1"]) {
    const last = new Wire(node.of(id), 4)
    last.send(encode.connect({ version: 4, clientId: id, clean: false }))
    await node.settle()
    const [connack] = last.received
    assert.ok(connack?.type === "connack" && !connack.sessionPresent, `${id} has no session`)
  }
})

// RUNS=n and SEED=n try others.
const RUNS = Number(process.env["RUNS"] ?? 500)
const seed = Number(process.env["SEED"] ?? 7)

test("however clients come and go, nothing of them stays", async () => {
  await fc.assert(churn, { numRuns: RUNS, seed })
})
