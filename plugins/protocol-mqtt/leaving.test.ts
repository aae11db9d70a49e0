/**
 * A client that sends its last packets and closes, over a connection that another shard passed on, while the broker does not read: what
 * came before the end is seen to first, a DISCONNECT above all [MQTT-3.14.4-3].
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Connections } from "../../core/link/Connections.ts"
import { joinShards } from "../../core/link/fakes.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { decode, packetLength } from "../../tests/support/mqtt-decode.ts"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { Connection } from "./Connection.ts"
import { TestNode } from "./testing.ts"

const SERVICE = "mqtt"
const CLIENT = "leaver"
/** Answers to so many are more than may wait for a client that does not read. */
const PINGS = 1_000
/** More messages below version 5 than may be unacknowledged before nothing more is read. */
const UNACKNOWLEDGED = 1_001

/** A client of the broker that owns it, through another shard, with a will. */
async function connected() {
  const node = new TestNode({ output_bytes_max: 1_000 })
  await node.start()
  const { broker } = node.of(CLIENT)
  const simulation = new Simulation(5, { windowBytesMin: 65_536, windowBytesMax: 65_536, partialWritesOfEight: 0 })
  const { here, there } = joinShards(simulation)
  const [accepting, owning] = [new Connections(here.port), new Connections(there.port)]
  owning.accept(SERVICE, (socket) => new Connection(broker, socket))
  const { client, server } = simulation.net.pair()
  const received: Array<string> = []
  let bytes = Buffer.alloc(0)
  client.receiver = {
    data: (more) => {
      bytes = Buffer.concat([bytes, more])
      for (let length = packetLength(bytes); length !== undefined; length = packetLength(bytes)) {
        received.push(decode(bytes.subarray(0, length), 4).type)
        bytes = bytes.subarray(length)
      }
    },
    drain: () => {},
    closed: () => {}
  }
  server.receiver = accepting.forward(1, SERVICE, server, new Uint8Array(0))
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 5; round++) {
      simulation.run()
      await node.settle()
    }
  }
  const send = (...packets: ReadonlyArray<Uint8Array>): void => {
    const all = Buffer.concat(packets)
    assert.equal(client.write(all, 0, all.length), all.length)
  }
  send(encode.connect({ version: 4, clientId: CLIENT, will: { topic: "gone", payload: "" } }))
  await settle()
  assert.deepEqual(received, ["connack"])
  return { broker, node, client, settle, send, simulation }
}

test("a DISCONNECT behind more than the client reads the answers of removes the will", async () => {
  const { broker, client, settle, send, simulation } = await connected()
  // All of it within one turn of the broker's: the client has gone before anything leaves.
  send(...Array.from({ length: PINGS }, () => encode.pingreq()))
  simulation.run()
  send(encode.disconnect(4))
  client.end()
  await settle()
  assert.deepEqual([broker.counts.connectionsOpen, broker.counts.willsPublished], [0, 0])
})

test("a DISCONNECT behind as many messages as may wait for their commit removes the will", async () => {
  const { broker, node, client, settle, send } = await connected()
  node.automatic = false
  const publish = (id: number) => encode.publish(4, { topic: "t", payload: "x", qos: 1, retain: true, id })
  send(...Array.from({ length: UNACKNOWLEDGED }, (_, index) => publish(index + 1)), encode.disconnect(4))
  client.end()
  await settle()
  assert.deepEqual([broker.counts.connectionsOpen, broker.counts.willsPublished], [1, 0])
  node.automatic = true
  await settle()
  assert.deepEqual([broker.counts.connectionsOpen, broker.counts.willsPublished], [0, 0])
})
