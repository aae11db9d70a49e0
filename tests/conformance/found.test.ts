/** MQTT 5.0: what an answer may weigh, what removes a will, what keeps a connection alive, and what is no text. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

brokerSuite("packets that are too large, too few or no text", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  test("only DISCONNECT 0x00 removes the will [MQTT-3.1.2-8, MQTT-3.1.2-10]", async () => {
    for (const code of [0x80, 0x81, 0x82, 0x93, 0x98]) {
      const topic = uniqueLevel()
      const watcher = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await watcher.subscribe(topic)
      const client = await RawMqtt.connect(broker().mqtt, { version: 5, will: { topic, payload: "gone" } })
      await client.disconnect(code)
      expect((await watcher.expect("publish", 500)).topic).toBe(topic)
    }
  })

  test("CONNACK is no larger than the client's Maximum Packet Size [MQTT-3.1.2-24]", async () => {
    const client = await RawMqtt.open(broker().mqtt, 5)
    client.send(encode.connect({ version: 5, clientId: "", properties: [["maximumPacketSize", 20]] }))
    await client.closed().catch(() => {})
    for (const bytes of client.drainBytes()) expect(bytes.length).toBeLessThanOrEqual(20)
  })

  test("SUBACK and UNSUBACK are no larger than the client's Maximum Packet Size [MQTT-3.1.2-24]", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `f/${index}`)
    for (const bytes of [
      encode.subscribe(
        5,
        1,
        names.map((filter) => ({ filter }))
      ),
      encode.unsubscribe(5, 1, names)
    ]) {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5, properties: [["maximumPacketSize", 20]] })
      client.send(bytes)
      await sleep(100)
      for (const each of client.drainBytes()) expect(each.length).toBeLessThanOrEqual(20)
    }
  })

  test("a refusal before the limits are noted has no Reason String that is too large [MQTT-3.2.2-19]", async () => {
    for (const more of [{ clientId: "x".repeat(2_000) }, { will: { topic: "a/".repeat(300), payload: "" } }]) {
      const client = await RawMqtt.open(broker().mqtt, 5)
      client.send(
        encode.connect({ version: 5, clientId: uniqueId(), properties: [["maximumPacketSize", 20]], ...more })
      )
      expect((await client.nextBytes()).length).toBeLessThanOrEqual(20)
    }
  })

  test("a byte now and then is no packet: the keep alive ends [MQTT-3.1.2-22]", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5, keepAlive: 1 })
    const bytes = encode.publish(5, { topic: "a", payload: "x".repeat(50) })
    for (let index = 0; index < 8 && !client.isClosed; index++) {
      client.send(bytes.subarray(index, index + 1))
      await sleep(400)
    }
    expect(client.isClosed).toBe(true)
  })

  test("a topic name that is not UTF-8 is malformed, not a name that is not accepted [MQTT-1.5.4-1, MQTT-4.13.1-1]", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    client.sendHex("30 05 0002 c328 00")
    await client.closed()
    expect(client.drain()).toMatchObject([{ type: "disconnect", code: 0x81 }])
  })

  test("an acknowledgement that its message does not wait for ends the connection [MQTT-4.13.1-1, MQTT-4.8.0-1 of 3.1.1]", async () => {
    for (const version of [4, 5] as const) {
      for (const [qos, right, wrong] of [
        [1, [], "pubrec"],
        [1, [], "pubcomp"],
        [2, [], "puback"],
        [2, [], "pubcomp"],
        [2, ["pubrec"], "puback"]
      ] as const) {
        const topic = uniqueLevel()
        const client = await RawMqtt.connect(broker().mqtt, { version })
        await client.subscribe(topic, qos)
        await (await RawMqtt.connect(broker().mqtt)).publishWhole({ topic, payload: "x", qos })
        const { id } = await client.expect("publish")
        for (const type of right) client.ack(type, id)
        if (right.length > 0) await client.expect("pubrel")
        client.ack(wrong, id)
        await client.closed()
        expect(client.drain()).toMatchObject(version === 5 ? [{ type: "disconnect", code: 0x82 }] : [])
      }
    }
  })

  test("an acknowledgement of an identifier that is not in use ends no connection", async () => {
    for (const version of [4, 5] as const) {
      const client = await RawMqtt.connect(broker().mqtt, { version })
      for (const type of ["puback", "pubcomp", "pubrec"] as const) client.ack(type, 7)
      expect(await client.expect("pubrel")).toMatchObject({ id: 7, code: version === 5 ? 0x92 : 0 })
      await client.quiet(0)
    }
  })

  test("3.1: SUBSCRIBE, UNSUBSCRIBE and PUBREL may say that they come again; in 3.1.1 they may not", async () => {
    const again = (bytes: Uint8Array): Uint8Array => Uint8Array.of((bytes[0] ?? 0) | 8, ...bytes.subarray(1))
    const client = await RawMqtt.connect(broker().mqtt, { version: 3 })
    client.send(again(encode.subscribe(3, 1, [{ filter: "t", qos: 1 }])))
    await client.expectHex("90 03 0001 01")
    client.send(again(encode.unsubscribe(3, 2, ["t"])))
    await client.expectHex("b0 02 0002")
    client.publish({ topic: "t", qos: 2, id: 3 })
    await client.expectHex("50 02 0003")
    client.send(again(encode.ack("pubrel", 3)))
    await client.expectHex("70 02 0003")
    const newer = await RawMqtt.connect(broker().mqtt, { version: 4 })
    newer.send(again(encode.subscribe(4, 1, [{ filter: "t", qos: 1 }])))
    await newer.closed()
    expect(newer.drain()).toEqual([])
  })

  test("a PUBLISH that is not allowed is acknowledged and dropped, in 5 told 0x87; its connection goes on [MQTT-3.3.5-2 of 3.1.1]", async () => {
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe([{ filter: "$SYS/a" }, { filter: "$mine/#" }])
    for (const version of [3, 4, 5] as const) {
      const client = await RawMqtt.connect(broker().mqtt, { version })
      for (const topic of ["$SYS/a", "$share/a", "$exclusive/a", "$replay/a"]) {
        for (const qos of [0, 1, 2] as const)
          client.publish({ topic, payload: "no", qos, id: qos + 1, retain: qos === 1 })
        expect(await client.expect("puback")).toMatchObject({ id: 2, code: version === 5 ? 0x87 : 0 })
        expect(await client.expect("pubrec")).toMatchObject({ id: 3, code: version === 5 ? 0x87 : 0 })
        if (version !== 5) {
          client.ack("pubrel", 3)
          await client.expect("pubcomp")
        }
      }
      // Other names that begin with $ are names like any others; a will may not have what a PUBLISH may not.
      await client.publishWhole({ topic: "$mine/a", payload: `${version}`, qos: 2, id: 9 })
      const will = { topic: "$SYS/a", payload: "no" }
      const other = await RawMqtt.open(broker().mqtt, version)
      other.send(encode.connect({ version, clientId: uniqueId(), will }))
      expect((await other.expect("connack")).code).toBe(version === 5 ? 0x87 : 5)
    }
    const got = await subscriber.messages(3)
    expect(got.map(({ topic, payload }) => [topic, textOf(payload)])).toEqual(
      ["3", "4", "5"].map((each) => ["$mine/a", each])
    )
    await subscriber.quiet(0)
    const late = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await late.subscribe([{ filter: "$SYS/a" }])
    await late.quiet()
  })

  test("5: a topic name with a wildcard ends the connection, whatever its QoS", async () => {
    for (const qos of [0, 1, 2] as const) {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      client.publish({ topic: "a/+", payload: "x", qos, id: 1 })
      await client.closed()
      expect(client.drain().map((each) => [each.type, "code" in each ? each.code : 0])).toEqual([["disconnect", 0x90]])
    }
  })
})
