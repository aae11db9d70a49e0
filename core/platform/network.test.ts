/** What {@link NetShape} promises of connections, tried on the network of the runtime that runs the tests. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync } from "node:fs"
import { connect, type Socket as Peer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, afterEach, describe, test } from "node:test"
import { connect as connectTls } from "node:tls"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { makeCertificate } from "../../tests/support/certificates.ts"
import { hostPlatform } from "./host.ts"
import { CLOSED, Net, type NetShape, type Socket, type SocketReceiver, type TlsSource } from "./Net.ts"

const faults: Array<string> = []
const scope = Scope.makeUnsafe()
const platform = await Effect.runPromise(
  Scope.provide(Layer.build(hostPlatform((error) => faults.push(String(error)))), scope)
)
const net: NetShape = Context.get(platform, Net)
after(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const WAIT_MS = 10_000
const PIECE_BYTES_MAX = 524_288

/** Waits until it holds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS
  while (!holds()) {
    assert.ok(performance.now() < endMs, `in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The broker's side of a connection: keeps what comes, and the order in which it was called. */
class Side implements SocketReceiver {
  readonly socket: Socket
  readonly pieces: Array<Uint8Array> = []
  /** A copy of each piece, made when it came. */
  readonly copies: Array<Uint8Array> = []
  drains = 0
  closes = 0
  callsAfterClosed = 0
  onData: (bytes: Uint8Array) => void = () => {}
  onDrain: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
  }

  get received(): Uint8Array {
    return Buffer.concat(this.pieces)
  }
  get receivedBytes(): number {
    return this.pieces.reduce((sum, { length }) => sum + length, 0)
  }

  data(bytes: Uint8Array): void {
    if (this.closes > 0) this.callsAfterClosed += 1
    assert.ok(bytes.length > 0 && bytes.length <= PIECE_BYTES_MAX)
    this.pieces.push(bytes)
    this.copies.push(bytes.slice())
    this.onData(bytes)
  }

  drain(): void {
    if (this.closes > 0) this.callsAfterClosed += 1
    this.drains += 1
    this.onDrain()
  }

  closed(): void {
    this.closes += 1
  }

  /** Writes all of it, waiting for `drain` where the socket is full. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    let position = 0
    await new Promise<void>((resolve, fail) => {
      const go = (): void => {
        const taken = this.socket.write(bytes, position, bytes.length)
        if (taken === CLOSED) fail(new Error("closed"))
        position += Math.max(0, taken)
        if (position === bytes.length) resolve()
      }
      this.onDrain = go
      go()
    })
    this.onDrain = () => {}
  }
}

interface Transport {
  readonly name: string
  readonly listen: (accept: (socket: Socket) => SocketReceiver, address?: string) => ReturnType<NetShape["listenTcp"]>
  /** What the peer sends before its first bytes; resolves when it may send. */
  readonly greet: (peer: Peer) => Promise<void>
  /** The peer's bytes, as the transport carries them. */
  readonly wrap: (bytes: Uint8Array) => Uint8Array
  /** The payload in what the peer received. */
  readonly unwrap: (bytes: Uint8Array) => Uint8Array
  /** The peer speaks TLS. */
  readonly secure?: boolean
}

const tcp: Transport = {
  name: "TCP",
  listen: (accept, address = "127.0.0.1:0") => net.listenTcp(address, accept),
  greet: async () => {},
  wrap: (bytes) => bytes,
  unwrap: (bytes) => bytes
}

const testTls = {
  ...makeCertificate({ name: "127.0.0.1", hosts: ["127.0.0.1"], isAuthority: true }),
  clientCa: "",
  requiresClient: false
}
const tlsSource: TlsSource = { current: testTls, onChange: () => {} }

const tls: Transport = {
  name: "TLS",
  listen: (accept, address = "127.0.0.1:0") => net.listenTcp(address, accept, tlsSource),
  greet: async () => {},
  wrap: (bytes) => bytes,
  unwrap: (bytes) => bytes,
  secure: true
}

const unix: Transport = {
  name: "a unix socket",
  listen: (accept, address = join(mkdtempSync(join(tmpdir(), "net-")), "socket")) => net.listenUnix(address, accept),
  greet: async () => {},
  wrap: (bytes) => bytes,
  unwrap: (bytes) => bytes
}

const FRAME_BYTES_MAX = 4_194_304

const webSocket: Transport = {
  name: "WebSocket",
  listen: (accept, address = "127.0.0.1:0") =>
    net.listenWebSocket(address, { path: "/mqtt", subprotocols: ["mqtt"], frameSizeMax: FRAME_BYTES_MAX }, accept),
  greet: async (peer) => {
    peer.write(upgrade())
    let answer = ""
    await new Promise<void>((resolve, fail) => {
      const failed = (): void => fail(new Error(`no answer to the upgrade: ${answer}`))
      peer.once("close", failed)
      peer.on("data", function take(chunk: Uint8Array) {
        answer += Buffer.from(chunk).toString("latin1")
        if (!answer.includes("\r\n\r\n")) return
        peer.off("data", take)
        peer.off("close", failed)
        if (answer.startsWith("HTTP/1.1 101 ")) resolve()
        else failed()
      })
    })
  },
  wrap: (bytes) => frame(2, bytes),
  unwrap: (bytes) => payloadOf(bytes)
}

function upgrade(path = "/mqtt", protocol = "mqtt"): string {
  const key = randomBytes(16).toString("base64")
  return `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`
}

/** One masked frame of a client, RFC 6455 section 5.2. */
function frame(opcode: number, payload: Uint8Array, isLast = true): Uint8Array {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14)
  head[0] = (isLast ? 0x80 : 0) | opcode
  if (length < 126) head[1] = 0x80 | length
  else if (length < 65_536) {
    head[1] = 0x80 | 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 0x80 | 127
    head.writeUInt32BE(0, 2)
    head.writeUInt32BE(length, 6)
  }
  const mask = randomBytes(4)
  head.set(mask, head.length - 4)
  return Buffer.concat([head, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))])
}

/** The payloads of the data frames in what a server sent, as far as it came. */
function payloadOf(bytes: Uint8Array): Uint8Array {
  const view = Buffer.from(bytes)
  const payloads: Array<Uint8Array> = []
  for (let position = 0; position + 2 <= view.length; ) {
    const short = (view[position + 1] ?? 0) & 127
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    if (position + head > view.length) break
    const length =
      short < 126 ? short : short === 126 ? view.readUInt16BE(position + 2) : view.readUInt32BE(position + 6)
    const opcode = (view[position] ?? 0) & 15
    if (opcode <= 2) payloads.push(view.subarray(position + head, Math.min(view.length, position + head + length)))
    position += head + length
  }
  return Buffer.concat(payloads)
}

/** The peer's side. */
class Client {
  readonly peer: Peer
  readonly #transport: Transport
  readonly #chunks: Array<Uint8Array> = []
  hasEnded = false
  isClosed = false
  error: string | undefined

  constructor(peer: Peer, transport: Transport) {
    this.peer = peer
    this.#transport = transport
    peer.on("data", (chunk: Uint8Array) => this.#chunks.push(chunk))
    peer.on("end", () => {
      this.hasEnded = true
    })
    peer.on("close", () => {
      this.isClosed = true
    })
    peer.on("error", (error) => {
      this.error = String(error)
    })
  }

  get received(): Uint8Array {
    return this.#transport.unwrap(Buffer.concat(this.#chunks))
  }
  get receivedBytes(): number {
    return this.#chunks.reduce((sum, { length }) => sum + length, 0)
  }

  send(bytes: Uint8Array): void {
    this.peer.write(this.#transport.wrap(bytes))
  }
}

const peers: Array<Peer> = []
afterEach(() => {
  for (const peer of peers.splice(0)) peer.destroy()
})

function dial(address: string, isSecure = false): Promise<Peer> {
  const port = Number(address.slice(address.lastIndexOf(":") + 1))
  return new Promise((resolve, fail) => {
    const connected = (): void => {
      peer.off("error", fail)
      resolve(peer)
    }
    const to = address.startsWith("/") ? { path: address } : { host: "127.0.0.1", port }
    const peer: Peer = isSecure
      ? connectTls({ host: "127.0.0.1", port, ca: testTls.certificate }, connected)
      : connect({ ...to, allowHalfOpen: true }, connected)
    peers.push(peer)
    peer.setNoDelay(true)
    peer.once("error", fail)
  })
}

interface Served {
  readonly address: string
  readonly sides: Array<Side>
  readonly dial: () => Promise<Client>
  readonly pair: () => Promise<{ readonly client: Client; readonly side: Side }>
  readonly stop: () => Promise<void>
}

async function serve(transport: Transport, prepare: (side: Side) => void = () => {}): Promise<Served> {
  const sides: Array<Side> = []
  const own = Scope.makeUnsafe()
  const listening = transport.listen((socket) => {
    const side = new Side(socket)
    sides.push(side)
    prepare(side)
    return side
  })
  const { address } = await Effect.runPromise(Scope.provide(listening, own))
  const dialled = async (): Promise<Client> => {
    const peer = await dial(address, transport.secure)
    await transport.greet(peer)
    return new Client(peer, transport)
  }
  return {
    address,
    sides,
    dial: dialled,
    pair: async () => {
      const before = sides.length
      const client = await dialled()
      await until("a connection that is accepted", () => sides.length > before)
      return { client, side: sides[before] as Side }
    },
    stop: () => Effect.runPromise(Scope.close(own, Exit.void))
  }
}

/** Every call that the contract forbids, and every fault, of a test that has none. */
function checkSides(served: Served): void {
  for (const side of served.sides) {
    assert.equal(side.callsAfterClosed, 0)
    assert.ok(side.closes <= 1)
    for (const [index, piece] of side.pieces.entries()) assert.deepEqual(piece, side.copies[index])
  }
  assert.deepEqual(faults, [])
}

const webSocketTls: Transport = {
  ...webSocket,
  name: "WebSocket over TLS",
  listen: (accept, address = "127.0.0.1:0") =>
    net.listenWebSocket(
      address,
      { path: "/mqtt", subprotocols: ["mqtt"], frameSizeMax: FRAME_BYTES_MAX, tls: tlsSource },
      accept
    ),
  secure: true
}

/** What Deno does not have it refuses: one line, and the listener does not stand. */
const ON_BUN_ALONE = "Bun" in globalThis ? [tls, unix, webSocketTls] : []

for (const transport of [tcp, webSocket, ...ON_BUN_ALONE]) {
  describe(`${transport.name}: a connection`, () => {
    const one = (name: string, body: (served: Served) => Promise<void>, prepare?: (side: Side) => void): void => {
      test(name, async () => {
        const served = await serve(transport, prepare)
        try {
          await body(served)
          checkSides(served)
        } finally {
          await served.stop()
          for (const side of served.sides) side.socket.terminate()
        }
      })
    }

    one("bytes of any length pass unchanged both ways; the receiver may keep them", async ({ pair }) => {
      const { client, side } = await pair()
      const sent: Array<Uint8Array> = []
      for (const length of [1, 2, 511, 512, 513, 2_047, 2_048, 2_049, 8_192, 65_535, 65_536, 70_000, 1_000_000]) {
        const bytes = randomBytes(length)
        sent.push(bytes)
        client.send(bytes)
        await side.writeAll(bytes)
      }
      const all = Buffer.concat(sent)
      await until("all of it", () => side.receivedBytes === all.length && client.received.length === all.length)
      assert.equal(hashOf(side.received), hashOf(all))
      assert.equal(hashOf(client.received), hashOf(all))
      assert.equal(side.socket.peerAddress.replace("::ffff:", ""), transport === unix ? "" : "127.0.0.1")
    })

    one("what was given to write may be changed at once", async ({ pair }) => {
      const { client, side } = await pair()
      client.peer.pause()
      const bytes = new Uint8Array(300_000).fill(1)
      const first = side.socket.write(bytes, 0, bytes.length)
      bytes.fill(2)
      assert.ok(first > 0)
      client.peer.resume()
      await until("what was taken", () => client.received.length >= first)
      assert.ok(client.received.subarray(0, first).every((byte) => byte === 1))
    })

    one("only the range is written; nothing of nothing is taken", async ({ pair }) => {
      const { client, side } = await pair()
      assert.equal(side.socket.write(Uint8Array.of(1, 2, 3, 4), 1, 3), 2)
      assert.equal(side.socket.write(Uint8Array.of(5), 0, 0), 0)
      assert.equal(side.socket.write(Uint8Array.of(6), 0, 1), 1)
      await until("three bytes", () => client.received.length === 3)
      assert.deepEqual([...client.received], [2, 3, 6])
    })

    one("many small writes in one turn arrive in order", async ({ pair }) => {
      const { client, side } = await pair()
      const count = 20_000
      let taken = 0
      const bytes = new Uint8Array(4)
      const go = (): void => {
        while (taken < count) {
          new DataView(bytes.buffer).setUint32(0, taken)
          const wrote = side.socket.write(bytes, 0, 4)
          if (wrote === 0) return
          assert.equal(wrote, 4)
          taken += 1
        }
      }
      side.onDrain = go
      go()
      await until("all of them", () => client.received.length === count * 4)
      const view = Buffer.from(client.received)
      for (let index = 0; index < count; index++) assert.equal(view.readUInt32BE(index * 4), index)
    })

    one("a peer that does not read fills the socket; drain tells when it goes on", async ({ pair }) => {
      const { client, side } = await pair()
      client.peer.pause()
      const block = randomBytes(1_048_576)
      let total = 0
      let last = 0
      for (let round = 0; round < 50; round++) {
        last = side.socket.write(block, 0, block.length)
        total += last
        if (last === 0) break
        await sleep(10)
      }
      assert.equal(last, 0)
      assert.ok(total < 32 * 1_048_576, `${total} bytes were taken`)
      const drains = side.drains
      client.peer.resume()
      await until("a drain", () => side.drains > drains)
      await until("what was taken", () => client.received.length === total)
      assert.equal(side.socket.write(block, 0, 10), 10)
    })

    one("what waits at the end still arrives, then the end; then the receiver is told", async ({ pair }) => {
      const { client, side } = await pair()
      side.socket.write(Uint8Array.of(0xe0, 0x02, 0x8b, 0x00), 0, 4)
      side.socket.end()
      assert.equal(side.socket.write(Uint8Array.of(1), 0, 1), CLOSED)
      await until("the end", () => client.hasEnded)
      assert.deepEqual([...client.received], [0xe0, 0x02, 0x8b, 0x00])
      assert.equal(client.error, undefined)
      client.peer.end()
      await until("closed", () => side.closes === 1)
      assert.equal(side.socket.write(Uint8Array.of(1), 0, 1), CLOSED)
    })

    one("the last words reach a peer that keeps sending", async ({ pair }) => {
      const { client, side } = await pair()
      const noise = setInterval(() => client.peer.writable && client.send(new Uint8Array(20_000)), 1)
      try {
        await until("noise", () => side.receivedBytes > 100_000)
        side.socket.write(Uint8Array.of(7), 0, 1)
        side.socket.end()
        await until("the last word", () => client.received.length === 1)
        await until("closed", () => side.closes === 1)
      } finally {
        clearInterval(noise)
      }
    })

    one("a peer that neither reads nor closes does not keep an ended connection", async ({ pair }) => {
      const { client, side } = await pair()
      client.peer.pause()
      side.socket.write(new Uint8Array(8_388_608), 0, 8_388_608)
      side.socket.end()
      await until("closed", () => side.closes === 1)
    })

    one("a peer that ends its side ends the connection", async ({ pair }) => {
      const { client, side } = await pair()
      client.send(Uint8Array.of(1))
      client.peer.end()
      await until("closed", () => side.closes === 1)
      assert.deepEqual([...side.received], [1])
      assert.equal(side.socket.write(Uint8Array.of(1), 0, 1), CLOSED)
      await until("the other side's end", () => client.hasEnded)
    })

    one("answers that were taken reach a peer that has ended its side", async ({ pair }) => {
      const { client, side } = await pair()
      side.onData = () => side.socket.write(Uint8Array.of(9, 9), 0, 2)
      client.peer.write(transport.wrap(Uint8Array.of(1)))
      client.peer.end()
      await until("the answer", () => client.received.length === 2)
    })

    one("a peer that is reset is gone once", async ({ pair }) => {
      const { client, side } = await pair()
      side.socket.write(randomBytes(100_000), 0, 100_000)
      client.peer.resetAndDestroy()
      await until("closed", () => side.closes === 1)
      await sleep(20)
      assert.equal(side.socket.write(Uint8Array.of(1), 0, 1), CLOSED)
      side.socket.end()
      side.socket.terminate()
      side.socket.pause()
      side.socket.resume()
    })

    one("terminate closes at once, from wherever it is called, and tells once", async ({ pair }) => {
      const { client, side } = await pair()
      side.onData = () => {
        side.socket.terminate()
        side.socket.terminate()
        assert.equal(side.socket.write(Uint8Array.of(1), 0, 1), CLOSED)
      }
      client.send(Uint8Array.of(1))
      client.send(Uint8Array.of(2))
      await until("closed", () => side.closes === 1)
      await until("gone for the peer", () => client.hasEnded || client.isClosed)
      await sleep(20)
      assert.equal(side.pieces.length, 1)
    })

    one("while paused nothing comes, and the peer is slowed; resume brings all of it in order", async ({ pair }) => {
      const { client, side } = await pair()
      side.socket.pause()
      await sleep(20)
      const bytes = randomBytes(6_000_000)
      for (let start = 0; start < bytes.length; start += 60_000) client.send(bytes.subarray(start, start + 60_000))
      await sleep(200)
      assert.equal(side.receivedBytes, 0)
      // Paused again in the middle of what waits.
      side.onData = () => {
        side.socket.pause()
        setTimeout(() => side.socket.resume(), 0)
      }
      side.socket.resume()
      await until("some", () => side.receivedBytes > 100_000)
      side.onData = () => {}
      side.socket.resume()
      await until("all of it", () => side.receivedBytes === bytes.length)
      assert.equal(hashOf(side.received), hashOf(bytes))
    })

    one("a paused connection can be ended and terminated", async ({ pair }) => {
      for (const close of ["end", "terminate"] as const) {
        const { client, side } = await pair()
        side.socket.pause()
        client.send(new Uint8Array(100_000))
        await sleep(20)
        side.socket[close]()
        await until("gone for the peer", () => client.hasEnded || client.isClosed)
        client.peer.end()
        await until("closed", () => side.closes === 1)
        assert.equal(side.receivedBytes, 0)
      }
    })

    one(
      "a receiver that may be closed while it is accepted",
      async ({ dial, sides }) => {
        await dial().catch(() => {})
        await until("closed", () => sides[0]?.closes === 1)
      },
      (side) => queueMicrotask(() => side.socket.terminate())
    )

    // A WebSocket that ends without a close is cut by Bun with what it had buffered.
    if (transport === tcp) {
      one(
        "what a full socket has taken arrives, though the peer has ended its side and reads later",
        async ({ pair }) => {
          const { client, side } = await pair()
          client.peer.pause()
          const block = randomBytes(1_048_576)
          let total = 0
          for (let round = 0; round < 50; round++) {
            const taken = side.socket.write(block, 0, block.length)
            total += taken
            if (taken === 0) break
            await sleep(10)
          }
          client.peer.end()
          await sleep(200)
          client.peer.resume()
          await until("all that was taken", () => client.received.length === total)
          await until("closed", () => side.closes === 1)
        }
      )
    }

    test("what a receiver throws costs its connection alone, and is told", async () => {
      const served = await serve(transport)
      const { client, side } = await served.pair()
      const other = await served.pair()
      side.onData = () => {
        throw new Error("a bad receiver")
      }
      client.send(Uint8Array.of(1))
      await until("closed", () => side.closes === 1)
      assert.deepEqual(faults.splice(0), ["Error: a bad receiver"])
      other.client.send(Uint8Array.of(1))
      await until("the other one", () => other.side.receivedBytes === 1)
      await served.stop()
      other.side.socket.terminate()
    })

    test("what is thrown instead of a receiver costs that connection alone, and is told", async () => {
      let isBad = true
      const sides: Array<Side> = []
      const own = Scope.makeUnsafe()
      const listening = transport.listen((socket) => {
        if (isBad) throw new Error("nobody receives")
        const side = new Side(socket)
        sides.push(side)
        return side
      })
      const { address } = await Effect.runPromise(Scope.provide(listening, own))
      const peer = await dial(address, transport.secure)
      const client = new Client(peer, tcp)
      if (transport === webSocket || transport === webSocketTls) peer.write(upgrade())
      await until("gone for the peer", () => client.hasEnded || client.isClosed)
      assert.deepEqual(faults.splice(0), ["Error: nobody receives"])
      isBad = false
      const next = await dial(address, transport.secure)
      await transport.greet(next)
      await until("a connection that is accepted", () => sides.length === 1)
      await Effect.runPromise(Scope.close(own, Exit.void))
      sides[0]?.socket.terminate()
    })

    test("a listener that closes leaves its connections to their owners, and frees the port", async () => {
      const served = await serve(transport)
      const { client, side } = await served.pair()
      await served.stop()
      await assert.rejects(dial(served.address, transport.secure))
      client.send(Uint8Array.of(1))
      await until("a byte", () => side.receivedBytes === 1)
      side.socket.write(Uint8Array.of(2), 0, 1)
      await until("an answer", () => client.received.length === 1)
      side.socket.end()
      client.peer.end()
      await until("closed", () => side.closes === 1)
      checkSides(served)
    })

    test("a port in use and an address of another machine are refused with a line", async () => {
      const served = await serve(transport)
      const refusal = async (address: string): Promise<string> => {
        const listening = transport.listen((socket) => new Side(socket), address)
        return (await Effect.runPromise(Effect.flip(Effect.scoped(listening)))).reason
      }
      if (transport === unix) {
        assert.equal(await refusal(served.address), "another process listens there")
        assert.equal(await refusal(import.meta.filename), "there is a file of another kind")
        assert.match(await refusal("/nowhere/at/all"), /ENOENT|[Nn]o such|Failed to listen/)
        assert.equal(await refusal(`/${"x".repeat(107)}`), "the path is longer than 107 bytes")
        await served.stop()
        return
      }
      assert.equal(await refusal(served.address), "the port is in use")
      assert.equal(await refusal("192.0.2.1:0"), "this machine has no such address")
      assert.equal(await refusal("nonsense"), 'expected "host:port"')
      await served.stop()
    })

    one("1,000 connections at once, each with its own bytes", async (served) => {
      const clients: Array<Client> = []
      for (let start = 0; start < 1_000; start += 50) {
        clients.push(...(await Promise.all(Array.from({ length: 50 }, () => served.dial()))))
      }
      await until("all accepted", () => served.sides.length === 1_000)
      for (const side of served.sides) side.onData = (bytes) => side.socket.write(bytes, 0, bytes.length)
      for (const [index, client] of clients.entries()) client.send(Buffer.from(`client ${index}`))
      await until("all answers", () =>
        clients.every((client, index) => Buffer.from(client.received).toString() === `client ${index}`)
      )
      for (const { peer } of clients) peer.destroy()
      await until("all closed", () => served.sides.every(({ closes }) => closes === 1))
    })
  })
}

describe("WebSocket: who is let in, and what ends a connection", () => {
  const answerTo = async (address: string, request: string): Promise<string> => {
    const peer = await dial(address)
    const client = new Client(peer, tcp)
    peer.write(request)
    await until("an answer", () => client.receivedBytes > 0)
    return Buffer.from(client.received).toString("latin1").split("\r\n")[0] ?? ""
  }

  test("requests that are no upgrade, or not for this path, or of no known subprotocol", async () => {
    const served = await serve(webSocket)
    assert.match(await answerTo(served.address, upgrade("/other")), / 404 /)
    assert.match(await answerTo(served.address, upgrade("/mqtt", "chat")), / 400 /)
    assert.match(await answerTo(served.address, "GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n"), / 426 /)
    assert.match(await answerTo(served.address, upgrade("/mqtt?a=b")), / 101 /)
    await served.stop()
    for (const side of served.sides) side.socket.terminate()
  })

  test("whoever is reset before, during or after the upgrade ends nothing but itself", async () => {
    const served = await serve(webSocket)
    const requests = ["", "GET", "GET /mqtt HTTP/1.1\r\nHost", upgrade("/other"), upgrade("/mqtt", "chat"), upgrade()]
    for (let round = 0; round < 20; round++) {
      for (const request of requests) {
        const peer = await dial(served.address)
        peer.on("error", () => {})
        if (request !== "") peer.write(request)
        if (round % 2 === 0) await sleep(round % 4)
        peer.resetAndDestroy()
      }
    }
    const client = await served.dial()
    client.send(Uint8Array.of(1))
    await until("a byte", () => served.sides.some(({ receivedBytes }) => receivedBytes === 1))
    assert.deepEqual(faults, [])
    await served.stop()
    for (const each of served.sides) each.socket.terminate()
    await until("all closed", () => served.sides.every(({ closes }) => closes === 1))
  })

  const bad: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["a text", frame(1, Buffer.from("text"))],
    ["no mask", Uint8Array.of(0x82, 1, 0)],
    ["a reserved opcode", frame(3, Uint8Array.of(1))],
    ["a reserved bit", Uint8Array.of(0xc2, 0x81, 0, 0, 0, 0, 1)],
    ["a continuation of nothing", frame(0, Uint8Array.of(1))],
    ["a cut control frame", frame(9, Uint8Array.of(1), false)],
    ["a long control frame", frame(9, new Uint8Array(126))],
    ["a frame of more than is allowed", frame(2, new Uint8Array(FRAME_BYTES_MAX + 1)).subarray(0, 1_000)],
    ["a frame of 2^62 bytes", Uint8Array.of(0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4)],
    ["a close", frame(8, Uint8Array.of(0x03, 0xe8))],
    ["a close without a code", frame(8, new Uint8Array(0))]
  ]
  test("what RFC 6455 forbids, and a close, end the connection, though the peer does nothing more", async () => {
    const end = async ([name, bytes]: readonly [string, Uint8Array]): Promise<void> => {
      const served = await serve(webSocket)
      const { client, side } = await served.pair()
      client.peer.write(bytes)
      await until(`${name}: closed`, () => side.closes === 1)
      await until(`${name}: gone for the peer`, () => client.hasEnded || client.isClosed)
      assert.equal(side.receivedBytes, 0, name)
      checkSides(served)
      await served.stop()
    }
    await Promise.all(bad.map(end))
  })

  test("fragments, pings between them and empty frames", async () => {
    const served = await serve(webSocket)
    const { client, side } = await served.pair()
    client.peer.write(
      Buffer.concat([
        frame(2, Uint8Array.of(1, 2), false),
        frame(9, Uint8Array.of(5)),
        frame(0, Uint8Array.of(3), false),
        frame(10, Uint8Array.of(5)),
        frame(0, new Uint8Array(0)),
        frame(2, new Uint8Array(0)),
        frame(2, Uint8Array.of(4))
      ])
    )
    await until("four bytes", () => side.receivedBytes === 4)
    assert.deepEqual([...side.received], [1, 2, 3, 4])
    await until("a pong", () => client.receivedBytes === 3)
    checkSides(served)
    await served.stop()
    side.socket.terminate()
  })
})
