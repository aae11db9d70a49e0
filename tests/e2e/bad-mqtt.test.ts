/**
 * Malformed and forbidden MQTT: the right Reason Code where the version has one, the connection closed, a counter by cause,
 * the broker unharmed (DESIGN 14, promises 5 and 6; MQTT 5.0 sections 1.5, 2.1, 3, 4.13).
 */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { FILTERS, FIRST, LATER } from "../support/malformed-mqtt.ts"
import { concat, encode } from "../support/mqtt-packets.ts"
import { fromHex, RawMqtt, uniqueId } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

brokerSuite("bad MQTT", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  for (const [name, version, bytes, codes] of FIRST) {
    test(`first packet: ${name}`, async () => {
      const client = await RawMqtt.open(broker().mqtt, version)
      client.send(bytes)
      await client.closed(2_000)
      const answers = client.drain().map((each) => (each.type === "connack" ? each.code : each.type))
      if (version === 5) expect(answers.length).toBe(1)
      for (const answer of answers) expect(codes).toContain(Number(answer))
    })
  }

  for (const [name, bytes, codes] of LATER) {
    test(`later packet: ${name}`, async () => {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      client.send(bytes)
      await client.closed(2_000)
      const answers = client.drain()
      expect(answers.map((each) => each.type)).toEqual(["disconnect"])
      expect(codes).toContain(answers[0]?.type === "disconnect" ? answers[0].code : -1)
    })
  }

  for (const [name, bytes] of [
    ["type 15", fromHex("f0 00")],
    ["type 0", fromHex("00 00")],
    ["a second CONNECT", encode.connect({ clientId: "again" })],
    ["packet identifier 0", fromHex("32 05 0001 61 0000")],
    ["PUBLISH to #", encode.publish(4, { topic: "#" })],
    ["SUBSCRIBE without a filter", fromHex("82 02 0001")],
    ["SUBSCRIBE with reserved QoS bits", fromHex("82 06 0001 0001 61 04")],
    ["DUP with QoS 0", fromHex("38 03 0001 61")],
    ["PUBACK of three bytes", fromHex("40 03 0001 00")],
    ["U+0000 in the topic", encode.publish(4, { topic: "a\0" })]
  ] as const) {
    test(`3.1.1: ${name} closes the connection without a word`, async () => {
      const client = await RawMqtt.connect(broker().mqtt, { version: 4 })
      client.send(bytes)
      await client.closed(2_000)
      expect(client.drain()).toEqual([])
    })
  }

  for (const filter of FILTERS) {
    for (const version of [4, 5] as const) {
      test(`${version}: the filter "${filter}" is not granted`, async () => {
        if (version === 4 && filter.startsWith("$share")) return
        const client = await RawMqtt.connect(broker().mqtt, { version })
        client.send(encode.subscribe(version, 3, [{ filter }]))
        const answer = await client.next().catch(() => undefined)
        if (answer === undefined) return expect(client.isClosed).toBe(true)
        if (answer.type === "suback") expect(answer.codes.every((code) => code >= 0x80)).toBe(true)
        else expect(answer).toMatchObject({ type: "disconnect" })
      })
    }
  }

  test("every malformed packet was counted by its cause", async () => {
    if (broker().isExternal) return
    const before = await malformed()
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    client.send(encode.publish(5, { topic: "a\0" }))
    await client.closed()
    await sleep(50)
    const after = await malformed()
    const risen = [...after].filter(([series, value]) => value > (before.get(series) ?? 0))
    expect(risen.length).toBeGreaterThan(0)
    expect(risen.some(([series]) => /mqtt/.test(series) && /\{.*(cause|reason)="[^"]+"/.test(series))).toBe(true)
  })

  /** Metric series that look like faults of clients. */
  async function malformed(): Promise<Map<string, number>> {
    const lines = (await broker().metrics()).split("\n").filter((line) => /^manifold\w*\{.*(cause|reason)=/.test(line))
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))])
    )
  }

  test("random bytes after CONNECT, 300 times: the broker lives and serves others", async () => {
    const watcher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    let state = 12_345
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 8
    }
    for (let round = 0; round < 300; round++) {
      const client = await RawMqtt.open(broker().mqtt, 5)
      const junk = Uint8Array.from({ length: random() % 200 }, () => random() & 255)
      const good = encode.connect({ version: round % 2 === 0 ? 5 : 4, clientId: uniqueId() })
      const cut = round % 3 === 0 ? good.subarray(0, random() % good.length) : good
      client.send(concat(cut, junk))
      client.socket.end()
      if (round % 20 === 0) {
        await watcher.quiet(0)
      }
    }
    await watcher.quiet()
  }, 20_000)

  test("a mutated session never hurts the broker: each byte of a good stream changed in turn", async () => {
    const good = concat(
      encode.connect({
        version: 5,
        clientId: uniqueId(),
        will: { topic: "w", payload: "w", properties: [["willDelay", 1]] }
      }),
      encode.subscribe(5, 1, [{ filter: "mutant/+/x", qos: 2 }], [["subscriptionIdentifier", 3]]),
      encode.publish(5, {
        topic: "mutant/1/x",
        qos: 2,
        id: 2,
        payload: "p",
        properties: [
          ["userProperty", ["k", "v"]],
          ["topicAlias", 1]
        ]
      }),
      encode.ack("pubrel", 2),
      encode.unsubscribe(5, 3, ["mutant/+/x"]),
      encode.pingreq()
    )
    for (let index = 0; index < good.length; index++) {
      const bytes = Uint8Array.from(good)
      bytes[index] = (bytes[index] ?? 0) ^ (1 << (index & 7))
      const client = await RawMqtt.open(broker().mqtt, 5)
      client.send(bytes)
      client.socket.end()
    }
    const after = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await after.quiet()
  }, 20_000)
})
