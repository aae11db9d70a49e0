/** MQTT over WebSocket: MQTT 5.0 chapter 6 [MQTT-6.0.0-1 to -4], path /mqtt, sub-protocol mqtt. */
import { afterEach, expect, test } from "bun:test"
import { connectAsync } from "mqtt"
import { brokerSuite } from "../support/broker.ts"
import { concat, encode } from "../support/mqtt-packets.ts"
import { hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { frame, type Handshake, OPCODE, RawWebSocket } from "../support/raw-websocket.ts"
import { until } from "../support/until.ts"

brokerSuite("websocket", {}, (broker) => {
  const opened: Array<RawWebSocket> = []
  afterEach(() => {
    for (const each of opened.splice(0)) each.socket.destroy()
    RawMqtt.cutAll()
  })
  async function open(handshake?: Handshake): Promise<RawWebSocket> {
    const socket = await RawWebSocket.open(broker().websocket, handshake)
    opened.push(socket)
    return socket
  }
  /** An accepted WebSocket with an accepted 3.1.1 CONNECT. */
  async function connected(): Promise<RawWebSocket> {
    const socket = await open()
    socket.binary(encode.connect({ clientId: uniqueId() }))
    expect(hex(await socket.bytes(4))).toBe("20020000")
    return socket
  }

  test("the handshake on /mqtt is answered with 101 and sub-protocol mqtt", async () => {
    const socket = await open()
    expect(socket.status).toBe(101)
    expect(socket.answer.toLowerCase()).toMatch(/\r\nsec-websocket-protocol: mqtt\r\n/)
  })

  test("mqtt is chosen among several sub-protocols", async () => {
    const socket = await open({ protocol: "chat, mqtt, mqttv3.1" })
    expect(socket.status).toBe(101)
    expect(socket.answer.toLowerCase()).toMatch(/\r\nsec-websocket-protocol: mqtt\r\n/)
  })

  test("another path is 404", async () => {
    for (const path of ["/", "/mqtt2", "/other"]) expect((await open({ path })).status).toBe(404)
  })

  test("a missing or foreign sub-protocol is refused", async () => {
    for (const protocol of [undefined, "chat"]) {
      const socket = await open({ protocol })
      expect([socket.status, socket.status >= 400 && socket.status < 500]).toEqual([socket.status, true])
    }
  })

  test("frames need not match packets: joined, split anywhere, fragmented, with a ping between", async () => {
    const level = uniqueLevel()
    const socket = await open()
    const packets = [
      encode.connect({ clientId: uniqueId() }),
      encode.pingreq(),
      encode.subscribe(4, 1, [{ filter: `${level}/a`, qos: 0 }])
    ]
    for (const [index, byte] of concat(...packets).entries()) {
      if (index % 2 === 0) socket.binary(Uint8Array.of(byte))
      else
        socket.socket.write(concat(frame(OPCODE.binary, new Uint8Array(0)), frame(OPCODE.binary, Uint8Array.of(byte))))
    }
    expect(hex(await socket.bytes(11))).toBe("20020000d0009003000100")
    const messages = concat(
      encode.publish(4, { topic: `${level}/a`, payload: "one" }),
      encode.publish(4, { topic: `${level}/a`, payload: "x".repeat(70_000) }),
      encode.publish(4, { topic: `${level}/a`, payload: "three" })
    )
    socket.socket.write(frame(OPCODE.binary, messages.subarray(0, 30_000), false))
    socket.socket.write(frame(OPCODE.ping, Uint8Array.of(1, 2, 3)))
    socket.socket.write(frame(OPCODE.continuation, messages.subarray(30_000), true))
    expect(Buffer.compare(await socket.bytes(messages.length), messages)).toBe(0)
    await until("a pong", () => socket.opcodes.includes(OPCODE.pong))
    expect(socket.opcodes.every((opcode) => opcode !== OPCODE.text)).toBe(true)
  })

  test("a text frame closes the connection [MQTT-6.0.0-1]", async () => {
    const before = await open()
    before.socket.write(frame(OPCODE.text, encode.connect({ clientId: "text" })))
    await before.closed()
    const after = await connected()
    after.socket.write(frame(OPCODE.text, encode.pingreq()))
    await after.closed()
  })

  test("a malformed packet closes the connection", async () => {
    const socket = await connected()
    socket.binary(Uint8Array.of(0xf0, 0))
    await socket.closed()
  })

  test("an unmasked frame closes the connection", async () => {
    const socket = await connected()
    socket.socket.write(Uint8Array.of(0x82, 2, 0xc0, 0))
    await socket.closed()
  })

  test("a frame that declares 2^62 bytes costs the connection at most", async () => {
    const socket = await connected()
    socket.socket.write(Uint8Array.of(0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4))
    await socket.closed()
    await connected()
  })

  test("messages pass between WebSocket and TCP both ways", async () => {
    const level = uniqueLevel()
    const web = await connectAsync(`ws://${broker().websocket.host}:${broker().websocket.port}/mqtt`, {
      protocolVersion: 5,
      reconnectPeriod: 0
    })
    const tcp = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const received: Array<string> = []
    web.on("message", (_topic, payload) => received.push(payload.toString()))
    await web.subscribeAsync(`${level}/web`, { qos: 2 })
    await tcp.subscribe(`${level}/tcp`, 2)
    for (let index = 0; index < 20; index++) {
      await tcp.publishWhole({ topic: `${level}/web`, payload: String(index), qos: 2 })
      await web.publishAsync(`${level}/tcp`, String(index), { qos: 1 })
    }
    await until("20 messages over WebSocket", () => received.length === 20)
    expect(received).toEqual(Array.from({ length: 20 }, (_, index) => String(index)))
    expect(await tcp.messages(20)).toHaveLength(20)
    await web.endAsync()
  })

  test("a WebSocket that ends without DISCONNECT publishes the will", async () => {
    const level = uniqueLevel()
    const watcher = await RawMqtt.connect(broker().mqtt)
    await watcher.subscribe(`${level}/will`)
    const socket = await open()
    socket.binary(encode.connect({ clientId: uniqueId(), will: { topic: `${level}/will`, payload: "gone" } }))
    await socket.bytes(4)
    socket.socket.destroy()
    await watcher.expect("publish")
  })

  test("3.1.1: more than may be unacknowledged at once, sent in one go, is all taken", async () => {
    const count = 6_000
    const level = uniqueLevel()
    const socket = await connected()
    const packets = Array.from({ length: count }, (_, index) =>
      encode.publish(4, { topic: `${level}/${index % 10}`, payload: "x".repeat(2_000), qos: 1, id: index + 1 })
    )
    const frames: Array<Uint8Array> = []
    for (let index = 0; index < count; index += 20) {
      frames.push(frame(OPCODE.binary, concat(...packets.slice(index, index + 20))))
    }
    socket.socket.write(concat(...frames))
    const answers = await socket.bytes(4 * count)
    for (let index = 0; index < count; index += 997) {
      expect(hex(answers.subarray(4 * index, 4 * index + 4))).toBe(`4002${(index + 1).toString(16).padStart(4, "0")}`)
    }
  }, 20_000)
})
