/**
 * Malformed and forbidden MQTT: the right Reason Code where the version has one, the connection closed, a counter by cause,
 * the broker unharmed (DESIGN 14, promises 5 and 6; MQTT 5.0 sections 1.5, 2.1, 3, 4.13).
 */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { concat, encode, field, packet, properties, two, type Version } from "../support/mqtt-packets.ts"
import { fromHex, RawMqtt, uniqueId } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

/** A first packet, the version it speaks, and the codes a CONNACK may carry; the connection always ends. */
const FIRST: ReadonlyArray<readonly [string, Version, Uint8Array, ReadonlyArray<number>]> = [
  ["a PUBLISH before CONNECT", 4, encode.publish(4, { topic: "a" }), []],
  ["a PINGREQ before CONNECT", 4, fromHex("c000"), []],
  ["type 0", 4, fromHex("0000"), []],
  ["a Remaining Length of five bytes", 4, fromHex("10 ff ff ff ff 7f"), []],
  ["a PUBLISH of 256 MiB", 4, fromHex("30 ff ff ff 7f 00 01 61"), []],
  ["a CONNECT of 256 MiB", 4, fromHex("10 ff ff ff 7f 00 04 4d 51 54 54 04 02"), []],
  ["CONNECT with reserved fixed header flags", 4, fromHex("11 0d 0004 4d515454 04 02 0000 0001 61"), []],
  ["CONNECT with the reserved connect flag", 4, fromHex("10 0d 0004 4d515454 04 03 0000 0001 61"), []],
  ["an unknown protocol name", 4, packet(0x10, field("HTTP"), Uint8Array.of(4, 2), two(0), field("x")), [1]],
  [
    "will QoS 3",
    5,
    packet(
      0x10,
      field("MQTT"),
      Uint8Array.of(5, 0x1e),
      two(0),
      properties([]),
      field("x"),
      properties([]),
      field("w"),
      field("")
    ),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "will QoS without a will",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 0x0a), two(0), properties([]), field("x")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "will retain without a will",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 0x22), two(0), properties([]), field("x")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "3.1.1: a password without a user name",
    4,
    packet(0x10, field("MQTT"), Uint8Array.of(4, 0x42), two(0), field("x"), field("pw")),
    [4, 5]
  ],
  [
    "a client identifier past the packet's end",
    4,
    packet(0x10, field("MQTT"), Uint8Array.of(4, 2), two(0), fromHex("ffff 61")),
    []
  ],
  [
    "bytes after the last field",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), properties([]), field("x"), fromHex("00")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  ["U+0000 in the client identifier", 5, encode.connect({ version: 5, clientId: "a\0b" }), [MALFORMED, 0x85]],
  [
    "bad UTF-8 in the client identifier",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), properties([]), field(fromHex("c328"))),
    [MALFORMED, 0x85]
  ],
  [
    "a surrogate in the client identifier",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), properties([]), field(fromHex("eda080"))),
    [MALFORMED, 0x85]
  ],
  [
    "a will topic with a wildcard",
    5,
    encode.connect({ version: 5, clientId: "x", will: { topic: "a/#", payload: "" } }),
    [MALFORMED, PROTOCOL_ERROR, 0x90]
  ],
  [
    "an empty will topic",
    5,
    encode.connect({ version: 5, clientId: "x", will: { topic: "", payload: "" } }),
    [MALFORMED, PROTOCOL_ERROR, 0x90]
  ],
  [
    "receive maximum 0",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["receiveMaximum", 0]] }),
    [PROTOCOL_ERROR]
  ],
  [
    "maximum packet size 0",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["maximumPacketSize", 0]] }),
    [PROTOCOL_ERROR]
  ],
  [
    "receive maximum twice",
    5,
    encode.connect({
      version: 5,
      clientId: "x",
      properties: [
        ["receiveMaximum", 1],
        ["receiveMaximum", 1]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "session expiry twice",
    5,
    encode.connect({
      version: 5,
      clientId: "x",
      properties: [
        ["sessionExpiry", 1],
        ["sessionExpiry", 1]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "request problem information 2",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["requestProblemInformation", 2]] }),
    [PROTOCOL_ERROR]
  ],
  [
    "request response information 2",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["requestResponseInformation", 2]] }),
    [PROTOCOL_ERROR]
  ],
  [
    "authentication data without a method",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["authenticationData", Uint8Array.of(1)]] }),
    [PROTOCOL_ERROR]
  ],
  [
    "a property of another packet",
    5,
    encode.connect({ version: 5, clientId: "x", properties: [["topicAlias", 1]] }),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "an unknown property",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("02 7e 00"), field("x")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "properties past the packet's end",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("ff01"), field("x")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "a property length of five bytes",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("8080808001"), field("x")),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "a will property twice",
    5,
    encode.connect({
      version: 5,
      clientId: "x",
      will: {
        topic: "w",
        payload: "",
        properties: [
          ["willDelay", 1],
          ["willDelay", 1]
        ]
      }
    }),
    [PROTOCOL_ERROR]
  ]
]

/** A packet after an accepted version 5 CONNECT, and the codes its DISCONNECT may carry. */
const LATER: ReadonlyArray<readonly [string, Uint8Array, ReadonlyArray<number>]> = [
  ["a second CONNECT", encode.connect({ version: 5, clientId: "again" }), [PROTOCOL_ERROR]],
  ["a CONNACK from a client", fromHex("20 03 00 00 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["a SUBACK from a client", fromHex("90 04 0001 00 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["a PINGRESP from a client", fromHex("d0 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["type 0", fromHex("00 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["AUTH without an authentication method", fromHex("f0 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["PINGREQ with flags", fromHex("c1 00"), [MALFORMED]],
  ["PINGREQ with a body", fromHex("c0 01 00"), [MALFORMED]],
  ["SUBSCRIBE with flags 0", fromHex("80 06 0001 00 0001 61"), [MALFORMED]],
  ["UNSUBSCRIBE with flags 0", fromHex("a0 06 0001 00 0001 61"), [MALFORMED]],
  ["PUBREL with flags 0", fromHex("60 02 0001"), [MALFORMED]],
  ["PUBACK with flags", fromHex("41 02 0001"), [MALFORMED]],
  ["DISCONNECT with flags", fromHex("e1 00"), [MALFORMED]],
  ["a Remaining Length of five bytes", fromHex("30 80 80 80 80 01"), [MALFORMED]],
  ["PUBLISH of 256 MiB", fromHex("30 ff ff ff 7f 0001 61"), [0x95, MALFORMED]],
  ["QoS 3", fromHex("36 06 0001 61 0001 00"), [MALFORMED]],
  ["DUP with QoS 0", fromHex("38 04 0001 61 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["PUBLISH with packet identifier 0", fromHex("32 06 0001 61 0000 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["PUBLISH that ends in its topic name", fromHex("30 03 0005 61"), [MALFORMED]],
  ["PUBLISH without its packet identifier", fromHex("32 03 0001 61"), [MALFORMED]],
  ["an empty PUBLISH", fromHex("30 00"), [MALFORMED]],
  ["PUBLISH to a/+", encode.publish(5, { topic: "a/+" }), [MALFORMED, PROTOCOL_ERROR, 0x90]],
  ["PUBLISH to #", encode.publish(5, { topic: "#" }), [MALFORMED, PROTOCOL_ERROR, 0x90]],
  ["PUBLISH to an empty topic without alias", encode.publish(5, { topic: "" }), [PROTOCOL_ERROR, 0x90]],
  ["PUBLISH with U+0000 in the topic", encode.publish(5, { topic: "a\0" }), [MALFORMED, 0x90]],
  ["PUBLISH with bad UTF-8 in the topic", packet(0x30, field(fromHex("fe61")), properties([])), [MALFORMED, 0x90]],
  [
    "PUBLISH with an overlong form in the topic",
    packet(0x30, field(fromHex("c0af")), properties([])),
    [MALFORMED, 0x90]
  ],
  ["PUBLISH with a surrogate in the topic", packet(0x30, field(fromHex("edb080")), properties([])), [MALFORMED, 0x90]],
  ["topic alias 0", encode.publish(5, { topic: "a", properties: [["topicAlias", 0]] }), [0x94, PROTOCOL_ERROR]],
  [
    "topic alias twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["topicAlias", 1],
        ["topicAlias", 1]
      ]
    }),
    [PROTOCOL_ERROR, 0x94]
  ],
  [
    "payload format twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["payloadFormat", 1],
        ["payloadFormat", 1]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "payload format 2",
    encode.publish(5, { topic: "a", properties: [["payloadFormat", 2]] }),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "message expiry twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["messageExpiry", 1],
        ["messageExpiry", 1]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "content type twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["contentType", "x"],
        ["contentType", "x"]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "response topic twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["responseTopic", "x"],
        ["responseTopic", "x"]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "correlation data twice",
    encode.publish(5, {
      topic: "a",
      properties: [
        ["correlationData", "x"],
        ["correlationData", "x"]
      ]
    }),
    [PROTOCOL_ERROR]
  ],
  [
    "a response topic with a wildcard",
    encode.publish(5, { topic: "a", properties: [["responseTopic", "a/+"]] }),
    [MALFORMED, PROTOCOL_ERROR, 0x90]
  ],
  [
    "a subscription identifier in PUBLISH",
    encode.publish(5, { topic: "a", properties: [["subscriptionIdentifier", 1]] }),
    [PROTOCOL_ERROR, MALFORMED]
  ],
  [
    "session expiry in PUBLISH",
    encode.publish(5, { topic: "a", properties: [["sessionExpiry", 1]] }),
    [PROTOCOL_ERROR, MALFORMED]
  ],
  ["bad UTF-8 in a user property", packet(0x30, field("a"), fromHex("07 26 0001 ff 0001 61")), [MALFORMED]],
  [
    "U+0000 in a user property",
    encode.publish(5, { topic: "a", properties: [["userProperty", ["a\0", "b"]]] }),
    [MALFORMED]
  ],
  ["a property cut short", packet(0x30, field("a"), fromHex("02 02 00")), [MALFORMED]],
  ["properties past the packet's end", packet(0x30, field("a"), fromHex("7f")), [MALFORMED]],
  ["a property length that is not the shortest", packet(0x30, field("a"), fromHex("8000")), [MALFORMED]],
  ["PUBACK of one byte", fromHex("40 01 00"), [MALFORMED]],
  ["PUBACK with bytes after its properties", fromHex("40 05 0001 00 00 00"), [MALFORMED]],
  ["PUBREL of one byte", fromHex("62 01 00"), [MALFORMED]],
  ["SUBSCRIBE without a filter", fromHex("82 03 0001 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["SUBSCRIBE with packet identifier 0", encode.subscribe(5, 0, [{ filter: "a" }]), [MALFORMED, PROTOCOL_ERROR]],
  ["SUBSCRIBE whose last filter lacks its options", fromHex("82 06 0001 00 0001 61"), [MALFORMED, PROTOCOL_ERROR]],
  [
    "SUBSCRIBE with QoS 3",
    packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(3)),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "SUBSCRIBE with reserved options",
    packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(0x40)),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "SUBSCRIBE with retain handling 3",
    packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(0x30)),
    [MALFORMED, PROTOCOL_ERROR]
  ],
  [
    "subscription identifier 0",
    encode.subscribe(5, 1, [{ filter: "a" }], [["subscriptionIdentifier", 0]]),
    [PROTOCOL_ERROR]
  ],
  [
    "subscription identifier twice",
    encode.subscribe(
      5,
      1,
      [{ filter: "a" }],
      [
        ["subscriptionIdentifier", 1],
        ["subscriptionIdentifier", 1]
      ]
    ),
    [PROTOCOL_ERROR]
  ],
  [
    "no local on a shared subscription",
    encode.subscribe(5, 1, [{ filter: "$share/g/a", noLocal: true }]),
    [PROTOCOL_ERROR, 0x9e]
  ],
  ["bad UTF-8 in a filter", packet(0x82, two(1), properties([]), field(fromHex("ff")), Uint8Array.of(0)), [MALFORMED]],
  ["UNSUBSCRIBE without a filter", fromHex("a2 03 0001 00"), [MALFORMED, PROTOCOL_ERROR]],
  ["UNSUBSCRIBE with packet identifier 0", encode.unsubscribe(5, 0, ["a"]), [MALFORMED, PROTOCOL_ERROR]],
  ["DISCONNECT with a foreign property", fromHex("e0 05 00 03 23 0001"), [MALFORMED, PROTOCOL_ERROR]],
  ["random bytes", fromHex("f3 04 ca fe ba be"), [MALFORMED, PROTOCOL_ERROR]]
]

/** Topic Filters that must not be granted: refused in SUBACK, or the connection ends. */
const FILTERS: ReadonlyArray<string> = [
  "",
  "a#",
  "a/#/b",
  "#/a",
  "a+",
  "+a",
  "a/b+/c",
  "a/+b",
  "##",
  "++",
  "$share//a",
  "$share/g",
  "$share/g/",
  "$share/g+/a",
  "$share/g#/a",
  "$share"
]

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
