/** The relay alone, packet by packet: identifiers stay, acknowledgements pass only where they came, limits of the remote are obeyed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { generate, type Packet, parser } from "mqtt-packet"
import { Counts } from "./Counts.ts"
import { Refusals } from "./Refusals.ts"
import { Relay, type RelayParts } from "./Relay.ts"
import { TopicMap } from "./TopicMap.ts"
import { OutBuffer } from "./wire/OutBuffer.ts"
import { FOUND, PacketReader } from "./wire/PacketReader.ts"

const OWN = "0123456789ab"
const rules = (from: string, to: string) => [{ filter: "#", qos: 2, from, to }]

class Bench {
  readonly toLocal = new OutBuffer()
  readonly toRemote = new OutBuffer()
  readonly counts = new Counts()
  readonly drops: Array<string> = []
  /** Why the link is to end soon. */
  soon = ""
  readonly relay: Relay
  readonly #version: 4 | 5

  constructor(parts: Partial<RelayParts> = {}) {
    this.#version = parts.remoteVersion ?? 5
    this.relay = new Relay({
      toLocal: this.toLocal,
      toRemote: this.toRemote,
      remoteVersion: 5,
      maximumQos: 2,
      sessionQos: parts.maximumQos ?? 2,
      retainAvailable: true,
      remotePacketSizeMax: 268_435_460,
      localPacketSizeMax: 1_048_576,
      outTopics: new TopicMap(rules("site/", "far/")),
      inTopics: new TopicMap(rules("far/", "site/")),
      own: new TextEncoder().encode(OWN),
      hopsMax: 2,
      counts: this.counts,
      dropped: (direction, why) => this.drops.push(`${direction}: ${why}`),
      refusals: new Refusals(),
      endSoon: (reason) => {
        this.soon = reason
      },
      ...parts
    })
  }

  /** A packet from this broker; what comes of it, or the reason why the link ends. */
  local(packet: Packet): ReadonlyArray<string> {
    return this.#pass(packet, 5, "fromLocal")
  }

  remote(packet: Packet): ReadonlyArray<string> {
    return this.#pass(packet, this.#version, "fromRemote")
  }

  remoteBytes(bytes: Uint8Array): ReadonlyArray<string> {
    return this.#passBytes(bytes, "fromRemote")
  }

  #pass(packet: Packet, version: 4 | 5, way: "fromLocal" | "fromRemote"): ReadonlyArray<string> {
    return this.#passBytes(new Uint8Array(generate(packet, { protocolVersion: version })), way)
  }

  #passBytes(sent: Uint8Array, way: "fromLocal" | "fromRemote"): ReadonlyArray<string> {
    const reader = new PacketReader(268_435_460)
    reader.push(sent)
    assert.equal(reader.next(), FOUND)
    const { bytes, firstByte, start, end } = reader
    const fault = this.relay[way](firstByte >>> 4, bytes, firstByte, start, end)
    const out = [...read("here", this.toLocal, 5), ...read("there", this.toRemote, this.#version)]
    return fault === "" ? out : [`ends: ${fault}`]
  }
}

function read(side: string, out: OutBuffer, protocolVersion: 4 | 5): ReadonlyArray<string> {
  const found: Array<string> = []
  const stream = parser({ protocolVersion })
  stream.on("packet", (packet: Packet) => found.push(`${side} ${told(packet)}`))
  stream.on("error", (error: Error) => assert.fail(error.message))
  stream.parse(Buffer.from(out.take()))
  return found
}

function told(packet: Packet): string {
  if (packet.cmd !== "publish") {
    const { reasonCode = 0 } = packet as { reasonCode?: number }
    return `${packet.cmd} ${packet.messageId}${reasonCode === 0 ? "" : ` 0x${reasonCode.toString(16)}`}`
  }
  const { topic, qos, dup, retain, messageId = "-" } = packet
  return `publish ${messageId} ${topic} q${qos}${dup ? " dup" : ""}${retain ? " retain" : ""}`
}

const publish = (topic: string, qos: 0 | 1 | 2, messageId: number, more: object = {}): Packet => ({
  cmd: "publish",
  topic,
  qos,
  messageId,
  dup: false,
  retain: false,
  payload: "x",
  ...more
})
const ack = (cmd: "puback" | "pubrec" | "pubrel" | "pubcomp", messageId: number, reasonCode = 0): Packet =>
  ({ cmd, messageId, reasonCode }) as Packet

for (const remoteVersion of [4, 5] as const) {
  test(`both ways, every QoS, under the same identifiers: version ${remoteVersion}`, () => {
    const bench = new Bench({ remoteVersion })
    assert.deepEqual(bench.local(publish("site/a", 0, 0)), ["there publish - far/a q0"])
    assert.deepEqual(bench.local(publish("site/a", 1, 7, { dup: true, retain: true })), [
      "there publish 7 far/a q1 dup retain"
    ])
    assert.deepEqual(bench.remote(ack("puback", 7)), ["here puback 7"])
    assert.deepEqual(bench.local(publish("site/a", 2, 8)), ["there publish 8 far/a q2"])
    assert.deepEqual(bench.remote(ack("pubrec", 8)), ["here pubrec 8"])
    assert.deepEqual(bench.local(ack("pubrel", 8)), ["there pubrel 8"])
    assert.deepEqual(bench.remote(ack("pubcomp", 8)), ["here pubcomp 8"])
    assert.deepEqual(bench.remote(publish("far/b", 1, 7)), ["here publish 7 site/b q1"])
    assert.deepEqual(bench.local(ack("puback", 7)), ["there puback 7"])
    assert.deepEqual(bench.remote(publish("far/b", 2, 8)), ["here publish 8 site/b q2"])
    assert.deepEqual(bench.local(ack("pubrec", 8)), ["there pubrec 8"])
    assert.deepEqual(bench.remote(ack("pubrel", 8)), ["here pubrel 8"])
    assert.deepEqual(bench.local(ack("pubcomp", 8)), ["there pubcomp 8"])
    assert.deepEqual([bench.counts.messagesOut, bench.counts.messagesIn, bench.drops], [3, 2, []])
  })
}

test("what the remote does not take is less: QoS, RETAIN; a message that is too large is given up and counted", () => {
  const bench = new Bench({ maximumQos: 1, retainAvailable: false, remotePacketSizeMax: 200 })
  assert.deepEqual(bench.local(publish("site/a", 2, 5, { retain: true })), ["there publish 5 far/a q1"])
  assert.deepEqual(bench.remote(ack("puback", 5)), ["here pubrec 5"])
  assert.deepEqual(bench.local(ack("pubrel", 5)), ["here pubcomp 5"])
  // Of an earlier link: the remote has never heard of it.
  assert.deepEqual(bench.local(ack("pubrel", 6)), ["here pubcomp 6"])
  const large = { payload: "x".repeat(300) }
  assert.deepEqual(bench.local(publish("site/a", 0, 0, large)), [])
  assert.deepEqual(bench.local(publish("site/a", 1, 1, large)), ["here puback 1"])
  assert.deepEqual(bench.local(publish("site/a", 2, 2, large)), ["here pubrec 2"])
  assert.deepEqual(bench.local(ack("pubrel", 2)), ["here pubcomp 2"])
  assert.equal(bench.drops.length, 3)
  const none = new Bench({ maximumQos: 0 })
  assert.deepEqual(none.local(publish("site/a", 1, 1)), ["here puback 1", "there publish - far/a q0"])
  assert.deepEqual(none.local(publish("site/a", 2, 2)), ["here pubrec 2", "there publish - far/a q0"])
  assert.deepEqual(none.local(ack("pubrel", 2)), ["here pubcomp 2"])
})

test("a remote that takes QoS 1 from now on: what it had of QoS 2 gets its PUBREL, what was lowered does not", () => {
  const bench = new Bench({ maximumQos: 1, sessionQos: 2 })
  assert.deepEqual(bench.local(ack("pubrel", 6)), ["there pubrel 6"])
  assert.deepEqual(bench.remote(ack("pubcomp", 6)), ["here pubcomp 6"])
  bench.local(publish("site/a", 2, 7))
  assert.deepEqual(bench.remote(ack("puback", 7)), ["here pubrec 7"])
  assert.deepEqual(bench.local(ack("pubrel", 7)), ["here pubcomp 7"])
})

test("the first rule for a name says with which QoS it goes; what leaves no name is given up and counted", () => {
  const outTopics = new TopicMap([
    { filter: "zero/#", qos: 0, from: "", to: "" },
    { filter: "one/#", qos: 1, from: "", to: "" },
    { filter: "#", qos: 2, from: "p/", to: "" },
    { filter: "one/b", qos: 2, from: "", to: "" }
  ])
  const bench = new Bench({ outTopics })
  assert.deepEqual(bench.local(publish("zero/a", 2, 1)), ["here pubrec 1", "there publish - zero/a q0"])
  assert.deepEqual(bench.local(ack("pubrel", 1)), ["here pubcomp 1"])
  assert.deepEqual(bench.local(publish("one/b", 2, 2)), ["there publish 2 one/b q1"])
  assert.deepEqual(bench.remote(ack("puback", 2)), ["here pubrec 2"])
  assert.deepEqual(bench.local(ack("pubrel", 2)), ["here pubcomp 2"])
  assert.deepEqual(bench.local(publish("p/q", 2, 3)), ["there publish 3 q q2"])
  // It may have gone there as QoS 2 before the options changed: with another one it would be another message.
  assert.deepEqual(bench.local(publish("one/b", 2, 4, { dup: true })), ["there publish 4 one/b q2 dup"])
  assert.deepEqual(bench.drops, [])
  assert.deepEqual(bench.local(publish("p", 1, 5)), ["here puback 5"])
  assert.deepEqual(bench.local(publish("other", 1, 6)), ["here puback 6"])
  assert.equal(bench.drops.length, 2)
})

test("refusals: for good they are gaps; for now they end the link, so that the message comes again", () => {
  const bench = new Bench()
  bench.local(publish("site/a", 1, 1))
  assert.deepEqual(bench.remote(ack("puback", 1, 0x87)), ["here puback 1"])
  bench.local(publish("site/a", 2, 2))
  assert.deepEqual(bench.remote(ack("pubrec", 2, 0x99)), ["here pubrec 2 0x80"])
  bench.remote(publish("far/a", 1, 3))
  assert.deepEqual(bench.local(ack("puback", 3, 0x87)), ["there puback 3 0x87"])
  assert.deepEqual(bench.drops.length, 3)
  for (const [cmd, reasonCode] of [
    ["puback", 0x97],
    ["puback", 0x91],
    ["pubrec", 0x91]
  ] as const) {
    const out = new Bench()
    assert.deepEqual(out.remote(ack(cmd, 4, reasonCode)), [])
    assert.match(out.soon, /^the remote takes no messages now/)
    // What is under way may still be answered; what comes behind it comes again.
    assert.deepEqual(out.remote(ack("puback", 5)), ["here puback 5"])
    assert.deepEqual(out.local(publish("site/a", 1, 6)), [])
    assert.deepEqual(out.local(publish("site/a", 0, 0)), ["there publish - far/a q0"])
    assert.deepEqual(out.drops, [])
  }
  for (const [cmd, reasonCode] of [
    ["puback", 0x97],
    ["pubrec", 0x80]
  ] as const) {
    const into = new Bench()
    assert.deepEqual(into.local(ack(cmd, 4, reasonCode)), [])
    assert.match(into.soon, /^this broker takes no messages now/)
    assert.deepEqual(into.local(ack("puback", 5)), ["there puback 5"])
    assert.deepEqual(into.remote(publish("far/a", 1, 6)), [])
    assert.deepEqual(into.drops, [])
  }
  // Before version 5 nobody can say no.
  const four = new Bench({ remoteVersion: 4 })
  assert.deepEqual(four.local(ack("pubrec", 3, 0x87)), ["there pubrec 3"])
  assert.equal(four.drops.length, 1)
})

test("what has no place here is acknowledged to the remote and counted: no rule, names of the broker's own, too large", () => {
  const bench = new Bench({ localPacketSizeMax: 200, inTopics: new TopicMap(rules("far/", "")) })
  assert.deepEqual(bench.remote(publish("other/a", 1, 1)), ["there puback 1"])
  assert.deepEqual(bench.remote(publish("far/$SYS/a", 2, 2)), ["there pubrec 2"])
  assert.deepEqual(bench.remote(publish("far/$delayed/1/a", 0, 0)), [])
  assert.deepEqual(bench.remote(publish("far/a", 1, 3, { payload: "x".repeat(300) })), ["there puback 3"])
  assert.equal(bench.drops.length, 4)
})

test("loops: what has been here stops here, what has passed too many stops anywhere", () => {
  const noted = (...brokers: ReadonlyArray<string>) => ({
    properties: { userProperties: { "manifold-bridge": brokers } }
  })
  const bench = new Bench()
  assert.deepEqual(bench.remote(publish("far/a", 1, 1, noted("other", OWN))), ["there puback 1"])
  assert.deepEqual(bench.remote(publish("far/a", 1, 2, noted("one", "other"))), ["there puback 2"])
  assert.deepEqual(bench.remote(publish("far/a", 1, 3, noted("other"))), ["here publish 3 site/a q1"])
  assert.deepEqual(bench.local(publish("site/a", 1, 4, noted("one", "other"))), ["here puback 4"])
  // It came over a bridge of this broker, and goes on over another one.
  assert.deepEqual(bench.local(publish("site/a", 1, 5, noted("other", OWN))), ["there publish 5 far/a q1"])
  // It went out from here, and was sent back as a client's message.
  assert.deepEqual(bench.local(publish("site/a", 1, 6, noted(OWN, "other"))), ["here puback 6"])
  assert.deepEqual([bench.counts.looped, bench.drops], [4, []])
  // It came back by somebody who notes nothing himself: once it cannot be told from one that a bridge has brought, then it can.
  assert.deepEqual(bench.local(publish("site/a", 1, 7, noted(OWN))), ["there publish 7 far/a q1"])
  assert.deepEqual(bench.local(publish("site/a", 1, 8, noted(OWN, OWN))), ["here puback 8"])
  assert.equal(bench.counts.looped, 5)
  // Two notes of one broker are one broker.
  assert.deepEqual(bench.local(publish("site/a", 1, 9, noted("other", "other"))), ["there publish 9 far/a q1"])
  assert.deepEqual(bench.remote(publish("far/a", 1, 9, noted("other", "other"))), ["here publish 9 site/a q1"])
  const blind = new Bench({ hopsMax: 0 })
  assert.deepEqual(blind.remote(publish("far/a", 1, 1, noted("other", OWN))), ["here publish 1 site/a q1"])
})

test("refused for now again and again: given up where others are taken meanwhile, and kept where nothing is", () => {
  const refusals = new Refusals()
  const refuse = (taken: boolean): ReadonlyArray<string> => {
    const bench = new Bench({ refusals })
    bench.remote(publish("far/a", 1, 4))
    const out = bench.local(ack("puback", 4, 0x97))
    if (taken) bench.local(ack("puback", 5))
    return [...out, ...bench.drops]
  }
  for (let link = 0; link < 20; link++) assert.deepEqual(refuse(false), [])
  for (let link = 0; link < 4; link++) assert.deepEqual(refuse(true), [])
  assert.deepEqual(refuse(true), ["there puback 4 0x97", "in: this broker refused it (0x97)"])
  assert.equal(refusals.has("in"), false)
  // Taken in the end, it begins at nothing.
  refuse(true)
  new Bench({ refusals }).local(ack("puback", 4))
  assert.equal(refusals.has("in"), false)
})

/** A PUBLISH of QoS 2 on "far/a", identifier 7, with these properties, as no codec would write it. */
function strange(properties: string): Uint8Array {
  const size = (properties.length / 2).toString(16).padStart(2, "0")
  const bytes = Uint8Array.fromHex(`340000056661722f610007${size}${properties}78`)
  bytes[1] = bytes.length - 2
  return bytes
}

test("properties with values that this broker ends a connection for, and others pass on: given up at once", () => {
  for (const properties of ["0102", "080000", "080003612f23", "0800012b"]) {
    const bench = new Bench()
    assert.deepEqual(bench.remoteBytes(strange(properties)), ["there pubrec 7"], properties)
    assert.equal(bench.drops.length, 1)
  }
  for (const properties of ["0101", "080003612f62", "0900022b23"]) {
    assert.deepEqual(new Bench().remoteBytes(strange(properties)), ["here publish 7 site/a q2"], properties)
  }
})

test("a message that ends the connection ends it once: when it comes again it is given up", () => {
  const refusals = new Refusals()
  // No UTF-8.
  const bytes = strange("030001ff")
  assert.match(new Bench({ refusals }).remoteBytes(bytes)[0] ?? "", /^ends: the remote sent/)
  const bench = new Bench({ refusals })
  assert.deepEqual([bench.remoteBytes(bytes), bench.drops.length], [["there pubrec 7"], 1])
  // What comes later under the same identifier is another one.
  assert.match(new Bench({ refusals }).remoteBytes(bytes)[0] ?? "", /^ends: the remote sent/)
  new Bench({ refusals })
  assert.match(new Bench({ refusals }).remoteBytes(bytes)[0] ?? "", /^ends: the remote sent/)
})

test("a message over which this broker ends the connection is looked for one by one, and given up", () => {
  const refusals = new Refusals()
  const link = (): Bench => {
    const bench = new Bench({ refusals })
    assert.deepEqual(bench.remote(publish("far/a", 1, 1)), ["here publish 1 site/a q1"])
    bench.relay.localEnded(0x82)
    return bench
  }
  link()
  assert.equal(refusals.isSuspicious, true)
  link()
  const last = new Bench({ refusals })
  assert.match(last.remote(publish("far/a", 1, 1))[0] ?? "", /^ends: a message .* was given up/)
  assert.deepEqual([last.drops, refusals.isSuspicious], [["in: this broker ended the connection over it"], false])
  // A message of QoS 0 does not come again: the next link passes all of it, and the one after it as ever.
  new Bench({ refusals }).relay.localEnded(0x90)
  new Bench({ refusals })
  new Bench({ refusals })
  assert.equal(refusals.isSuspicious, false)
  // Not what is no fault of a packet.
  const other = new Bench({ refusals })
  other.relay.localEnded(0x8b)
  assert.equal(refusals.isSuspicious, false)
})

test("what this broker has answered is not what it ends the connection over", () => {
  for (const [cmd, reasonCode] of [
    ["puback", 0],
    ["puback", 0x87],
    ["pubrec", 0]
  ] as const) {
    const refusals = new Refusals()
    new Bench({ refusals }).relay.localEnded(0x82)
    const bench = new Bench({ refusals })
    const qos = cmd === "puback" ? 1 : 2
    bench.remote(publish("far/a", qos, 1))
    bench.local(ack(cmd, 1, reasonCode))
    bench.relay.localEnded(0x82)
    // Another message, as large, under the identifier that is free again.
    const next = new Bench({ refusals })
    assert.deepEqual(next.remote(publish("far/b", qos, 1)), [`here publish 1 site/b q${qos}`])
    assert.deepEqual(next.drops, [])
  }
})
