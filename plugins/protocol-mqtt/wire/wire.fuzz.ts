/**
 * Fuzzing of the whole wire codec: recorded and hand-made packets, mutated, and random bytes, through the stream and
 * into the decoder of each packet. Not part of the product.
 *
 *   bun plugins/protocol-mqtt/wire/wire.fuzz.ts [--seed N] [--runs N]
 *
 * Checked in each round: nothing throws; the same bytes give the same outcome whole, cut at random and with other bytes
 * behind them (so nothing beyond a packet's end is read); Reason Codes are among those that a decoder may give; the
 * properties of an accepted PUBLISH come back from the record's headers.
 */
import assert from "node:assert"
import { readdirSync, readFileSync } from "node:fs"
import { fuzzOptions } from "../../../tests/support/fuzz-options.ts"
import { AcknowledgementView, scanAcknowledgement } from "./acknowledgements.ts"
import { decodeAuth } from "./auth.ts"
import { decodeConnect } from "./connect.ts"
import { checkPingreq, decodeDisconnect } from "./disconnect.ts"
import { type PacketHandler, PacketStream } from "./framing.ts"
import {
  headersResult,
  headersSizeMax,
  headersToProperties,
  propertiesSizeMax,
  propertiesToHeaders
} from "./headers.ts"
import * as Types from "./packet-types.ts"
import { copyDeliveredProperties } from "./property-writers.ts"
import { checkPublishTopic, PublishView, scanPublish } from "./publish.ts"
import { Refusal } from "./refusal.ts"
import { decodeSubscribe } from "./subscribe.ts"
import { hex, hexOf } from "./testing.ts"
import { decodeUnsubscribe } from "./unsubscribe.ts"

const REFUSALS = new Set([0x81, 0x82, 0x84, 0x85, 0x90, 0x94, 0x95])

/** Packets that reach the corners which the recorded ones do not. */
const CORNERS = [
  "10 0d 0004 4d515454 04 02 003c 0001 61",
  "10 0f 0006 4d5149736470 03 02 003c 0001 61",
  "10 2e 0004 4d515454 05 c6 003c 0c 1100000001 210001 150001 61 0001 63 07 1800000001 0101 0001 77 0001 78 0001 75 0001 70",
  "30 18 0003 612f62 10 0101 020000003c 230007 26 0001 61 0000 7879",
  "32 07 0003 612f62 000a",
  "3d 09 0003 612f62 000a 00 78",
  "40 0a 0001 00 06 1f 0003 616263",
  "62 03 0001 92",
  "82 14 0001 03 0b8001 000b 24 7368617265 2f 67 2f 74 2f 01",
  "82 0e 0001 00 0001 23 0d 0001 2b 10 0001 61",
  "a2 0d 0001 07 26 0001 61 0001 62 0001 61",
  "c0 00",
  "e0 07 00 05 1100000001",
  "f0 0a 18 08 15000161 16000100"
]

/** Mulberry32: small, seeded, good enough to choose mutations. */
class Chance {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<Item>(items: ReadonlyArray<Item>): Item {
    return items[this.below(items.length)] as Item
  }
}

/** Decodes every packet and notes what came of it, as text that can be compared. */
class Notes implements PacketHandler {
  readonly lines: Array<string> = []
  private version: Types.ProtocolVersion

  constructor(version: Types.ProtocolVersion) {
    this.version = version
  }

  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    const outcome = this.decode(bytes, firstByte, start, end)
    this.lines.push(`${firstByte} ${typeof outcome === "number" ? outcome : JSON.stringify(outcome)}`)
    const reasonCode = typeof outcome === "number" ? outcome : outcome instanceof Refusal ? outcome.reasonCode : 0
    assert.ok(reasonCode === 0 || REFUSALS.has(reasonCode), `Reason Code ${reasonCode}`)
    return reasonCode
  }

  private decode(bytes: Uint8Array, firstByte: number, start: number, end: number): number | object {
    const packetType = firstByte >> 4
    switch (packetType) {
      case Types.CONNECT: {
        const packet = decodeConnect(bytes, start, end)
        if (!(packet instanceof Refusal)) this.version = packet.protocolVersion
        return packet
      }
      case Types.PUBLISH:
        return this.publish(bytes, firstByte, start, end)
      case Types.SUBSCRIBE:
        return decodeSubscribe(bytes, start, end, this.version)
      case Types.UNSUBSCRIBE:
        return decodeUnsubscribe(bytes, start, end, this.version)
      case Types.DISCONNECT:
        return decodeDisconnect(bytes, start, end, this.version)
      case Types.AUTH:
        return decodeAuth(bytes, start, end)
      case Types.PINGREQ:
        return checkPingreq(start, end)
      default: {
        const view = new AcknowledgementView()
        const code = scanAcknowledgement(bytes, packetType, start, end, this.version, view)
        return code === 0 ? view : code
      }
    }
  }

  private publish(bytes: Uint8Array, firstByte: number, start: number, end: number): number | object {
    const view = new PublishView()
    const code = scanPublish(bytes, firstByte, start, end, this.version, view)
    if (code !== 0) return code
    const topicCode = view.topicStart === view.topicEnd ? 0 : checkPublishTopic(bytes, view.topicStart, view.topicEnd)
    if (topicCode !== 0) return topicCode
    assert.ok(start <= view.topicStart && view.topicEnd <= view.propertiesStart)
    assert.ok(view.propertiesEnd === view.payloadStart && view.payloadStart <= end && view.payloadEnd === end)
    checkHeaders(bytes, view.propertiesStart, view.propertiesEnd)
    const { topicStart, topicEnd, properties, ...facts } = view
    return {
      ...facts,
      propertiesStart: facts.propertiesStart - start,
      propertiesEnd: 0,
      payloadStart: 0,
      payloadEnd: 0
    }
  }
}

function checkHeaders(bytes: Uint8Array, start: number, end: number): void {
  const headers = new Uint8Array(headersSizeMax(end - start))
  const headersEnd = propertiesToHeaders(bytes, start, end, headers, 0)
  const count = headersResult.headerCount
  assert.ok(headersEnd <= headers.length)
  const back = new Uint8Array(propertiesSizeMax(headersEnd, count))
  const backEnd = headersToProperties(headers, 0, headersEnd, count, true, back, 0)
  assert.ok(backEnd >= 0 && backEnd <= back.length)
  const delivered = new Uint8Array(end - start)
  const deliveredEnd = copyDeliveredProperties(bytes, start, end, -1, delivered, 0)
  assert.equal(hexOf(back.subarray(0, backEnd)), hexOf(delivered.subarray(0, deliveredEnd)))
}

function outcomeOf(chunks: ReadonlyArray<Uint8Array>, version: Types.ProtocolVersion): ReadonlyArray<string> {
  const stream = new PacketStream()
  const notes = new Notes(version)
  let code = 0
  for (const chunk of chunks) if (code === 0) code = stream.feed(chunk, notes)
  assert.ok(code === 0 || REFUSALS.has(code), `Reason Code ${code}`)
  return [...notes.lines, `end ${code} ${stream.midPacket}`]
}

function mutate(bytes: Array<number>, chance: Chance): void {
  const at = chance.below(bytes.length + 1)
  switch (chance.below(7)) {
    case 0:
      bytes[at % Math.max(1, bytes.length)] = chance.below(256)
      break
    case 1:
      bytes[at % Math.max(1, bytes.length)] = (bytes[at % Math.max(1, bytes.length)] ?? 0) ^ (1 << chance.below(8))
      break
    case 2:
      bytes.splice(at, 0, chance.pick([0, 1, 0x26, 0x7f, 0x80, 0xc3, 0xed, 0xff]))
      break
    case 3:
      bytes.splice(at, 1 + chance.below(4))
      break
    case 4:
      bytes.splice(at, 0, ...bytes.slice(at, at + 1 + chance.below(8)))
      break
    case 5:
      bytes.length = at
      break
    default:
      // The fault shall lie deeper: the Remaining Length is made right again, where it has one byte.
      if (bytes.length >= 2 && bytes.length < 130) bytes[1] = bytes.length - 2
  }
}

/** Runs `rounds` rounds from `seed`; throws with the round's bytes where something is wrong. */
export function fuzzWire(seed: number, rounds: number): void {
  const chance = new Chance(seed)
  const sources = CORNERS.map(hex).concat(recordedPackets())
  const opening = { 4: hex(CORNERS[0] ?? ""), 5: hex("10 0e 0004 4d515454 05 02 003c 00 0001 61") }
  for (let round = 0; round < rounds; round++) {
    const version = chance.pick([4, 5] as const)
    const bytes = chance.below(10) === 0 ? [] : [...chance.pick(sources)]
    if (bytes.length === 0) for (let left = chance.below(40); left > 0; left--) bytes.push(chance.below(256))
    for (let left = chance.below(4); left > 0; left--) mutate(bytes, chance)
    const packet = Uint8Array.from(bytes)
    try {
      checkRound(chance.below(4) === 0 ? packet : Uint8Array.from([...opening[version], ...packet]), version, chance)
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}, version ${version}, bytes ${hexOf(packet)}`, { cause: error })
    }
  }
}

function checkRound(bytes: Uint8Array, version: Types.ProtocolVersion, chance: Chance): void {
  const whole = outcomeOf([bytes], version)
  const cut = chance.below(bytes.length + 1)
  const other = cut + chance.below(bytes.length - cut + 1)
  assert.deepEqual(outcomeOf([bytes.slice(0, cut), bytes.slice(cut, other), bytes.slice(other)], version), whole)
  for (const filler of [0x00, 0x26, 0xff]) {
    const behind = new Uint8Array(bytes.length + 16).fill(filler)
    behind.set(bytes)
    // The view ends where the bytes end, but the memory behind it goes on; and the packets before the end are the same.
    assert.deepEqual(outcomeOf([behind.subarray(0, bytes.length)], version), whole)
    const longer = outcomeOf([behind], version)
    const kept = whole.slice(0, -1)
    assert.deepEqual(longer.slice(0, kept.length), kept)
  }
}

function recordedPackets(): Array<Uint8Array> {
  const folder = new URL("./golden/", import.meta.url)
  const packets: Array<Uint8Array> = []
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".golden.json"))) {
    const recordings: ReadonlyArray<{ stream: string }> = JSON.parse(readFileSync(new URL(name, folder), "utf8"))
    for (const { stream } of recordings) {
      const packetStream = new PacketStream()
      packetStream.feed(hex(stream), {
        packet(bytes, _firstByte, start, end) {
          // All of them are shorter than 128 bytes: two bytes of fixed header.
          packets.push(bytes.slice(start - 2, end))
          return 0
        }
      })
    }
  }
  return packets
}

if (import.meta.main) {
  const { seed, runs: rounds } = fuzzOptions(1_000_000)
  fuzzWire(seed, rounds)
  console.log(`seed ${seed}: ${rounds} rounds, nothing found`)
}
