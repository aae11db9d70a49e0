import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Accept, Socket, SocketReceiver } from "../platform/Net.ts"
import { CLOSED } from "../platform/Net.ts"
import { Simulation, type SimulationOptions } from "../platform/simulated.ts"
import type { SimulatedSocket } from "../platform/simulated-net.ts"
import { Connections, WINDOW_BYTES } from "./Connections.ts"
import { joinShards } from "./fakes.ts"

const SERVICE = "test"
/** What a receiver is handed at once, at most. */
const PIECE_BYTES_MAX = 524_288
const seeds = fc.integer({ min: 0, max: 0xffffffff })

/** Reads and writes, and checks the receiver's side of the contract. */
class End implements SocketReceiver {
  readonly socket: Socket
  readonly pieces: Array<Uint8Array> = []
  received = 0
  sent = 0
  closes = 0
  drains = 0
  source: Uint8Array = new Uint8Array(0)
  onData: (() => void) | undefined
  onSent: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }
  data(bytes: Uint8Array): void {
    assert.equal(this.closes, 0, "no bytes after the end")
    this.pieces.push(bytes)
    this.received += bytes.length
    this.onData?.()
  }
  drain(): void {
    assert.equal(this.closes, 0, "no drain after the end")
    this.drains += 1
    this.go()
  }
  closed(): void {
    this.closes += 1
    assert.equal(this.closes, 1, "closed once")
  }
  send(source: Uint8Array): void {
    this.source = source
    this.sent = 0
    this.go()
  }
  go(): void {
    if (this.sent === this.source.length) return
    const taken = this.socket.write(this.source, this.sent, this.source.length)
    if (taken === CLOSED) return
    this.sent += taken
    if (this.sent === this.source.length) this.onSent?.()
  }
  get bytes(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

interface Story {
  readonly simulation: Simulation
  /** The client of the real connection. */
  readonly client: End
  readonly clientSocket: SimulatedSocket
  /** The owner's end on the other shard; there once the simulation has run a little. */
  owner(): End
  readonly accepting: Connections
  readonly owning: Connections
}

/** A client whose connection was accepted on shard 0 and is owned by shard 1. */
function makeStory(seed: number, early: Uint8Array = new Uint8Array(0), options: SimulationOptions = {}): Story {
  const simulation = new Simulation(seed, options)
  const { here, there } = joinShards(simulation)
  const accepting = new Connections(here.port)
  const owning = new Connections(there.port)
  let owner: End | undefined
  owning.accept(SERVICE, (socket) => {
    owner = new End(socket)
    return owner
  })
  const { client, server } = simulation.net.pair()
  const end = new End(client)
  client.receiver = end
  server.receiver = accepting.forward(1, SERVICE, server, early)
  return {
    simulation,
    client: end,
    clientSocket: client,
    owner: () => {
      assert.ok(owner !== undefined, "the owner was asked")
      return owner
    },
    accepting,
    owning
  }
}

function numbered(length: number, salt = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 13 + (index >>> 8) * 7 + salt) & 255)
}

/** Runs until the owner's shard has heard of the connection. */
function opened(story: Story): End {
  story.simulation.run(story.simulation.clock.monotonicMs() + 1)
  return story.owner()
}

test("the owner sees the peer's address and what was received before, then what comes", () => {
  fc.assert(
    fc.property(seeds, fc.nat(500), fc.nat(5_000), (seed, early, late) => {
      const story = makeStory(seed, numbered(early, 1))
      story.client.send(numbered(late, 2))
      story.simulation.run()
      const owner = story.owner()
      assert.equal(owner.socket.peerAddress, "10.0.0.2")
      assert.ok(owner.bytes.equals(Buffer.concat([numbered(early, 1), numbered(late, 2)])))
      assert.equal(story.owning.ownedCount, 1)
      assert.equal(story.accepting.ownedCount, 0)
    })
  )
})

test("bytes keep their order both ways at once, under any cutting and partial writes", () => {
  fc.assert(
    fc.property(seeds, fc.nat(30_000), fc.nat(30_000), (seed, forth, back) => {
      const story = makeStory(seed)
      story.client.send(numbered(forth, 1))
      const owner = opened(story)
      owner.send(numbered(back, 2))
      story.simulation.run()
      assert.ok(owner.bytes.equals(numbered(forth, 1)))
      assert.ok(story.client.bytes.equals(numbered(back, 2)))
    }),
    { numRuns: 50 }
  )
})

test("an owner that pauses at random gets every byte in order, none while it is paused", () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 20_000 }), (seed, length) => {
      const story = makeStory(seed)
      const { simulation, client } = story
      const owner = opened(story)
      let paused = false
      owner.onData = () => {
        assert.equal(paused, false, "no bytes while paused")
        if (!simulation.chance.chance(1, 2)) return
        paused = true
        owner.socket.pause()
        simulation.clock.after(simulation.chance.below(20), () => {
          paused = false
          owner.socket.resume()
        })
      }
      client.send(numbered(length))
      simulation.run()
      assert.ok(owner.bytes.equals(numbered(length)))
    }),
    { numRuns: 60 }
  )
})

const WIDE = { windowBytesMin: 200_000, windowBytesMax: 400_000 }

test("an owner that does not read stops the peer at the window; when it reads, all of it comes", () => {
  for (let seed = 0; seed < 4; seed++) {
    const story = makeStory(seed, undefined, WIDE)
    const { simulation, client, clientSocket } = story
    const owner = opened(story)
    owner.socket.pause()
    const source = numbered(3 * WINDOW_BYTES)
    client.send(source)
    simulation.run()
    const taken = client.sent - clientSocket.bytesUnderway
    assert.ok(taken >= WINDOW_BYTES && taken < WINDOW_BYTES + PIECE_BYTES_MAX, `${taken} bytes were taken`)
    assert.equal(owner.received, 0)
    owner.socket.resume()
    simulation.run()
    assert.ok(owner.bytes.equals(source))
  }
})

test("a peer that does not read stops the owner at the window, which hears when it may go on", () => {
  for (let seed = 0; seed < 4; seed++) {
    const story = makeStory(seed, undefined, WIDE)
    const { simulation, client, clientSocket } = story
    const owner = opened(story)
    clientSocket.pause()
    const source = numbered(3 * WINDOW_BYTES)
    owner.send(source)
    assert.equal(owner.sent, WINDOW_BYTES)
    assert.equal(owner.socket.write(source, 0, 1), 0)
    simulation.run()
    assert.ok(owner.sent < 2 * WINDOW_BYTES + WIDE.windowBytesMax, "what the socket holds and the window, no more")
    clientSocket.resume()
    simulation.run()
    assert.ok(owner.drains > 0)
    assert.ok(client.bytes.equals(source))
  }
})

test("the owner's end follows its bytes; then nothing follows", () => {
  fc.assert(
    fc.property(seeds, fc.nat(20_000), (seed, length) => {
      const story = makeStory(seed)
      const owner = opened(story)
      owner.onSent = () => owner.socket.end()
      if (length === 0) owner.socket.end()
      else owner.send(numbered(length))
      story.simulation.run()
      assert.ok(story.client.bytes.equals(numbered(length)))
      assert.equal(story.client.closes, 1)
      assert.equal(owner.closes, 1)
      assert.equal(owner.socket.write(numbered(1), 0, 1), CLOSED)
      assert.equal(story.owning.ownedCount, 0)
      owner.socket.terminate()
      owner.socket.end()
      owner.socket.resume()
      story.simulation.run()
      assert.equal(owner.closes, 1)
    }),
    { numRuns: 60 }
  )
})

test("the peer's end follows its bytes, also where the owner pauses on the way", () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 20_000 }), fc.boolean(), (seed, length, pauses) => {
      const story = makeStory(seed)
      const { simulation, client, clientSocket } = story
      const owner = opened(story)
      if (pauses) {
        owner.onData = () => {
          owner.socket.pause()
          simulation.clock.after(30, () => owner.socket.resume())
        }
      }
      client.onSent = () => clientSocket.end()
      client.send(numbered(length))
      simulation.run()
      assert.ok(owner.bytes.equals(numbered(length)), `${owner.received} of ${length} bytes`)
      assert.equal(owner.closes, 1)
      assert.equal(owner.socket.write(numbered(1), 0, 1), CLOSED)
    }),
    { numRuns: 60 }
  )
})

test("an owner that is paused when the peer goes may leave without reading", () => {
  for (const leave of ["end", "terminate"] as const) {
    const story = makeStory(11)
    const owner = opened(story)
    owner.socket.pause()
    story.client.onSent = () => story.clientSocket.end()
    story.client.send(numbered(1_000))
    story.simulation.run()
    assert.equal(owner.closes, 0, "there is something left to read")
    owner.socket[leave]()
    story.simulation.run()
    assert.equal(owner.closes, 1)
    assert.equal(owner.received, 0)
    owner.socket.resume()
    assert.equal(owner.received, 0)
  }
})

test("an owner that is paused is told of the peer's end when it goes on, also where it has had all bytes", () => {
  const story = makeStory(11)
  const owner = opened(story)
  // It has more to do with what it had than it has bytes to read.
  owner.onData = () => owner.socket.pause()
  story.client.onSent = () => story.clientSocket.end()
  story.client.send(numbered(1))
  story.simulation.run()
  assert.deepEqual([owner.received, owner.closes], [1, 0])
  assert.equal(owner.socket.write(numbered(1), 0, 1), CLOSED)
  owner.socket.resume()
  assert.equal(owner.closes, 1)
})

test("an owner that pauses until it can write again finds the peer gone", () => {
  const story = makeStory(3, undefined, { windowBytesMin: 500, windowBytesMax: 500 })
  const owner = opened(story)
  story.clientSocket.pause()
  owner.socket.pause()
  owner.send(numbered(2 * WINDOW_BYTES))
  story.simulation.run()
  const { drains } = owner
  story.clientSocket.terminate()
  story.simulation.run()
  assert.deepEqual([owner.drains - drains, owner.closes], [1, 0])
  owner.socket.resume()
  assert.equal(owner.closes, 1)
})

test("terminate closes both ends once, at any moment, whatever is under way", () => {
  fc.assert(
    fc.property(seeds, fc.nat(60), fc.boolean(), (seed, atMs, byOwner) => {
      const story = makeStory(seed)
      const owner = opened(story)
      story.client.send(numbered(8_000))
      owner.send(numbered(8_000))
      story.simulation.run(story.simulation.clock.monotonicMs() + atMs)
      if (byOwner) owner.socket.terminate()
      else story.clientSocket.terminate()
      story.simulation.run()
      assert.deepEqual([owner.closes, story.client.closes], [1, 1])
      assert.ok(
        numbered(8_000)
          .subarray(0, owner.received)
          .every((byte, index) => owner.bytes[index] === byte)
      )
      assert.equal(story.owning.ownedCount, 0)
    })
  )
})

test("an owner that has ended may still cut off a peer that does not read", () => {
  const story = makeStory(3, undefined, { windowBytesMin: 500, windowBytesMax: 500 })
  const owner = opened(story)
  story.clientSocket.pause()
  owner.send(numbered(10_000))
  owner.socket.end()
  story.simulation.run()
  assert.equal(owner.closes, 0, "the peer has not read to the end")
  owner.socket.terminate()
  story.simulation.run()
  assert.equal(owner.closes, 1)
  assert.equal(story.client.closes, 1)
})

test("both leave at the same moment: each is told once", () => {
  for (let seed = 0; seed < 30; seed++) {
    const story = makeStory(seed)
    const owner = opened(story)
    owner.socket.end()
    story.clientSocket.end()
    story.simulation.run()
    assert.deepEqual([owner.closes, story.client.closes], [1, 1])
  }
})

test("a service that nobody accepts, and an owner that refuses at once, close the connection", () => {
  const refuse: Accept = (socket) => {
    socket.terminate()
    return new End(socket)
  }
  for (const accept of [undefined, refuse]) {
    const simulation = new Simulation(1)
    const { here, there } = joinShards(simulation)
    const accepting = new Connections(here.port)
    const owning = new Connections(there.port)
    if (accept !== undefined) owning.accept(SERVICE, accept)
    const { client, server } = simulation.net.pair()
    const end = new End(client)
    client.receiver = end
    server.receiver = accepting.forward(1, SERVICE, server, numbered(10))
    simulation.run()
    assert.equal(end.closes, 1)
    assert.equal(owning.ownedCount, 0)
  }
})

test("connections that both shards pass to each other are not mixed up, though both number from one", () => {
  const simulation = new Simulation(5)
  const { here, there } = joinShards(simulation)
  const connections = [new Connections(here.port), new Connections(there.port)]
  const owners: Array<Array<End>> = [[], []]
  for (const [shard, each] of connections.entries()) {
    each.accept(SERVICE, (socket) => {
      const end = new End(socket)
      owners[shard]?.push(end)
      // Answers with what it gets.
      end.onData = () => end.send(end.pieces.at(-1) ?? new Uint8Array(0))
      return end
    })
  }
  const clients: Array<End> = []
  for (let index = 0; index < 6; index++) {
    const from = index % 2
    const { client, server } = simulation.net.pair()
    const end = new End(client)
    client.receiver = end
    clients.push(end)
    const receiver = connections[from]?.forward(1 - from, SERVICE, server, numbered(5, index))
    server.receiver = receiver
  }
  simulation.run()
  for (const [index, end] of clients.entries()) assert.ok(end.bytes.equals(numbered(5, index)), String(index))
  assert.deepEqual([owners[0]?.length, owners[1]?.length], [3, 3])
})

test("the same seed gives the same trace", () => {
  const trace = (seed: number): string => {
    const story = makeStory(seed)
    story.client.send(numbered(5_000))
    const owner = opened(story)
    owner.send(numbered(5_000))
    owner.onSent = () => owner.socket.end()
    story.simulation.run()
    return story.simulation.traceHash
  }
  for (let seed = 0; seed < 20; seed++) assert.equal(trace(seed), trace(seed))
  assert.notEqual(trace(1), trace(2))
})
