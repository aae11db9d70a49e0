/**
 * PUBLISH: read by position, and written again for the other side under another topic name and version.
 *
 * Source: MQTT 5.0 and 3.1.1, section 3.3.
 * Invariants
 *  - Nothing of a packet that does not scan reaches the other side.
 *  - What holds for one connection alone stays behind: Subscription Identifier and Topic Alias. All else of version 5 goes on as it is.
 */
import { checkTopicNameBytes, NAME_HAS_WILDCARD, TOPIC_EMPTY, TOPIC_TOO_DEEP } from "../../../core/mod.ts"
import { type OutBuffer, variableSize } from "./OutBuffer.ts"
import { PUBLISH, type Version } from "./packet-types.ts"
import {
  PAYLOAD_FORMAT_INDICATOR,
  type PropertyVisitor,
  propertiesAt,
  RESPONSE_TOPIC,
  SUBSCRIPTION_IDENTIFIER,
  TOPIC_ALIAS,
  USER_PROPERTY,
  uint16At,
  walkProperties
} from "./properties.ts"

/** The user property in which each bridge notes the broker that a message has passed. */
const hopName = new TextEncoder().encode("manifold-bridge")

/** One packet as it lies in its bytes: a reused object. */
export class PublishView implements PropertyVisitor {
  qos = 0
  dup = false
  retain = false
  packetIdentifier = 0
  topicStart = 0
  topicEnd = 0
  payloadStart = 0
  payloadEnd = 0
  /** Brokers that it has passed, by their notes; notes of one broker that follow each other are one. */
  hops = 0
  /** Notes of this broker; and whether the last one is. */
  ownNotes = 0
  isLastHere = false
  /** Not "" : a property has a value that this broker ends a connection for, and others pass on. */
  valueFault = ""
  /** Pairs of start and end: the properties that go on. */
  readonly kept: Array<number> = []
  keptSize = 0
  readonly #own: Uint8Array
  #bytes: Uint8Array = new Uint8Array(0)
  #lastNote: Uint8Array = this.#bytes

  /** `own` is what this broker is called in the notes. */
  constructor(own: Uint8Array) {
    this.#own = own
  }

  /** Reads the packet whose fixed header ends before `start`; "" or what is wrong with it. */
  scan(bytes: Uint8Array, firstByte: number, start: number, end: number, version: Version): string {
    this.qos = (firstByte >>> 1) & 3
    this.dup = (firstByte & 8) !== 0
    this.retain = (firstByte & 1) !== 0
    this.packetIdentifier = 0
    this.hops = this.ownNotes = this.keptSize = this.kept.length = 0
    this.isLastHere = false
    this.valueFault = ""
    if (this.qos === 3 || (this.qos === 0 && this.dup)) return "a PUBLISH with flags that are not allowed"
    this.topicStart = start + 2
    this.topicEnd = this.topicStart + uint16At(bytes, start)
    let position = this.topicEnd
    if (start + 2 > end || position > end) return "a PUBLISH that is cut short"
    const topicFault = checkTopicNameBytes(bytes, this.topicStart, this.topicEnd)
    // What is only deeper than this broker takes ends no connection.
    if (topicFault !== 0 && topicFault !== TOPIC_TOO_DEEP) return "a topic name that is none"
    if (this.qos > 0) {
      if (position + 2 > end) return "a PUBLISH that is cut short"
      this.packetIdentifier = uint16At(bytes, position)
      if (this.packetIdentifier === 0) return "a Packet Identifier of 0"
      position += 2
    }
    if (version === 5) {
      const properties = propertiesAt(bytes, position, end)
      if (properties === undefined) return "properties that are cut short"
      const [from, to] = properties
      this.#bytes = bytes
      const fault = from === to ? "" : walkProperties(bytes, from, to, PUBLISH, this)
      if (fault !== "") return fault
      position = to
    }
    this.payloadStart = position
    this.payloadEnd = end
    return ""
  }

  /** Reads how a packet is to be answered of which only the beginning is there; "" or what is wrong with it. */
  scanCut(bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    this.qos = (firstByte >>> 1) & 3
    const at = start + 2 + uint16At(bytes, start)
    this.packetIdentifier = this.qos === 0 ? 0 : uint16At(bytes, at)
    const isWrong = this.qos === 3 || at > end || (this.qos > 0 && (at + 2 > end || this.packetIdentifier === 0))
    return isWrong ? "a PUBLISH that is malformed" : ""
  }

  property(identifier: number, start: number, end: number, value: number): void {
    if (identifier === SUBSCRIPTION_IDENTIFIER || identifier === TOPIC_ALIAS) return
    if (identifier === PAYLOAD_FORMAT_INDICATOR && value > 1)
      this.valueFault = "a Payload Format Indicator that is none"
    if (identifier === RESPONSE_TOPIC) {
      const fault = checkTopicNameBytes(this.#bytes, start + 3, end)
      if (fault === TOPIC_EMPTY || fault === NAME_HAS_WILDCARD)
        this.valueFault = "a Response Topic that is no topic name"
    }
    if (identifier === USER_PROPERTY && isAt(this.#bytes, start + 1, hopName)) {
      const note = this.#bytes.subarray(start + 5 + hopName.length, end)
      this.isLastHere = isSame(note, this.#own)
      if (this.isLastHere) this.ownNotes += 1
      if (this.hops === 0 || !isSame(note, this.#lastNote)) this.hops += 1
      this.#lastNote = note
    }
    const { kept } = this
    // Neighbours are one range.
    if (kept.length > 0 && kept[kept.length - 1] === start) kept[kept.length - 1] = end
    else kept.push(start, end)
    this.keptSize += end - start
  }
}

/** Whether the block at `at`, its length first, is `expected`. */
function isAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  const { length } = expected
  return uint16At(bytes, at) === length && isSame(bytes.subarray(at + 2, at + 2 + length), expected)
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index])
}

/** How the packet differs for the other side. */
export interface Rewritten {
  readonly version: Version
  readonly topic: Uint8Array
  readonly qos: number
  readonly retain: boolean
  /** Noted as passed, in version 5; empty = nothing is noted. */
  readonly hop: Uint8Array
}

/** Writes what `view` found in `bytes`; returns the size of the packet. */
export function writePublish(out: OutBuffer, bytes: Uint8Array, view: PublishView, to: Rewritten): number {
  const before = out.length
  const { kept } = view
  const { qos } = to
  const notes = to.hop.length > 0
  const propertiesSize = view.keptSize + (notes ? 5 + hopName.length + to.hop.length : 0)
  const payloadSize = view.payloadEnd - view.payloadStart
  const propertiesLength = to.version === 5 ? variableSize(propertiesSize) + propertiesSize : 0
  out.uint8((PUBLISH << 4) | (view.dup && qos > 0 ? 8 : 0) | (qos << 1) | (to.retain ? 1 : 0))
  out.variable(2 + to.topic.length + (qos > 0 ? 2 : 0) + propertiesLength + payloadSize)
  out.block(to.topic)
  if (qos > 0) out.uint16(view.packetIdentifier)
  if (to.version === 5) {
    out.variable(propertiesSize)
    for (let index = 0; index < kept.length; index += 2) out.raw(bytes, kept[index] ?? 0, kept[index + 1] ?? 0)
    if (notes) {
      out.uint8(USER_PROPERTY)
      out.block(hopName)
      out.block(to.hop)
    }
  }
  out.raw(bytes, view.payloadStart, view.payloadEnd)
  return out.length - before
}
