/** Connections of ours, on the network of the runtime that runs the tests: plain and with TLS, refused, given up, and to whom. */
import assert from "node:assert/strict"
import { type AddressInfo, createServer, type Server } from "node:net"
import { after, test } from "node:test"
import { createServer as createTlsServer } from "node:tls"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { makeAuthority, makeCertificate } from "../../tests/support/certificates.ts"
import { hostPlatform } from "./host.ts"
import { type ConnectError, Net, type Socket, type SocketReceiver, type TlsClientOptions } from "./Net.ts"

const RUNS_ON_DENO = "Deno" in globalThis
const scope = Scope.makeUnsafe()
const net = Context.get(await Effect.runPromise(Scope.provide(Layer.build(hostPlatform(() => {})), scope)), Net)
after(() => Effect.runPromise(Scope.close(scope, Exit.void)))

async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000
  while (!holds()) {
    assert.ok(performance.now() < endMs, `in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

class Side implements SocketReceiver {
  text = ""
  closes = 0
  socket: Socket | undefined
  readonly accept = (socket: Socket): SocketReceiver => {
    this.socket = socket
    return this
  }
  data(bytes: Uint8Array): void {
    this.text += new TextDecoder().decode(bytes)
  }
  drain(): void {}
  closed(): void {
    this.closes += 1
  }
  say(text: string): void {
    const bytes = new TextEncoder().encode(text)
    assert.equal(this.socket?.write(bytes, 0, bytes.length), bytes.length)
  }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const connect = (address: string, side: Side, tls?: TlsClientOptions): Promise<ConnectError | undefined> =>
  Effect.runPromise(
    net.connectTcp(address, side.accept, tls).pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error))
    )
  )

test("plain: bytes go both ways, and either end ends it", async () => {
  const server = createServer((peer) => peer.on("error", () => {}).on("data", (chunk) => peer.write(chunk)))
  const address = await listen(server)
  const [one, other] = [new Side(), new Side()]
  assert.equal(await connect(address, one), undefined)
  one.say("hello")
  await until("an echo", () => one.text === "hello")
  one.socket?.end()
  await until("the end", () => one.closes === 1)
  server.on("connection", (peer) => peer.end("bye"))
  assert.equal(await connect(address, other), undefined)
  await until("the peer's end", () => other.closes === 1)
  assert.equal(other.text, "bye")
  server.close()
})

test("nobody listens, no such host, no address: one line each, and nobody was asked", async () => {
  const side = new Side()
  const server = createServer()
  const address = await listen(server)
  await new Promise((done) => server.close(done))
  assert.equal((await connect(address, side))?.reason, "nobody listens there")
  assert.match((await connect("no-such-host.invalid:1883", side))?.reason ?? "", /^[^\n]+$/)
  assert.equal((await connect("nowhere", side))?.reason, 'expected "host:port"')
  assert.equal(side.socket, undefined)
})

const authority = makeAuthority()
const withTls = (more: Partial<TlsClientOptions> = {}): TlsClientOptions => ({
  serverName: "127.0.0.1",
  ca: authority.certificate,
  certificate: "",
  privateKey: "",
  ...more
})

test("TLS: the peer's certificate must be good for the name, and vouched for", async () => {
  const { certificate: cert, privateKey: key } = makeCertificate({ name: "b", hosts: ["127.0.0.1"] }, authority)
  const server = createTlsServer({ cert, key }, (peer) =>
    peer.on("error", () => {}).on("data", (chunk) => peer.write(chunk))
  )
  server.on("tlsClientError", () => {})
  const address = await listen(server)
  const side = new Side()
  assert.equal(await connect(address, side, withTls()), undefined)
  side.say("sealed")
  await until("an echo", () => side.text === "sealed")
  side.socket?.terminate()
  await until("the end", () => side.closes === 1)
  for (const wrong of [
    withTls({ serverName: "other.example" }),
    withTls({ ca: makeAuthority("another").certificate })
  ]) {
    const refused = new Side()
    assert.match((await connect(address, refused, wrong))?.reason ?? "", /./)
    assert.equal(refused.socket, undefined)
  }
  server.close()
})

test("TLS: certificates and keys that are none: one line, and nobody was asked", async () => {
  const server = createServer((peer) => peer.on("error", () => {}))
  const address = await listen(server)
  const side = new Side()
  const none = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"
  for (const wrong of [{ ca: none }, { certificate: none, privateKey: "none" }]) {
    assert.match((await connect(address, side, withTls(wrong)))?.reason ?? "", /^[^\n]+$/)
  }
  assert.equal(side.socket, undefined)
  server.close()
})

test("TLS: a certificate of ours is shown to a peer that asks for one", async () => {
  const { certificate: cert, privateKey: key } = makeCertificate({ name: "b", hosts: ["127.0.0.1"] }, authority)
  const own = makeCertificate({ name: "bridge" }, authority)
  const seen: Array<string> = []
  const options = { cert, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: true }
  const server = createTlsServer(options, (peer) => {
    peer.on("error", () => {})
    seen.push(String(peer.getPeerCertificate().subject.CN))
  })
  server.on("tlsClientError", () => {})
  const address = await listen(server)
  const side = new Side()
  await connect(address, side, withTls({ certificate: own.certificate, privateKey: own.privateKey }))
  await until("the certificate", () => seen.length === 1)
  assert.deepEqual(seen, ["bridge"])
  side.socket?.terminate()
  server.close()
})

/** Connects to a peer that never answers the handshake; `ms` later it is interrupted. What is left of it. */
async function interruptAfter(ms: number): Promise<void> {
  let [opens, closes] = [0, 0]
  const server = createServer((peer) => {
    opens += 1
    peer
      .on("error", () => {})
      .on("close", () => (closes += 1))
      .resume()
  })
  const address = await listen(server)
  const side = new Side()
  const fiber = Effect.runFork(net.connectTcp(address, side.accept, withTls()))
  await new Promise((resolve) => (ms === 0 ? resolve(undefined) : setTimeout(resolve, ms)))
  await Effect.runPromise(Fiber.interrupt(fiber))
  await until("the connection's end", () => opens === 1 && closes === 1)
  assert.equal(side.socket, undefined)
  server.close()
}

// There a handshake cannot be given up, nor one that is about to begin: its connection goes when it has ended, one way or the other.
test("interrupted, it is given up: nobody is asked, and the connection goes", { skip: RUNS_ON_DENO }, () =>
  interruptAfter(100)
)

test(
  "given up while the network has not answered yet: the connection goes when it stands",
  { skip: RUNS_ON_DENO },
  () => interruptAfter(0)
)

test("a peer whose handshake is cut short is told of at once", { skip: RUNS_ON_DENO }, async () => {
  const server = createServer((peer) => peer.on("error", () => {}).end())
  const address = await listen(server)
  assert.match((await connect(address, new Side(), withTls()))?.reason ?? "", /./)
  server.close()
})
