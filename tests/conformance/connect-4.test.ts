/** MQTT 5.0 and 3.1.1, statement by statement: DISCONNECT, AUTH, faults, WebSocket (sections 3.14, 3.15, 4.12, 4.13, 6); and MQTT 3.1. */
import { afterEach, expect, test } from "bun:test"
import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { makeScramCredential } from "../../core/access/Scram.ts"
import { brokerSuite } from "../support/broker.ts"
import type { Decoded } from "../support/mqtt-decode.ts"
import {
  type Connect,
  concat,
  encode,
  field,
  type Properties,
  packet,
  propertyOf,
  textOf,
  two,
  type Version
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, fromHex, hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { frame, OPCODE, RawWebSocket } from "../support/raw-websocket.ts"

const BOTH = [4, 5] as const
const KEPT: Properties = [["sessionExpiry", 60]]
const METHOD = "SCRAM-SHA-256"
const utf8 = new TextEncoder()
const codesOf = (answers: ReadonlyArray<Decoded>): Array<string> =>
  answers.map((each) => ("code" in each ? `${each.type} ${hex(Uint8Array.of(each.code))}` : each.type))
const dataOf = (list: Properties): Uint8Array => propertyOf(list, "authenticationData") as Uint8Array
const methodOf = (list: Properties): unknown => propertyOf(list, "authenticationMethod")
const auth = (code: number, data: Uint8Array): Uint8Array =>
  encode.auth(code, [
    ["authenticationMethod", METHOD],
    ["authenticationData", data]
  ])

/** The client's side of an exchange with alice's name. */
class Scram {
  readonly #bare = `n=alice,r=${uniqueId()}`
  readonly first = utf8.encode(`n,,${this.#bare}`)

  final(challenge: Uint8Array, password = "secret"): Uint8Array {
    const server = Buffer.from(challenge).toString()
    const [, nonce = "", salt = "", count = ""] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(server) ?? []
    const salted = pbkdf2Sync(password, Buffer.from(salt, "base64"), Number(count), 32, "sha256")
    const key = createHmac("sha256", salted).update("Client Key").digest()
    const stored = createHash("sha256").update(key).digest()
    const all = `${this.#bare},${server},c=biws,r=${nonce}`
    const signature = createHmac("sha256", stored).update(all).digest()
    const proof = Buffer.from(key.map((byte, at) => byte ^ (signature[at] ?? 0)))
    return utf8.encode(`c=biws,r=${nonce},p=${proof.toString("base64")}`)
  }
}

const set = {
  "protocol-mqtt.scram_credentials": `alice:${makeScramCredential("secret", utf8.encode("sixteen bytes so"), 4_096)}`
}

brokerSuite("conformance of DISCONNECT, AUTH and WebSocket", { set }, (broker) => {
  const sockets: Array<RawWebSocket> = []
  afterEach(() => {
    RawMqtt.cutAll()
    for (const each of sockets.splice(0)) each.socket.destroy()
  })
  const connect = (wish: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, wish)
  /** What is answered to bytes on a new connection, until the broker has closed it. */
  async function first(version: Version, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<Decoded>> {
    const client = await RawMqtt.open(broker().mqtt, version)
    return client.answersUntilClosed(...bytes)
  }
  /** What is answered to bytes after an accepted CONNECT, until the broker has closed the connection. */
  async function later(wish: Connect, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<Decoded>> {
    const client = await connect(wish)
    return client.answersUntilClosed(...bytes)
  }
  async function webSocket(protocol = "mqtt"): Promise<RawWebSocket> {
    const socket = await RawWebSocket.open(broker().websocket, { protocol })
    sockets.push(socket)
    return socket
  }
  /** A client in the midst of proving that it is alice, and the broker's challenge. */
  async function challenged(list: Properties = []) {
    const scram = new Scram()
    const client = await RawMqtt.open(broker().mqtt, 5)
    const named: Properties = [
      ["authenticationMethod", METHOD],
      ["authenticationData", scram.first]
    ]
    client.send(encode.connect({ version: 5, clientId: uniqueId(), properties: [...list, ...named] }))
    return { scram, client, challenge: await client.expect("auth") }
  }
  /** A client that has proved it, and its CONNACK. */
  async function proven() {
    const { scram, client, challenge } = await challenged()
    client.send(auth(0x18, scram.final(dataOf(challenge.properties))))
    return { client, connack: await client.expect("connack") }
  }

  /** Faults after an accepted CONNECT, and the Reason Code that each has. */
  const faults = (): ReadonlyArray<readonly [Uint8Array, string]> => [
    [fromHex("c0 01 00"), "disconnect 81"],
    [fromHex("36 06 0001 61 0001 00"), "disconnect 81"],
    [fromHex("82 03 0001 00"), "disconnect 82"],
    [encode.connect({ version: 5, clientId: "again" }), "disconnect 82"],
    [encode.publish(5, { topic: "a", properties: [["topicAlias", 0]] }), "disconnect 94"],
    [encode.publish(5, { topic: "a/#" }), "disconnect 90"],
    [fromHex("30 ff ff ff 7f 0001 61"), "disconnect 95"]
  ]

  test("no DISCONNECT before a CONNACK that says yes [MQTT-3.14.0-1]", async () => {
    const packets = [
      fromHex("c0 00"),
      fromHex("10 ff ff ff ff 7f"),
      fromHex("10 ff ff 7f"),
      encode.connect({ version: 5, clientId: uniqueId(), properties: [["receiveMaximum", 0]] }),
      encode.connect({ version: 5, clientId: uniqueId(), username: "alice", password: "secret" })
    ]
    for (const bytes of packets) {
      const answers = codesOf(await first(5, bytes))
      expect(answers.filter((each) => each.startsWith("disconnect"))).toEqual([])
    }
    const { client } = await challenged()
    client.sendHex("f1 00")
    await client.closed()
    expect(client.drain().map(({ type }) => type)).not.toContain("disconnect")
  })

  test("DISCONNECT with flags is malformed [MQTT-3.14.1-1, MQTT-3.14.1-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      for (const byte of ["e1 00", "e2 00", "e8 00"]) {
        expect(codesOf(await later({ version }, fromHex(byte)))).toEqual(version === 5 ? ["disconnect 81"] : [])
      }
    }
  })

  test("the broker's DISCONNECT has the Reason Code that is meant, and no Session Expiry Interval [MQTT-3.14.2-1, MQTT-3.14.2-2]", async () => {
    for (const [bytes, code] of faults()) {
      const answers = await later({ version: 5, properties: KEPT }, bytes)
      expect(codesOf(answers)).toEqual([code])
      for (const each of answers) {
        const list = each.type === "disconnect" ? each.properties : []
        expect(propertyOf(list, "sessionExpiry")).toBeUndefined()
      }
    }
  })

  test("a Reason String goes with DISCONNECT where the client takes a packet of that size [MQTT-3.14.2-3, MQTT-3.14.2-4]", async () => {
    for (const size of [1_000, 20]) {
      const client = await connect({ version: 5, properties: [["maximumPacketSize", size]] })
      client.sendHex("c1 00")
      const bytes = await client.nextBytes()
      expect([bytes[0], bytes[2], bytes.length > 20]).toEqual([0xe0, 0x81, size === 1_000])
    }
  })

  test("nothing follows a DISCONNECT of the broker, and it closes [MQTT-3.14.4-1, MQTT-3.14.4-2]", async () => {
    const topic = uniqueLevel()
    const client = await connect({ version: 5 })
    await client.subscribe(topic)
    client.send(encode.publish(5, { topic }), fromHex("c1 00"), encode.publish(5, { topic }), encode.pingreq())
    await client.closed()
    expect(codesOf(client.drain()).at(-1)).toBe("disconnect 81")
  })

  test("a fault ends the connection with its Reason Code, before 5 without a word [MQTT-4.13.1-1, MQTT-4.8.0-1 of 3.1.1]", async () => {
    for (const [bytes, code] of faults()) expect(codesOf(await later({ version: 5 }, bytes))).toEqual([code])
    for (const bytes of [
      fromHex("c0 01 00"),
      fromHex("36 05 0001 61 0001"),
      fromHex("82 02 0001"),
      fromHex("f0 00"),
      encode.connect({ clientId: "again" }),
      encode.publish(4, { topic: "a/#" })
    ]) {
      expect(await later({ version: 4 }, bytes)).toEqual([])
    }
  })

  test("a packet that there is no room for ends its connection and no other [MQTT-4.8.0-2 of 3.1.1]", async () => {
    const other = await connect()
    expect(await later({ version: 4 }, fromHex("30 ff ff ff 7f 0001 61"))).toEqual([])
    await other.quiet(0)
  })

  test("a DISCONNECT may change the session's expiry, but not from 0 to more", async () => {
    const clientId = uniqueId()
    const ending = await connect({ version: 5, clientId, properties: KEPT })
    await ending.disconnect(0, [["sessionExpiry", 0]])
    const next = await connect({ version: 5, clientId, clean: false })
    expect(next.connack.sessionPresent).toBe(false)
    next.send(encode.disconnect(5, 0, KEPT))
    await next.closed()
    expect(codesOf(next.drain())).toEqual(["disconnect 82"])
  })

  test("AUTH with flags is malformed [MQTT-3.15.1-1]", async () => {
    const { client } = await proven()
    client.send(concat(Uint8Array.of(0xf1), auth(0x19, new Scram().first).subarray(1)))
    await client.closed()
    expect(codesOf(client.drain())).toEqual(["disconnect 81"])
  })

  test("an exchange goes on by AUTH 0x18; each AUTH and the CONNACK name the method [MQTT-4.12.0-2, MQTT-4.12.0-5]", async () => {
    const { scram, client, challenge } = await challenged()
    expect([challenge.code, methodOf(challenge.properties)]).toEqual([0x18, METHOD])
    client.send(auth(0x18, scram.final(dataOf(challenge.properties))))
    const connack = await client.expect("connack")
    expect([connack.code, methodOf(connack.properties)]).toEqual([0, METHOD])
  })

  test("to authenticate again ends with AUTH 0x00, and nothing else in between is disturbed [MQTT-3.15.2-1]", async () => {
    const { client } = await proven()
    const scram = new Scram()
    client.send(auth(0x19, scram.first))
    const challenge = await client.expect("auth")
    expect([challenge.code, methodOf(challenge.properties)]).toEqual([0x18, METHOD])
    await client.quiet(0)
    client.send(auth(0x18, scram.final(dataOf(challenge.properties))))
    const answer = await client.expect("auth")
    expect([answer.code, methodOf(answer.properties)]).toEqual([0, METHOD])
  })

  test("AUTH has nothing in it that would make it larger than the client takes [MQTT-3.15.2-2, MQTT-3.15.2-3]", async () => {
    const { challenge } = await challenged([["maximumPacketSize", 150]])
    expect(propertyOf(challenge.properties, "reasonString")).toBeUndefined()
    expect(propertyOf(challenge.properties, "userProperty")).toBeUndefined()
    const client = await RawMqtt.open(broker().mqtt, 5)
    const list: Properties = [
      ["maximumPacketSize", 60],
      ["authenticationMethod", METHOD],
      ["authenticationData", new Scram().first]
    ]
    client.send(encode.connect({ version: 5, clientId: uniqueId(), properties: list }))
    await client.closed()
    expect(client.drain().map(({ type }) => type)).not.toContain("auth")
  })

  test("a method that the broker lacks is refused with 0x8C [MQTT-4.12.0-1]", async () => {
    for (const method of ["SCRAM-SHA-1", "", "scram-sha-256"]) {
      const list: Properties = [["authenticationMethod", method]]
      const answers = await first(5, encode.connect({ version: 5, clientId: uniqueId(), properties: list }))
      expect(codesOf(answers)).toEqual(["connack 8c"])
    }
  })

  test("who proves nothing is refused with 0x87 [MQTT-4.12.0-4]", async () => {
    for (const password of ["wrong", undefined]) {
      const { scram, client, challenge } = await challenged()
      const data = dataOf(challenge.properties)
      client.send(auth(0x18, password === undefined ? utf8.encode("x") : scram.final(data, password)))
      await client.closed()
      expect(codesOf(client.drain())).toEqual(["connack 87"])
    }
  })

  test("who names no method gets no AUTH and no method, and may send none [MQTT-4.12.0-6]", async () => {
    const client = await connect({ version: 5, username: "carol", password: "x" })
    expect(methodOf(client.connack.properties)).toBeUndefined()
    client.send(auth(0x19, new Scram().first))
    await client.closed()
    expect(codesOf(client.drain())).toEqual(["disconnect 82"])
  })

  test("who fails to authenticate again is cut off with 0x87 [MQTT-4.12.1-2]", async () => {
    const { client } = await proven()
    const scram = new Scram()
    client.send(auth(0x19, scram.first))
    const challenge = await client.expect("auth")
    client.send(auth(0x18, scram.final(dataOf(challenge.properties), "wrong")))
    await client.closed()
    expect(codesOf(client.drain())).toEqual(["disconnect 87"])
  })

  test("over WebSocket MQTT is in binary frames, and any other data ends the connection [MQTT-6.0.0-1]", async () => {
    const socket = await webSocket()
    socket.binary(encode.connect({ clientId: uniqueId() }))
    expect(hex(await socket.bytes(4))).toBe("20020000")
    expect(socket.opcodes).toEqual([OPCODE.binary])
    // All of it is UTF-8: only what kind of frame it is can be wrong with it.
    socket.socket.write(frame(OPCODE.text, encode.publish(4, { topic: "a" })))
    await socket.closed()
    expect(socket.opcodes).not.toContain(OPCODE.text)
  })

  test("packets and WebSocket frames need not begin together [MQTT-6.0.0-2]", async () => {
    const socket = await webSocket()
    const all = concat(encode.connect({ clientId: uniqueId() }), encode.pingreq(), encode.pingreq())
    socket.binary(all.subarray(0, 5))
    socket.binary(all.subarray(5, -3))
    socket.binary(all.subarray(-3))
    expect(hex(await socket.bytes(8))).toBe("20020000d000d000")
  })

  test("the WebSocket subprotocol is mqtt [MQTT-6.0.0-4]", async () => {
    for (const offer of ["mqtt", "chat, mqtt", "mqttv3.1, mqtt"]) {
      const { status, answer } = await webSocket(offer)
      expect([status, /\r\nsec-websocket-protocol: ([^\r]*)\r\n/i.exec(answer)?.[1]]).toEqual([101, "mqtt"])
    }
  })

  test("3.1: MQIsdp with version byte 3 is accepted; its CONNACK never speaks of a session, which goes on all the same", async () => {
    const [clientId, topic] = [uniqueId(), uniqueLevel()]
    for (const round of [0, 1]) {
      const client = await RawMqtt.open(broker().mqtt, 3)
      client.send(encode.connect({ version: 3, clientId, clean: false }))
      await client.expectHex("20 02 00 00")
      if (round === 0) await client.subscribe(topic, 1)
      else expect(textOf((await client.expect("publish")).payload)).toBe("kept")
      await client.disconnect()
      await (await connect()).publishWhole({ topic, qos: 1, payload: "kept" })
    }
  })

  test("3.1: no client identifier is rejected, with a clean session too", async () => {
    for (const clean of [true, false]) {
      const answers = await first(3, encode.connect({ version: 3, clientId: "", clean }))
      expect(codesOf(answers)).toEqual(["connack 02"])
    }
  })

  test("3.1: MQIsdp with another version byte is refused", async () => {
    for (const level of [0, 2, 4]) {
      const answers = await first(3, packet(0x10, field("MQIsdp"), Uint8Array.of(level, 2), two(0), field("x")))
      expect(codesOf(answers)).toEqual(["connack 01"])
    }
  })

  test("3.1: a will, its QoS and its removal are as in 3.1.1", async () => {
    for (const [leaves, count] of [
      [false, 1],
      [true, 0]
    ] as const) {
      const topic = uniqueLevel()
      const watcher = await connect({ version: 3 })
      await watcher.subscribe(topic, 2)
      const client = await connect({ version: 3, will: { topic, payload: "gone", qos: 2 } })
      if (leaves) await client.disconnect()
      else client.cut()
      expect((await watcher.messages(count)).map(({ qos }) => qos)).toEqual(count === 1 ? [2] : [])
      if (leaves) await watcher.quiet(30)
    }
  })
})
