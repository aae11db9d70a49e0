/** Reason Strings: MQTT 5.0 sections 3.1.2.11.7 and 2.2.2. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId } from "../support/raw-mqtt.ts"

brokerSuite("reasons", { set: { "protocol-mqtt.topic_levels_max": "3" } }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (list: Properties = []): Promise<RawMqtt> =>
    RawMqtt.connect(broker().mqtt, { version: 5, properties: list })
  const reasonOf = (list: Properties): unknown => propertyOf(list, "reasonString")
  const DEEP = "a/b/c/d"

  test("what is refused says why", async () => {
    const client = await connect()
    client.send(encode.subscribe(5, 1, [{ filter: "a" }, { filter: DEEP }, { filter: "b#" }]))
    const suback = await client.expect("suback")
    expect(suback.codes).toEqual([0, 0x8f, 0x8f])
    expect(reasonOf(suback.properties)).toBe("the topic filter is not valid, or longer or deeper than is allowed")
    for (const [qos, type] of [
      [1, "puback"],
      [2, "pubrec"]
    ] as const) {
      client.publish({ topic: DEEP, payload: "x", qos, id: 7 })
      const answer = await client.expect(type)
      expect([answer.code, reasonOf(answer.properties)]).toEqual([
        0x90,
        "the topic name is not valid, or longer or deeper than is allowed"
      ])
    }
    client.send(encode.connect({ version: 5 }))
    const bye = await client.expect("disconnect")
    expect([bye.code, reasonOf(bye.properties)]).toEqual([0x82, "a packet was not allowed where it came"])
  })

  test("what is granted says nothing more", async () => {
    const client = await connect()
    client.send(encode.subscribe(5, 1, [{ filter: "a" }]))
    expect((await client.expect("suback")).properties).toEqual([])
    client.publish({ topic: "nobody", payload: "x", qos: 1, id: 7 })
    expect((await client.expect("puback")).properties).toEqual([])
  })

  test("with Request Problem Information 0 only CONNACK and DISCONNECT say why [MQTT-3.1.2-29]", async () => {
    const client = await connect([["requestProblemInformation", 0]])
    client.send(encode.subscribe(5, 1, [{ filter: DEEP }]))
    expect((await client.expect("suback")).properties).toEqual([])
    client.publish({ topic: DEEP, payload: "x", qos: 1, id: 7 })
    expect((await client.expect("puback")).properties).toEqual([])
    client.send(encode.connect({ version: 5 }))
    expect(typeof reasonOf((await client.expect("disconnect")).properties)).toBe("string")
  })

  test("no packet is larger than the client takes for it [MQTT-3.4.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3]", async () => {
    const client = await connect([["maximumPacketSize", 40]])
    client.send(encode.subscribe(5, 1, [{ filter: DEEP }]))
    const suback = await client.expect("suback")
    expect([suback.codes, suback.properties]).toEqual([[0x8f], []])
    client.publish({ topic: DEEP, payload: "x", qos: 1, id: 7 })
    const puback = await client.expect("puback")
    expect([puback.code, puback.properties]).toEqual([0x90, []])
    client.send(encode.connect({ version: 5 }))
    const bye = await client.expect("disconnect")
    expect([bye.code, bye.properties]).toEqual([0x82, []])
  })

  test("answers keep within the client's Maximum Packet Size, or the connection ends with 0x95 [MQTT-3.1.2-24]", async () => {
    const open = async (maximum: number): Promise<RawMqtt> => {
      const client = await RawMqtt.open(broker().mqtt, 5)
      client.send(encode.connect({ version: 5, clientId: uniqueId(), properties: [["maximumPacketSize", maximum]] }))
      return client
    }
    for (const maximum of [5, 8, 10, 14]) {
      const client = await open(maximum)
      expect((await client.nextBytes()).length).toBeLessThanOrEqual(maximum)
    }
    const none = await open(4)
    await none.closed()
    expect(none.drainBytes()).toEqual([])
    const many = Array.from({ length: 60 }, (_, number) => `f/${number}`)
    for (const packet of [
      encode.subscribe(
        5,
        1,
        many.map((filter) => ({ filter }))
      ),
      encode.unsubscribe(5, 1, many)
    ]) {
      const client = await open(40)
      await client.expect("connack")
      client.send(packet)
      const bye = await client.nextBytes()
      expect([bye[0], bye[2], bye.length <= 40]).toEqual([0xe0, 0x95, true])
    }
  })

  test("a CONNECT that is refused is told why", async () => {
    const client = await RawMqtt.open(broker().mqtt, 5)
    client.send(encode.connect({ version: 5, clientId: uniqueId(), properties: [["authenticationMethod", "unknown"]] }))
    const connack = await client.expect("connack")
    expect([connack.code, reasonOf(connack.properties)]).toEqual([
      0x8c,
      "SCRAM-SHA-256 is the only method, where users of it are configured"
    ])
  })

  test("a connection that is taken over is told so", async () => {
    const clientId = uniqueId()
    const first = await RawMqtt.connect(broker().mqtt, { version: 5, clientId })
    await RawMqtt.connect(broker().mqtt, { version: 5, clientId })
    const bye = await first.expect("disconnect")
    expect([bye.code, reasonOf(bye.properties)]).toEqual([0x8e, "another connection has the same client identifier"])
  })
})
