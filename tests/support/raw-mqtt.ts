/**
 * A raw MQTT client: a TCP socket, whole packets in and out, nothing automatic. It acknowledges nothing, resends nothing and
 * remembers nothing, so that each byte a test sees was caused by the test.
 */
import { createConnection, type Socket } from "node:net"
import type { Address } from "./broker.ts"
import { type Decoded, type DecodedOf, type DecodedType, decode, packetLength } from "./mqtt-decode.ts"
import {
  type AckType,
  type Connect,
  concat,
  encode,
  type Filter,
  type Properties,
  type Publish,
  type Qos,
  type Version
} from "./mqtt-packets.ts"
import { sleep, within } from "./until.ts"

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
/** Bytes of a hexadecimal text; blanks are ignored. */
export const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"))

let lastClient = 0
/** A client identifier that no other test uses. */
export const uniqueId = (name = "client"): string => `${name}-${process.pid}-${++lastClient}`
/** A topic level that no other test uses; of plain characters. */
export const uniqueLevel = (name = "t"): string => `${name}${process.pid}x${++lastClient}`

/** A client whose CONNECT was accepted. */
export type ConnectedMqtt = RawMqtt & { readonly connack: DecodedOf<"connack"> }

export class RawMqtt {
  readonly socket: Socket
  version: Version
  /** Every packet that came and was not yet taken. */
  readonly #packets: Array<Uint8Array> = []
  #rest: Uint8Array = new Uint8Array(0)
  #wake: () => void = () => {}
  #isClosed = false
  #fault: unknown
  /** Bytes received since the start. */
  received = 0

  private constructor(socket: Socket, version: Version) {
    this.socket = socket
    this.version = version
    socket.on("data", (chunk: Buffer) => this.#take(chunk))
    socket.on("close", () => this.#close())
    socket.on("end", () => this.#close())
    socket.on("error", () => this.#close())
  }

  /** A socket without a CONNECT. */
  static async open(address: Address, version: Version = 4): Promise<RawMqtt> {
    const socket = createConnection({ host: address.host, port: address.port, noDelay: true })
    await within(
      `a connection to ${address.host}:${address.port}`,
      new Promise<void>((done, fail) => {
        socket.once("connect", done)
        socket.once("error", fail)
      })
    )
    const client = new RawMqtt(socket, version)
    RawMqtt.#open.add(client)
    return client
  }

  static readonly #open = new Set<RawMqtt>()
  /** Cuts every connection that a test left open; call it after each test. */
  static cutAll(): void {
    for (const client of RawMqtt.#open) client.socket.destroy()
    RawMqtt.#open.clear()
  }

  /** A connection whose CONNECT was accepted, and its CONNACK. */
  static async connect(address: Address, connect: Connect = {}): Promise<ConnectedMqtt> {
    const client = await RawMqtt.open(address, connect.version ?? 4)
    client.send(encode.connect({ clientId: uniqueId(), ...connect }))
    const connack = await client.expect("connack")
    if (connack.code !== 0) throw new Error(`CONNECT was refused with ${connack.code}`)
    return Object.assign(client, { connack })
  }

  /** What is answered to these bytes and has not been read yet, until the broker has closed the connection. */
  async answersUntilClosed(...bytes: ReadonlyArray<Uint8Array>): Promise<Array<Decoded>> {
    this.send(...bytes)
    await this.closed()
    return this.drain()
  }

  #take(chunk: Uint8Array): void {
    this.received += chunk.length
    let bytes = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk)
    try {
      for (let length = packetLength(bytes); length !== undefined; length = packetLength(bytes)) {
        this.#packets.push(new Uint8Array(bytes.subarray(0, length)))
        bytes = bytes.subarray(length)
      }
    } catch (error) {
      this.#fault = error
    }
    this.#rest = new Uint8Array(bytes)
    this.#wake()
  }

  #close(): void {
    this.#isClosed = true
    this.#wake()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Sends bytes as they are. */
  send(...parts: ReadonlyArray<Uint8Array>): void {
    this.socket.write(parts.length === 1 && parts[0] !== undefined ? parts[0] : concat(...parts))
  }

  /** From here on what comes is handed over as bytes and not decoded: of millions of packets the client would be slower than the broker. */
  takeBytes(take: (chunk: Buffer) => void): void {
    this.socket.removeAllListeners("data")
    this.socket.on("data", take)
  }
  sendHex(text: string): void {
    this.send(fromHex(text))
  }
  publish(publish: Publish): void {
    this.send(encode.publish(this.version, publish))
  }
  ack(type: AckType, id: number, reason?: number): void {
    this.send(encode.ack(type, id, reason))
  }

  /** Publishes one message to its last acknowledgement; throws where that is an error. */
  async publishWhole(publish: Publish): Promise<void> {
    const id = publish.id ?? 0x7001
    this.publish({ ...publish, id })
    if (publish.qos === 1) this.#succeeded(await this.find("puback"))
    if (publish.qos !== 2) return
    this.#succeeded(await this.find("pubrec"))
    this.ack("pubrel", id)
    this.#succeeded(await this.find("pubcomp"))
  }
  #succeeded(ack: { readonly type: string; readonly code: number }): void {
    if (ack.code !== 0 && ack.code !== 0x10) throw new Error(`${ack.type} with 0x${ack.code.toString(16)}`)
  }

  /** SUBSCRIBE and its SUBACK; packets that come before the SUBACK stay for later. Throws unless every filter was granted. */
  async subscribe(
    filters: string | ReadonlyArray<Filter>,
    qos: Qos = 0,
    list: Properties = []
  ): Promise<ReadonlyArray<number>> {
    const entries = typeof filters === "string" ? [{ filter: filters, qos }] : filters
    this.send(encode.subscribe(this.version, 0xf0f0, entries, list))
    const suback = await this.find("suback")
    if (suback.codes.some((code) => code > 2)) throw new Error(`SUBSCRIBE was refused with ${suback.codes}`)
    return suback.codes
  }

  /** The next packet's bytes. */
  async nextBytes(timeoutMs = 3_000): Promise<Uint8Array> {
    const end = performance.now() + timeoutMs
    for (;;) {
      const bytes = this.#packets.shift()
      if (bytes !== undefined) return bytes
      if (this.#fault !== undefined) throw this.#fault
      if (this.#isClosed) throw new Error("the broker closed the connection where a packet was expected")
      const left = end - performance.now()
      if (left <= 0) throw new Error(`no packet within ${timeoutMs} ms`)
      await this.#change(left)
    }
  }

  async #change(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((done) => {
      this.#wake = done
      timer = setTimeout(done, timeoutMs)
    })
    clearTimeout(timer)
    this.#wake = () => {}
  }

  /** The next packet, decoded. */
  async next(timeoutMs?: number): Promise<Decoded> {
    return decode(await this.nextBytes(timeoutMs), this.version)
  }

  /** The next packet, which must be of this type. */
  async expect<T extends DecodedType>(type: T, timeoutMs?: number): Promise<DecodedOf<T>> {
    const found = await this.next(timeoutMs)
    if (!isType(found, type)) throw new Error(`expected ${type}, got ${JSON.stringify(found)}`)
    return found
  }

  /** The first packet of this type; what stands before it stays, in its order. */
  async find<T extends DecodedType>(type: T, timeoutMs?: number): Promise<DecodedOf<T>> {
    const before: Array<Uint8Array> = []
    for (;;) {
      const bytes = await this.nextBytes(timeoutMs)
      const found = decode(bytes, this.version)
      if (isType(found, type)) {
        this.#packets.unshift(...before)
        return found
      }
      before.push(bytes)
    }
  }

  /** Asserts the exact bytes of the next packets. */
  async expectHex(text: string, timeoutMs?: number): Promise<void> {
    const wanted = hex(fromHex(text))
    let got = ""
    while (got.length < wanted.length) got += hex(await this.nextBytes(timeoutMs))
    if (got !== wanted) throw new Error(`expected the bytes ${wanted}, got ${got}`)
  }

  /** The next `count` PUBLISH packets; QoS 1 and 2 are acknowledged as a client does unless `acknowledge` is false. */
  async messages(
    count: number,
    options: { timeoutMs?: number; acknowledge?: boolean } = {}
  ): Promise<Array<DecodedOf<"publish">>> {
    const found: Array<DecodedOf<"publish">> = []
    while (found.length < count) {
      const each = await this.next(options.timeoutMs).catch((error: unknown) => {
        throw new Error(`after ${found.length} of ${count} messages: ${String(error)}`)
      })
      if (each.type === "publish") {
        found.push(each)
        if (options.acknowledge === false) continue
        if (each.qos === 1) this.ack("puback", each.id)
        if (each.qos === 2) this.ack("pubrec", each.id)
      } else if (each.type === "pubrel") this.ack("pubcomp", each.id)
      else throw new Error(`expected publish, got ${JSON.stringify(each)}`)
    }
    return found
  }

  /** The next `count` messages, each acknowledged to its end: a PUBREL may come before the last of them. */
  async wholeMessages(count: number): Promise<Array<DecodedOf<"publish">>> {
    const found: Array<DecodedOf<"publish">> = []
    let releases = 0
    while (found.length < count || releases > 0) {
      const each = await this.next()
      if (each.type === "pubrel") {
        releases--
        this.ack("pubcomp", each.id)
      } else if (each.type === "publish" && found.length < count) {
        found.push(each)
        if (each.qos === 1) this.ack("puback", each.id)
        if (each.qos !== 2) continue
        releases++
        this.ack("pubrec", each.id)
      } else throw new Error(`expected ${count} messages and their PUBREL, got ${JSON.stringify(each)}`)
    }
    return found
  }

  /** Asserts that nothing comes: a PINGREQ after `ms` is answered by PINGRESP and nothing stands before it. */
  async quiet(ms = 100): Promise<void> {
    await sleep(ms)
    this.send(encode.pingreq())
    await this.expect("pingresp")
  }

  /** Waits until the broker closes; packets that came before stay readable. */
  async closed(timeoutMs = 3_000): Promise<void> {
    const end = performance.now() + timeoutMs
    while (!this.#isClosed) {
      const left = end - performance.now()
      if (left <= 0) throw new Error(`the broker did not close the connection within ${timeoutMs} ms`)
      await this.#change(left)
    }
  }

  /** What came and was not taken, decoded. */
  drain(): Array<Decoded> {
    return this.#packets.splice(0).map((bytes) => decode(bytes, this.version))
  }
  drainBytes(): Array<Uint8Array> {
    return this.#packets.splice(0)
  }

  /** DISCONNECT, then the end of the connection. */
  async disconnect(reason?: number, list: Properties = []): Promise<void> {
    this.send(encode.disconnect(this.version, reason, list))
    this.socket.end()
    await this.closed().catch(() => {})
    this.socket.destroy()
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.socket.resetAndDestroy()
  }
}

function isType<T extends DecodedType>(decoded: Decoded, type: T): decoded is DecodedOf<T> {
  return decoded.type === type
}
