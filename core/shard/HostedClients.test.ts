/** Clients that plugins run: known while their scope is open; a connection to the shard itself is accepted in place. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { Connections } from "../link/Connections.ts"
import { joinShards } from "../link/fakes.ts"
import { CLOSED, type Socket, type SocketReceiver } from "../platform/Net.ts"
import { Simulation } from "../platform/simulated.ts"
import { type HostedClient, makeHostedClients } from "./HostedClients.ts"

const client: HostedClient = {
  clientIdentifier: "manifold-bridge-x",
  messagesMax: 1,
  bytesMax: 1,
  ageMaxSeconds: 0,
  overflow: "oldest",
  gaveUp: () => {},
  refused: () => {}
}

test("a hosted client is known for the life of its scope, and once", async () => {
  const hosted = makeHostedClients()
  const seen = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* hosted.register(client)
        const again = yield* Effect.exit(Effect.scoped(hosted.register(client)))
        return [hosted.of(client.clientIdentifier), hosted.of("other"), again._tag]
      })
    )
  )
  assert.deepEqual(seen, [client, undefined, "Failure"])
  assert.equal(hosted.of(client.clientIdentifier), undefined)
})

class Wire implements Socket {
  readonly peerAddress = ""
  readonly calls: Array<string> = []
  write(_bytes: Uint8Array, start: number, end: number): number {
    this.calls.push(`write ${end - start}`)
    return this.calls.includes("terminate") ? CLOSED : end - start
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  terminate(): void {
    this.calls.push("terminate")
  }
}

test("a connection to the shard itself is accepted in place, with what has come; where nobody accepts it ends", () => {
  const simulation = new Simulation(1)
  const { here } = joinShards(simulation)
  const connections = new Connections(here.port)
  const got: Array<string> = []
  const receiver: SocketReceiver = {
    data: (bytes) => got.push(bytes.toHex()),
    drain: () => got.push("drain"),
    closed: () => got.push("closed")
  }
  connections.accept("inside", (socket) => {
    assert.equal(socket.write(Uint8Array.of(1, 2), 0, 2), 2)
    return receiver
  })
  const wire = new Wire()
  assert.equal(connections.forward(here.port.shard, "inside", wire, Uint8Array.of(7)), receiver)
  assert.deepEqual([got, wire.calls], [["07"], ["write 2"]])
  const nobody = new Wire()
  connections.forward(here.port.shard, "nowhere", nobody, new Uint8Array(0)).data(Uint8Array.of(1))
  assert.deepEqual(nobody.calls, ["terminate"])
})
