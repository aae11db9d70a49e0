/** MQTT over QUIC, driven by our own client on node:quic: a preview, and what it must hold. */
import { afterAll, afterEach, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { QuicSession, QuicStream } from "node:quic"
import { type Broker, brokerSuite, IS_EXTERNAL, RUNS_ON_DENO } from "../support/broker.ts"
import { makeAuthority, makeCertificate } from "../support/certificates.ts"
import { type Decoded, type DecodedOf, type DecodedType, decode, packetLength } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const folder = mkdtempSync(join(tmpdir(), "manifold-quic-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const authority = makeAuthority()
const server = makeCertificate({ name: "localhost", hosts: ["localhost", "127.0.0.1"] }, authority)
const put = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const SET = {
  "protocol-mqtt.quic": "127.0.0.1:0",
  "protocol-mqtt.certificate": put("certificate.pem", server.certificate),
  "protocol-mqtt.private_key": put("key.pem", server.privateKey)
}

/** A client: packets in and out of the first bidirectional stream. */
class QuicClient {
  static readonly #open: Array<QuicSession> = []
  readonly packets: Array<Decoded> = []
  hasEnded = false
  readonly stream: QuicStream
  readonly session: QuicSession

  private constructor(session: QuicSession, stream: QuicStream) {
    this.session = session
    this.stream = stream
    void this.#read()
      .catch(() => {})
      .finally(() => {
        this.hasEnded = true
      })
    stream.closed.catch(() => {})
    session.closed.catch(() => {})
  }

  static async open(broker: Broker, alpn = "mqtt"): Promise<QuicClient> {
    const { connect } = await import("node:quic")
    const { host, port } = broker.address("protocol-mqtt.quic")
    const session = await connect(`${host}:${port}`, {
      alpn,
      servername: "localhost",
      ca: [Buffer.from(authority.certificate)]
    })
    QuicClient.#open.push(session)
    session.closed.catch(() => {})
    await session.opened
    return new QuicClient(session, await session.createBidirectionalStream())
  }

  static cutAll(): void {
    for (const session of QuicClient.#open.splice(0)) session.destroy()
  }

  async send(...packets: ReadonlyArray<Uint8Array>): Promise<void> {
    for (const packet of packets) {
      for (let at = 0; at < packet.length; at += 16_384) {
        const writer = this.stream.writer as unknown as Record<symbol, () => Promise<unknown>> & {
          readonly desiredSize: number
          writeSync(bytes: Uint8Array): boolean
        }
        while (writer.desiredSize <= 0) await writer[Symbol.for("Stream.drainableProtocol")]?.()
        expect(writer.writeSync(packet.slice(at, at + 16_384))).toBe(true)
      }
    }
  }

  async find<Type extends DecodedType>(type: Type): Promise<DecodedOf<Type>> {
    await until(type, () => this.packets.some((each) => each.type === type), 4_000)
    const at = this.packets.findIndex((each) => each.type === type)
    return this.packets.splice(at, 1)[0] as DecodedOf<Type>
  }

  async #read(): Promise<void> {
    let bytes = Buffer.alloc(0)
    for await (const chunks of this.stream as AsyncIterable<ReadonlyArray<Uint8Array>>) {
      bytes = Buffer.concat([bytes, ...chunks])
      for (let length = packetLength(bytes); length !== undefined; length = packetLength(bytes)) {
        this.packets.push(decode(bytes.subarray(0, length), 5))
        bytes = bytes.subarray(length)
      }
    }
  }
}

describe.skipIf(IS_EXTERNAL || RUNS_ON_DENO)("QUIC", () => {
  brokerSuite("a preview", { set: SET }, (broker) => {
    afterEach(() => {
      QuicClient.cutAll()
      RawMqtt.cutAll()
    })
    const connect = async (clientId = uniqueId()): Promise<QuicClient> => {
      const client = await QuicClient.open(broker())
      await client.send(encode.connect({ version: 5, clientId }))
      expect((await client.find("connack")).code).toBe(0)
      return client
    }

    test("messages of every QoS pass both ways, and to and from clients on TCP", async () => {
      const level = uniqueLevel()
      const quic = await connect()
      const tcp = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await tcp.subscribe(`${level}/up`, 2)
      await quic.send(encode.subscribe(5, 1, [{ filter: `${level}/down`, qos: 2 }]))
      expect((await quic.find("suback")).codes).toEqual([2])
      for (const qos of [0, 1, 2] as const) {
        await quic.send(encode.publish(5, { topic: `${level}/up`, payload: `up ${qos}`, qos, id: 7 }))
        if (qos === 1) await quic.find("puback")
        if (qos === 2) {
          await quic.find("pubrec")
          await quic.send(encode.ack("pubrel", 7))
          await quic.find("pubcomp")
        }
        const [up] = await tcp.messages(1)
        expect(Buffer.from(up?.payload ?? []).toString()).toBe(`up ${qos}`)
        await tcp.publishWhole({ topic: `${level}/down`, payload: `down ${qos}`, qos })
        const down = await quic.find("publish")
        expect([Buffer.from(down.payload).toString(), down.qos]).toEqual([`down ${qos}`, qos])
        if (down.qos === 1) await quic.send(encode.ack("puback", down.id))
        if (down.qos === 2) await quic.send(encode.ack("pubrec", down.id))
      }
    })

    test("large messages pass whole both ways", async () => {
      const level = uniqueLevel()
      const quic = await connect()
      await quic.send(encode.subscribe(5, 1, [{ filter: level, qos: 1 }]))
      await quic.find("suback")
      const payload = Uint8Array.from({ length: 900_000 }, (_, at) => at % 251)
      await quic.send(encode.publish(5, { topic: level, payload, qos: 1, id: 1 }))
      const echo = await quic.find("publish")
      expect(Buffer.from(echo.payload).equals(Buffer.from(payload))).toBe(true)
    })

    test("a client of any shard is served, and a second connection takes its place with 0x8E", async () => {
      for (let number = 0; number < 8; number++) {
        const id = uniqueId()
        const first = await connect(id)
        await connect(id)
        expect((await first.find("disconnect")).code).toBe(0x8e)
        await until("the end", () => first.hasEnded)
      }
    })

    test("what is no MQTT ends the session; other streams and other application protocols are refused", async () => {
      const wrong = await QuicClient.open(broker())
      await wrong.send(Uint8Array.of(0x20, 0x02, 0, 0))
      await until("the end", () => wrong.hasEnded)
      const client = await connect()
      const second = await client.session.createBidirectionalStream()
      second.closed.catch(() => {})
      await second.writer.write(encode.connect({ version: 5, clientId: uniqueId() })).catch(() => {})
      const answer = (second as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()
      expect(
        await answer.then(
          ({ done }) => done === true,
          () => true
        )
      ).toBe(true)
      await client.send(encode.pingreq())
      await client.find("pingresp")
      const other = await QuicClient.open(broker(), "h3").then(
        () => "opened",
        () => "refused"
      )
      expect(other).toBe("refused")
    })

    test("sessions that vanish change nothing for others", async () => {
      for (let number = 0; number < 20; number++) (await connect()).session.destroy()
      const client = await connect()
      await client.send(encode.pingreq())
      await client.find("pingresp")
    })
  })
})
