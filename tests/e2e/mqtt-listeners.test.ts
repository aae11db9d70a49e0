/** Listeners beside plain TCP and WebSocket: TLS, WebSocket over TLS, unix sockets, connections behind a proxy. */
import { afterAll, afterEach, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createConnection, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls"
import { type Broker, brokerSuite, IS_EXTERNAL, parseAddress, RUNS_ON_DENO, runCommand } from "../support/broker.ts"
import { makeAuthority, makeCertificate } from "../support/certificates.ts"
import { decode, packetLength } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until, within } from "../support/until.ts"

const folder = mkdtempSync(join(tmpdir(), "manifold-tls-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)
const authority = makeAuthority()
const server = (name: string) => makeCertificate({ name, hosts: ["127.0.0.1", "localhost"] }, authority)
const put = (name: string, text: string): string => {
  writeFileSync(path(name), text)
  return path(name)
}
const show = (name: string): void => {
  const { certificate, privateKey } = server(name)
  put("key.pem", privateKey)
  put("certificate.pem", certificate)
}
show("first")
put("ca.pem", authority.certificate)
const own = server("own")
put("own-key.pem", own.privateKey)
put("own.pem", own.certificate)
const device = makeCertificate({ name: "device-7" }, authority)
const expired = makeCertificate({ name: "device-8", days: -2 }, authority)
const stranger = makeCertificate({ name: "device-9" }, makeAuthority("another one"))

const sockets: Array<Socket> = []
const cutAll = (): void => {
  for (const socket of sockets.splice(0)) socket.destroy()
  RawMqtt.cutAll()
}
const portOf = (broker: Broker, listener: string): number => broker.address(`protocol-mqtt.${listener}`).port

/** A TLS connection, or why there is none. */
function dial(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, fail) => {
    const socket = connectTls({ host: "127.0.0.1", port, ca: authority.certificate, ...options }, () => resolve(socket))
    sockets.push(socket)
    socket.on("error", fail)
    socket.on("close", () => fail(new Error("closed")))
  })
}

/** The first packet that comes, of a CONNECT that is sent. */
function answered(socket: Socket, before: Uint8Array = new Uint8Array(0), clientId = uniqueId()): Promise<string> {
  socket.write(Buffer.concat([before, encode.connect({ version: 5, clientId })]))
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const length = packetLength(bytes)
      if (length !== undefined) resolve(decode(bytes.subarray(0, length), 5).type)
    })
    socket.on("close", () => resolve("closed"))
    socket.on("error", () => resolve("closed"))
  })
}

const TLS = {
  "protocol-mqtt.tls": "127.0.0.1:0",
  "protocol-mqtt.websocket_tls": "127.0.0.1:0",
  "protocol-mqtt.certificate": path("certificate.pem"),
  "protocol-mqtt.private_key": path("key.pem")
}

const OWN = `
[[plugin]]
use = "protocol-mqtt"
[[plugin.options.listener]]
transport = "tls"
address = "127.0.0.1:0"
certificate = "${path("own.pem")}"
private_key = "${path("own-key.pem")}"
client_ca = "${path("ca.pem")}"
client_certificate = "required"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`

describe.skipIf(IS_EXTERNAL || RUNS_ON_DENO)("listeners", () => {
  brokerSuite("TLS", { set: TLS }, (broker) => {
    afterEach(cutAll)

    test("CONNECT, SUBSCRIBE and PUBLISH as over TCP; TLS 1.2 and 1.3, nothing older", async () => {
      const port = portOf(broker(), "tls")
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const socket = await dial(port, { minVersion: version, maxVersion: version })
        expect(socket.getProtocol()).toBe(version)
        expect(await answered(socket)).toBe("connack")
      }
      const old = dial(port, { minVersion: "TLSv1", maxVersion: "TLSv1.1" })
      expect(
        await old.then(
          () => "connected",
          () => "refused"
        )
      ).toBe("refused")
      const plain = createConnection({ host: "127.0.0.1", port })
      sockets.push(plain)
      plain.write(encode.connect({ version: 5, clientId: uniqueId() }))
      const came: Array<number> = []
      plain.on("data", (chunk: Buffer) => came.push(...chunk))
      await new Promise<void>((resolve) => plain.on("close", () => resolve()))
      // At most an alert of TLS.
      expect(came[0] ?? 21).toBe(21)
    })

    test("a message of a megabyte passes, and comes to a client on plain TCP", async () => {
      const level = uniqueLevel()
      const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await subscriber.subscribe(level, 1)
      const socket = await dial(portOf(broker(), "tls"))
      expect(await answered(socket)).toBe("connack")
      const payload = new Uint8Array(1_000_000).fill(0x61)
      socket.write(encode.publish(5, { topic: level, payload, qos: 1, id: 1 }))
      const [message] = await subscriber.messages(1, { timeoutMs: 5_000 })
      expect(Buffer.from(message?.payload ?? []).equals(payload)).toBe(true)
    })

    test("WebSocket over TLS", async () => {
      const socket = await dial(portOf(broker(), "websocket_tls"))
      const key = "dGhlIHNhbXBsZSBub25jZQ=="
      socket.write(
        `GET /mqtt HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
      )
      const head = await new Promise<string>((resolve) =>
        socket.once("data", (chunk) => resolve(chunk.toString("latin1")))
      )
      expect(head).toContain("101 Switching Protocols")
      const packet = encode.connect({ version: 5, clientId: uniqueId() })
      socket.write(Buffer.concat([Uint8Array.of(0x82, 0x80 | packet.length, 0, 0, 0, 0), packet]))
      const frame = await new Promise<Buffer>((resolve) => socket.once("data", resolve))
      expect(decode(frame.subarray(2), 5).type).toBe("connack")
    })

    test("a certificate that is changed is shown to the next connection, and no connection is lost", async () => {
      const port = portOf(broker(), "tls")
      const early = await dial(port)
      const earlyWeb = await dial(portOf(broker(), "websocket_tls"))
      const before = String(early.getPeerCertificate().subject.CN)
      expect(await answered(early)).toBe("connack")
      const after = `${before}+`
      show(after)
      const nameOf = async (listener: string): Promise<string> => {
        const socket = await dial(portOf(broker(), listener))
        return String(socket.getPeerCertificate().subject.CN)
      }
      await until("the new certificate", async () => (await nameOf("tls")) === after, 12_000)
      expect(await nameOf("websocket_tls")).toBe(after)
      early.write(encode.pingreq())
      const pong = await new Promise<Buffer>((resolve) => early.once("data", resolve))
      expect(decode(pong, 5).type).toBe("pingresp")
      expect(earlyWeb.destroyed).toBe(false)
    }, 20_000)

    test("5,000 handshakes that never end slow nobody, hold little, and are cut", async () => {
      const port = portOf(broker(), "tls")
      const beginnings: ReadonlyArray<readonly [listener: string, first: Uint8Array]> = [
        ["tls", Uint8Array.of(0x16, 3, 1, 2)],
        ["websocket_tls", Uint8Array.of(0x16, 3, 1, 2)],
        ["websocket", Buffer.from("GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgr")],
        ["tcp", encode.connect({ version: 5, clientId: uniqueId() }).subarray(0, 9)]
      ]
      const before = broker().residentBytes()
      const opened: Array<Promise<void>> = []
      const ended: Array<Promise<void>> = []
      for (let number = 0; number < 5_000; number++) {
        const [listener, first] = beginnings[number % beginnings.length] ?? ["tls", new Uint8Array(0)]
        const socket = createConnection({ host: "127.0.0.1", port: portOf(broker(), listener) })
        opened.push(new Promise((resolve) => socket.once("connect", () => socket.write(first, () => resolve()))))
        ended.push(new Promise((resolve) => socket.once("close", () => resolve())))
        socket.on("error", () => {})
        socket.resume()
        sockets.push(socket)
        if (number % 100 === 99) await Promise.all(opened.splice(0))
      }
      const started = performance.now()
      for (let number = 0; number < 20; number++) expect(await answered(await dial(port))).toBe("connack")
      expect(performance.now() - started).toBeLessThan(3_000)
      // The handshakes alone; a buffer of 16 KiB each would be 80 MiB.
      expect((broker().residentBytes() - before) / 1_048_576).toBeLessThan(120)
      await within("the end of all of them", Promise.all(ended), 25_000)
    }, 60_000)
  })

  brokerSuite(
    "mutual TLS",
    {
      set: {
        ...TLS,
        "protocol-mqtt.client_ca": path("ca.pem"),
        "protocol-mqtt.client_certificate": "required"
      }
    },
    (broker) => {
      afterEach(cutAll)
      const outcome = async (listener: string, options: ConnectionOptions): Promise<string> => {
        const socket = await dial(portOf(broker(), listener), options).catch(() => undefined)
        return socket === undefined ? "refused" : answered(socket)
      }
      test("a client whose certificate the authority vouches for is let in, nobody else", async () => {
        const of = ({ certificate, privateKey }: typeof device) => ({ cert: certificate, key: privateKey })
        expect(await outcome("tls", of(device))).toBe("connack")
        for (const options of [{}, of(expired), of(stranger)]) {
          expect(["closed", "refused"]).toContain(await outcome("tls", options))
        }
        const web = await dial(portOf(broker(), "websocket_tls"), of(device))
        expect(web.authorized).toBe(true)
        for (const options of [{}, of(expired), of(stranger)]) {
          const socket = await dial(portOf(broker(), "websocket_tls"), options).catch(() => undefined)
          if (socket === undefined) continue
          socket.write("GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n")
          const came = await new Promise<string>((resolve) => {
            socket.on("data", () => resolve("an answer"))
            socket.on("close", () => resolve("closed"))
            socket.on("error", () => resolve("closed"))
          })
          expect(came).toBe("closed")
        }
      })
    }
  )

  brokerSuite("a listener with a certificate of its own", { config: OWN, set: TLS }, (broker) => {
    afterEach(cutAll)
    test("shows it and asks for what its table says; the others show and ask as before", async () => {
      const ports = /protocol-mqtt\.tls=(\S+)/.exec(broker().readyLine)?.[1]?.split(",").map(parseAddress) ?? []
      const named = async (index: number, options: ConnectionOptions = {}): Promise<string> => {
        const socket = await dial(ports[index]?.port ?? 0, options).catch(() => undefined)
        if (socket === undefined) return "refused"
        const name = String(socket.getPeerCertificate().subject.CN)
        return (await answered(socket)) === "connack" ? name : "closed"
      }
      const { certificate: cert, privateKey: key } = device
      expect(await named(0)).toStartWith("first")
      expect(await named(1, { cert, key })).toBe("own")
      expect(["closed", "refused"]).toContain(await named(1))
    })
  })

  brokerSuite("unix socket", { set: { "protocol-mqtt.unix": path("mqtt.sock") } }, (broker) => {
    afterEach(cutAll)
    test("a client on this machine", async () => {
      expect(broker().readyLine).toContain(`protocol-mqtt.unix=${path("mqtt.sock")}`)
      const socket = createConnection({ path: path("mqtt.sock") })
      sockets.push(socket)
      expect(await answered(socket)).toBe("connack")
    })
  })

  brokerSuite(
    "PROXY protocol",
    { set: { "protocol-mqtt.proxy_protocol": "true", "protocol-mqtt.unix": path("proxied.sock") } },
    (broker) => {
      afterEach(cutAll)
      const open = (): Socket => {
        const { host, port } = broker().mqtt
        const socket = createConnection({ host, port })
        sockets.push(socket)
        return socket
      }
      test("a connection with a header of either version is served, one without is cut", async () => {
        expect(await answered(open(), Buffer.from("PROXY TCP4 192.0.2.7 127.0.0.1 5000 1883\r\n"))).toBe("connack")
        const binary = Buffer.from("0d0a0d0a000d0a515549540a2111000cc00002077f00000113880757", "hex")
        expect(await answered(open(), binary)).toBe("connack")
        expect(await answered(open())).toBe("closed")
        expect(await answered(open(), Buffer.from("PROXY TCP4 nobody 127.0.0.1 5000 1883\r\n"))).toBe("closed")
        const local = createConnection({ path: path("proxied.sock") })
        sockets.push(local)
        expect(await answered(local, binary)).toBe("connack")
      })
      test("WebSocket, too", async () => {
        const { host, port } = broker().websocket
        const request = `GET /mqtt HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
        for (const [head, answer] of [
          ["PROXY TCP4 192.0.2.7 127.0.0.1 5000 8083\r\n", "HTTP/1.1 101 Switching Protocols"],
          ["", ""]
        ]) {
          const socket = createConnection({ host, port })
          sockets.push(socket)
          socket.write(head + request)
          const came = await new Promise<string>((resolve) => {
            socket.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1").split("\r\n")[0] ?? ""))
            socket.once("close", () => resolve(""))
          })
          expect(came).toBe(String(answer))
        }
      })
      test("its client may be of any shard: what came behind the header goes there whole", async () => {
        for (let number = 0; number < 12; number++) {
          const socket = open()
          expect(await answered(socket, Buffer.from("PROXY TCP6 2001:db8::7 ::1 5000 1883\r\n"))).toBe("connack")
        }
      })
    }
  )

  const FAULTS: ReadonlyArray<readonly [what: string, set: Record<string, string>, line: RegExp]> = [
    [
      "no certificate",
      { "protocol-mqtt.tls": "127.0.0.1:0" },
      /tls, websocket_tls and quic need certificate and private_key/
    ],
    ["a certificate that is not there", { ...TLS, "protocol-mqtt.certificate": path("none.pem") }, /none\.pem: /],
    [
      "a key that is another's",
      { ...TLS, "protocol-mqtt.private_key": path("other.pem") },
      /is not the key of the certificate/
    ],
    ["no roots for client certificates", { ...TLS, "protocol-mqtt.client_certificate": "required" }, /needs client_ca/],
    ["a unix socket where a file is", { "protocol-mqtt.unix": path("ca.pem") }, /there is a file of another kind/]
  ]
  test("a start with faulty options ends with one line", async () => {
    put("other.pem", device.privateKey)
    for (const [what, set, line] of FAULTS) {
      const sets = Object.entries({ "protocol-mqtt.tcp": "127.0.0.1:0", ...set }).flatMap(([key, value]) => [
        "--set",
        `${key}=${value}`
      ])
      const more = ["protocol-mqtt.websocket=", "protocol-kafka.tcp=127.0.0.1:0", "admin-http.tcp=127.0.0.1:0"]
      const { code, stdout, stderr } = await runCommand([
        "start",
        "--data",
        mkdtempSync(join(tmpdir(), "manifold-tls-data-")),
        ...sets,
        ...more.flatMap((each) => ["--set", each])
      ])
      expect([what, code, stdout]).toEqual([what, 1, ""])
      expect(stderr.trim().split("\n").at(-1)).toMatch(line)
    }
  }, 30_000)
})
