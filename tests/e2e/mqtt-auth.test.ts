/** Enhanced authentication: MQTT 5.0 sections 3.15 and 4.12, with SCRAM-SHA-256. */
import { afterEach, expect, test } from "bun:test"
import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { makeScramCredential } from "../../core/access/Scram.ts"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"

const METHOD = "SCRAM-SHA-256"
const utf8 = new TextEncoder()
const salt = utf8.encode("sixteen bytes so")
const credentials = ["alice:secret of alice", "bob: b,o=b"].map((each) => {
  const at = each.indexOf(":")
  return `${each.slice(0, at)}:${makeScramCredential(each.slice(at + 1), salt, 4_096)}`
})

/** The client's side of one exchange. */
class Scram {
  readonly first: Uint8Array
  readonly #bare: string
  readonly #password: string
  #expected = ""

  constructor(user: string, password: string) {
    this.#bare = `n=${user},r=${Math.random().toString(36).slice(2)}`
    this.#password = password
    this.first = utf8.encode(`n,,${this.#bare}`)
  }

  final(challenge: Uint8Array): Uint8Array {
    const server = Buffer.from(challenge).toString()
    const [, nonce = "", saltText = "", iterations = ""] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(server) ?? []
    const salted = pbkdf2Sync(this.#password, Buffer.from(saltText, "base64"), Number(iterations), 32, "sha256")
    const hmac = (key: Uint8Array, text: string) => createHmac("sha256", key).update(text).digest()
    const clientKey = hmac(salted, "Client Key")
    const withoutProof = `c=biws,r=${nonce}`
    const all = `${this.#bare},${server},${withoutProof}`
    const signature = hmac(createHash("sha256").update(clientKey).digest(), all)
    this.#expected = `v=${hmac(hmac(salted, "Server Key"), all).toString("base64")}`
    return utf8.encode(
      `${withoutProof},p=${Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0))).toString("base64")}`
    )
  }

  isServer(data: unknown): boolean {
    return Buffer.from(data as Uint8Array).toString() === this.#expected
  }
}

const dataOf = (list: Properties): Uint8Array => propertyOf(list, "authenticationData") as Uint8Array
const methodOf = (list: Properties): unknown => propertyOf(list, "authenticationMethod")
const auth = (code: number, data?: Uint8Array, method = METHOD): Uint8Array =>
  encode.auth(code, [
    ["authenticationMethod", method],
    ...(data === undefined ? [] : [["authenticationData", data] as const])
  ])

brokerSuite(
  "enhanced authentication",
  { set: { "protocol-mqtt.scram_credentials": credentials.join(","), "protocol-mqtt.connect_timeout": "2" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    const open = async (scram: Scram, connect: object = {}, withFirst = true): Promise<RawMqtt> => {
      const client = await RawMqtt.open(broker().mqtt, 5)
      const data: Properties = withFirst ? [["authenticationData", scram.first]] : []
      const properties: Properties = [["authenticationMethod", METHOD], ...data]
      client.send(encode.connect({ version: 5, clientId: uniqueLevel(), properties, ...connect }))
      return client
    }
    const login = async (user = "alice", password = "secret of alice", connect: object = {}): Promise<RawMqtt> => {
      const scram = new Scram(user, password)
      const client = await open(scram, connect)
      const challenge = await client.expect("auth")
      expect([challenge.code, methodOf(challenge.properties)]).toEqual([0x18, METHOD])
      client.send(auth(0x18, scram.final(dataOf(challenge.properties))))
      const connack = await client.expect("connack")
      expect([connack.code, methodOf(connack.properties)]).toEqual([0, METHOD])
      expect(scram.isServer(dataOf(connack.properties))).toBe(true)
      return client
    }

    test("a client proves its password and the broker that it knows it; then everything works", async () => {
      const client = await login()
      await login("bob", " b,o=b")
      const topic = uniqueLevel()
      client.send(encode.subscribe(5, 1, [{ filter: topic, qos: 1 }]))
      await client.expect("suback")
      client.send(encode.publish(5, { topic, payload: "x", qos: 1, id: 1 }))
      const packets = [await client.next(), await client.next()].map(({ type }) => type)
      expect(packets.toSorted()).toEqual(["puback", "publish"])
    })

    test("a session is resumed, a will is published: as for everybody", async () => {
      const watcher = await RawMqtt.connect(broker().mqtt, { version: 5 })
      const topic = uniqueLevel()
      await watcher.subscribe(topic)
      const kept = { clientId: uniqueLevel(), clean: false, will: { topic, payload: "gone" } }
      const properties = (scram: Scram): Properties => [
        ["sessionExpiry", 60],
        ["authenticationMethod", METHOD],
        ["authenticationData", scram.first]
      ]
      for (const present of [false, true]) {
        const scram = new Scram("alice", "secret of alice")
        const client = await open(scram, { ...kept, properties: properties(scram) })
        client.send(auth(0x18, scram.final(dataOf((await client.expect("auth")).properties))))
        const connack = await client.expect("connack")
        expect([connack.code, connack.sessionPresent]).toEqual([0, present])
        client.cut()
        await watcher.messages(1)
      }
    })

    test("without a first message in CONNECT the broker asks for it", async () => {
      const scram = new Scram("alice", "secret of alice")
      const client = await open(scram, {}, false)
      const asked = await client.expect("auth")
      expect([asked.code, propertyOf(asked.properties, "authenticationData")]).toEqual([0x18, undefined])
      client.send(auth(0x18, scram.first))
      client.send(auth(0x18, scram.final(dataOf((await client.expect("auth")).properties))))
      expect((await client.expect("connack")).code).toBe(0)
    })

    test("a wrong password and an unknown user: CONNACK 0x87 after the same exchange, and the connection ends", async () => {
      for (const [user, password] of [
        ["alice", "secret of bob"],
        ["mallory", "secret of alice"]
      ] as const) {
        const scram = new Scram(user, password)
        const client = await open(scram)
        client.send(auth(0x18, scram.final(dataOf((await client.expect("auth")).properties))))
        const connack = await client.expect("connack")
        expect([connack.code, methodOf(connack.properties)]).toEqual([0x87, undefined])
        await client.closed()
      }
    })

    test("nobody gets the name of such a user without proof: 0x87, in 3.1.1 0x05; other names are free", async () => {
      const recent = await RawMqtt.open(broker().mqtt, 5)
      recent.send(
        encode.connect({ version: 5, clientId: uniqueLevel(), username: "alice", password: "secret of alice" })
      )
      expect((await recent.expect("connack")).code).toBe(0x87)
      await recent.closed()
      const old = await RawMqtt.open(broker().mqtt, 4)
      old.send(encode.connect({ version: 4, clientId: uniqueLevel(), username: "alice", password: "x" }))
      await old.expectHex("20 02 00 05")
      await old.closed()
      await RawMqtt.connect(broker().mqtt, { version: 5, username: "carol", password: "x" })
    })

    test("an unknown user is given the same salt, whichever shard it comes to", async () => {
      const salts = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const challenge = await (await open(new Scram("nobody", "x"))).expect("auth")
          return /,(s=[^,]+,i=\d+)$/.exec(Buffer.from(dataOf(challenge.properties)).toString())?.[1]
        })
      )
      expect(new Set(salts).size).toBe(1)
    })

    test("a client that takes no packet as large as the challenge is cut [MQTT-3.1.2-24]", async () => {
      const scram = new Scram("alice", "secret of alice")
      const properties: Properties = [
        ["maximumPacketSize", 40],
        ["authenticationMethod", METHOD],
        ["authenticationData", scram.first]
      ]
      const client = await open(scram, { properties })
      await client.closed()
      expect(client.drain()).toEqual([])
    })

    test("another method, or AUTH without one: 0x8C, 0x82", async () => {
      const other = await RawMqtt.open(broker().mqtt, 5)
      other.send(encode.connect({ version: 5, clientId: "o", properties: [["authenticationMethod", "SCRAM-SHA-1"]] }))
      expect((await other.expect("connack")).code).toBe(0x8c)
      await other.closed()
      const plain = await RawMqtt.connect(broker().mqtt, { version: 5 })
      plain.send(auth(0x19, utf8.encode("n,,n=alice,r=x")))
      expect((await plain.expect("disconnect")).code).toBe(0x82)
      await plain.closed()
    })

    test("before the CONNACK nothing but AUTH is taken, under the same method [MQTT-4.12.0-5]", async () => {
      const scram = new Scram("alice", "secret of alice")
      const packets: ReadonlyArray<readonly [Uint8Array, number]> = [
        [encode.publish(5, { topic: "t" }), 0x82],
        [encode.connect({ version: 5, clientId: "again" }), 0x82],
        [Uint8Array.of(0xc0, 0), 0x82],
        [auth(0x18, utf8.encode("x"), "SCRAM-SHA-1"), 0x82],
        [auth(0x19, utf8.encode("x")), 0x82],
        [auth(0x18, utf8.encode("no such message")), 0x87],
        [auth(0x18), 0x87],
        [Uint8Array.of(0xf0, 0), 0x82],
        [Uint8Array.of(0xf0, 2, 0x18, 9), 0x81]
      ]
      for (const [packet, code] of packets) {
        const client = await open(scram)
        await client.expect("auth")
        client.send(packet)
        expect([Buffer.from(packet).toString("hex"), (await client.expect("connack")).code]).toEqual([
          Buffer.from(packet).toString("hex"),
          code
        ])
        await client.closed()
      }
      const leaving = await open(scram)
      await leaving.expect("auth")
      leaving.send(encode.disconnect(5))
      await leaving.closed()
    })

    test("again after the CONNACK, while messages pass; who fails, or is another by now, is cut with 0x87 [MQTT-4.12.1-2]", async () => {
      const again = async (user: string, password: string, client: RawMqtt): Promise<void> => {
        const scram = new Scram(user, password)
        client.send(auth(0x19, scram.first))
        const challenge = await client.expect("auth")
        expect(challenge.code).toBe(0x18)
        client.send(Uint8Array.of(0xc0, 0))
        await client.expect("pingresp")
        client.send(auth(0x18, scram.final(dataOf(challenge.properties))))
        const answer = await client.next()
        if (answer.type === "disconnect") {
          expect(answer.code).toBe(0x87)
          await client.closed()
          return
        }
        expect(answer).toMatchObject({ type: "auth", code: 0 })
        if (answer.type === "auth") {
          expect(methodOf(answer.properties)).toBe(METHOD)
          expect(scram.isServer(dataOf(answer.properties))).toBe(true)
        }
      }
      const client = await login()
      await again("alice", "secret of alice", client)
      await again("alice", "secret of alice", client)
      await again("alice", "wrong", client)
      await again("bob", " b,o=b", await login())
      const confused = await login()
      confused.send(auth(0x18, utf8.encode("out of turn")))
      expect((await confused.expect("disconnect")).code).toBe(0x82)
    })

    test("who is silent in the midst of it is cut after the connect time-out, and holds nothing", async () => {
      const scram = new Scram("alice", "secret of alice")
      const client = await open(scram)
      await client.expect("auth")
      await client.closed(6_000)
    }, 20_000)
  }
)
