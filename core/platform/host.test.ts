/** The network of the runtime that runs the tests, Bun or Deno, held to the contract in Net.ts. */
import assert from "node:assert/strict"
import { type Socket as Client, connect } from "node:net"
import { after, describe, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { hostPlatform } from "./host.ts"
import { CLOSED, ListenError, type Listening, Net, type NetShape, parseAddress, type Socket } from "./Net.ts"

const MIB = 1_048_576

/** The server's side of one connection, which notes what happens to it. */
class Peer {
  readonly socket: Socket
  readonly chunks: Array<Uint8Array> = []
  drains = 0
  closes = 0
  onData = (_bytes: Uint8Array): void => {}
  onDrain = (): void => {}
  constructor(socket: Socket) {
    this.socket = socket
  }
  data(bytes: Uint8Array): void {
    this.chunks.push(bytes)
    this.onData(bytes)
  }
  drain(): void {
    this.drains += 1
    this.onDrain()
  }
  closed(): void {
    this.closes += 1
  }
  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

const scope = Scope.makeUnsafe()
const faults: Array<unknown> = []
const inScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Net>): Promise<A> =>
  Effect.runPromise(
    Scope.provide(
      Effect.provide(
        effect,
        hostPlatform((error) => void faults.push(error))
      ),
      scope
    )
  )

async function until(what: string, holds: () => boolean, ms = 5_000): Promise<void> {
  const endMs = performance.now() + ms
  while (!holds()) {
    assert.ok(performance.now() < endMs, `waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

interface Listener {
  readonly net: NetShape
  readonly address: string
  readonly peers: Array<Peer>
}

async function listen(arrived = (_peer: Peer): void => {}): Promise<Listener> {
  const peers: Array<Peer> = []
  const net = await inScope(
    Effect.gen(function* () {
      return yield* Net
    })
  )
  const accept = (socket: Socket): Peer => {
    const peer = new Peer(socket)
    peers.push(peer)
    arrived(peer)
    return peer
  }
  const { address } = await inScope(net.listenTcp("127.0.0.1:0", accept))
  return { net, address, peers }
}

/** A client, and all that it received. */
function dial(address: string): {
  readonly client: Client
  readonly received: () => Buffer
  ended: boolean
  gone: boolean
} {
  const { host = "", port = 0 } = parseAddress(address) ?? {}
  const client = connect({ host, port, allowHalfOpen: true })
  const chunks: Array<Buffer> = []
  const state = { client, received: () => Buffer.concat(chunks), ended: false, gone: false }
  client.on("data", (bytes: Buffer) => void chunks.push(bytes))
  client.on("end", () => {
    state.ended = true
  })
  client.on("close", () => {
    state.gone = true
  })
  client.on("error", () => {})
  return state
}

/** Writes all of `bytes` as a protocol does: what was not taken waits for the drain. */
function writeAll(peer: Peer, bytes: Uint8Array, done = (): void => {}): void {
  let position = 0
  const go = (): void => {
    const taken = peer.socket.write(bytes, position, bytes.length)
    if (taken === CLOSED) return
    position += taken
    if (position === bytes.length) done()
  }
  peer.onDrain = go
  go()
}

describe("TCP", () => {
  after(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  test("bytes go both ways, whole and in order; the peer has an address", async () => {
    const { address, peers } = await listen((peer) => {
      peer.onData = (bytes) => void peer.socket.write(bytes, 0, bytes.length)
    })
    const { client, received } = dial(address)
    const sent = Buffer.from(Array.from({ length: 50_000 }, (_, index) => index % 251))
    for (let start = 0; start < sent.length; start += 777) client.write(sent.subarray(start, start + 777))
    await until("the echo", () => received().length === sent.length)
    assert.ok(received().equals(sent))
    assert.equal(peers[0]?.socket.peerAddress, "127.0.0.1")
    client.destroy()
    await until("the end", () => peers[0]?.closes === 1)
  })

  test("the bytes of a write may be used again at once; those that came are the receiver's for good", async () => {
    const { address, peers } = await listen()
    const { client, received } = dial(address)
    await until("the connection", () => peers.length === 1)
    const bytes = new Uint8Array(1_000)
    for (let round = 0; round < 100; round++) {
      bytes.fill(round)
      assert.equal(peers[0]?.socket.write(bytes, 0, bytes.length), bytes.length)
    }
    bytes.fill(255)
    await until("all of it", () => received().length === 100_000)
    for (let round = 0; round < 100; round++) assert.equal(received()[round * 1_000 + 500], round)
    for (let round = 0; round < 100; round++) {
      client.write(new Uint8Array(300).fill(round))
      await until("a chunk", () => (peers[0]?.received.length ?? 0) >= (round + 1) * 300)
    }
    for (let round = 0; round < 100; round++) assert.equal(peers[0]?.received[round * 300 + 150], round)
    client.destroy()
  })

  test("a peer that does not read is taken little from, and drain says when to go on", async () => {
    const { address, peers } = await listen()
    const { client, received } = dial(address)
    client.pause()
    await until("the connection", () => peers.length === 1)
    const [peer] = peers as [Peer]
    const bytes = Buffer.alloc(32 * MIB, "abcdefg")
    let done = false
    writeAll(peer, bytes, () => {
      done = true
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(done, false)
    const before = peer.drains
    client.resume()
    await until("the rest", () => received().length >= bytes.length, 20_000)
    assert.equal(done, true)
    assert.ok(peer.drains > before)
    assert.ok(received().subarray(0, bytes.length).equals(bytes))
    client.destroy()
  })

  test("end: what was taken arrives, then the end of the stream; what the peer still sends is nobody's", async () => {
    const { address, peers } = await listen()
    const state = dial(address)
    await until("the connection", () => peers.length === 1)
    const [peer] = peers as [Peer]
    state.client.write("unread")
    const goodbye = new Uint8Array(60_000).fill(7)
    assert.equal(peer.socket.write(goodbye, 0, goodbye.length), goodbye.length)
    peer.socket.end()
    assert.equal(peer.socket.write(goodbye, 0, 1), CLOSED)
    await until("the end of the stream", () => state.ended)
    assert.equal(state.received().length, goodbye.length)
    state.client.end()
    await until("the end", () => peer.closes === 1)
    assert.equal(peer.socket.write(goodbye, 0, 1), CLOSED)
  })

  test("terminate closes at once, and once; afterwards nothing is called", async () => {
    const { address, peers } = await listen((peer) => {
      peer.onData = () => peer.socket.terminate()
    })
    const state = dial(address)
    state.client.write("x")
    await until("the close", () => state.gone || state.ended)
    const [peer] = peers as [Peer]
    await until("the end", () => peer.closes === 1)
    peer.socket.terminate()
    peer.socket.end()
    peer.socket.resume()
    assert.equal(peer.socket.write(new Uint8Array(1), 0, 1), CLOSED)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual([peer.closes, peer.chunks.length], [1, 1])
    state.client.destroy()
  })

  test("while reading is paused a peer is slowed, and nothing is lost", async () => {
    const { address, peers } = await listen((peer) => peer.socket.pause())
    const { client } = dial(address)
    const sent = Buffer.alloc(24 * MIB, "0123456789")
    client.write(sent)
    await new Promise((resolve) => setTimeout(resolve, 150))
    const [peer] = peers as [Peer]
    assert.ok(peer.received.length <= MIB, `${peer.received.length} bytes came while paused`)
    assert.ok(client.writableLength > MIB, "the peer is held up")
    peer.socket.resume()
    await until("all of it", () => peer.chunks.reduce((sum, { length }) => sum + length, 0) === sent.length, 20_000)
    assert.ok(peer.received.equals(sent))
    client.destroy()
  })

  test("what a receiver throws costs its connection and is told", async () => {
    const { address, peers } = await listen((peer) => {
      peer.onData = () => {
        throw new Error("a fault of its owner")
      }
    })
    const state = dial(address)
    const before = faults.length
    state.client.write("x")
    await until("the end", () => peers[0]?.closes === 1 && (state.gone || state.ended))
    assert.match(String(faults[before]), /a fault of its owner/)
    state.client.destroy()
  })

  test("a peer that has sent all it will still gets what it is owed", async () => {
    const { address } = await listen((peer) => {
      peer.onData = (bytes) => writeAll(peer, Buffer.concat([bytes, new Uint8Array(20_000)]))
    })
    const state = dial(address)
    state.client.end("ask")
    await until("the answer", () => state.ended || state.gone)
    assert.equal(state.received().length, 20_003)
    state.client.destroy()
  })

  test("a thousand connections come and go", async () => {
    const { address, peers } = await listen((peer) => {
      peer.onData = (bytes) => void peer.socket.write(bytes, 0, bytes.length)
    })
    const clients = Array.from({ length: 1_000 }, () => dial(address))
    for (const { client } of clients) client.write("hello")
    await until("all echoes", () => clients.every(({ received }) => received().toString() === "hello"), 20_000)
    for (const { client } of clients) client.destroy()
    await until("all ends", () => peers.every(({ closes }) => closes === 1), 20_000)
  })

  test("a port that is taken, an address that is none, and a scope that ends", async () => {
    const { net, address } = await listen()
    const reasonOf = async (asked: string): Promise<string> => {
      const exit = await Effect.runPromiseExit(
        Scope.provide(
          net.listenTcp(asked, (socket) => new Peer(socket)),
          scope
        )
      )
      const error = Exit.isFailure(exit) ? Effect.runSync(Effect.flip(exit)) : undefined
      assert.ok(error instanceof ListenError)
      return error.reason
    }
    assert.equal(await reasonOf(address), "the port is in use")
    assert.equal(await reasonOf("nowhere"), 'expected "host:port"')
    assert.equal(await reasonOf("192.0.2.1:0"), "this machine has no such address")
    const own = Scope.makeUnsafe()
    const once: Listening = await Effect.runPromise(
      Scope.provide(
        net.listenTcp("127.0.0.1:0", (socket) => new Peer(socket)),
        own
      )
    )
    await Effect.runPromise(Scope.close(own, Exit.void))
    const late = dial(once.address)
    await until("the refusal", () => late.gone)
  })
})
