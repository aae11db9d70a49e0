/**
 * Passes packets between the two sessions of a bridge, under the same packet identifiers: so what one broker acknowledges is what the other
 * has, and neither has to remember anything that its own session does not.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3.3 to 3.7, 4.3.
 * Invariants
 *  - An acknowledgement passes only where it came: nothing is acknowledged to one side before the other has it, but what is given up,
 *    and that is counted.
 *  - What is refused for now (no room, a quota) ends the link instead: the message comes again with the next one, until it is known that
 *    it is this message that is refused.
 *  - What is remembered here is what this link has answered itself; without it, after the link, both sessions still agree.
 */
import { checkTopicNameBytes } from "../../core/mod.ts"
import type { Counts } from "./Counts.ts"
import type { Direction, Refusals } from "./Refusals.ts"
import type { TopicMap } from "./TopicMap.ts"
import { AcknowledgementView } from "./wire/answers.ts"
import type { OutBuffer } from "./wire/OutBuffer.ts"
import { PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, type Version } from "./wire/packet-types.ts"
import { PublishView, type Rewritten, writePublish } from "./wire/publish.ts"
import { writeAcknowledgement } from "./wire/requests.ts"

const QUOTA_EXCEEDED = 0x97
const IDENTIFIER_IN_USE = 0x91
/** Why this broker ends a connection over a packet: malformed, protocol, topic name, alias, size, payload format. */
const PACKET_FAULTS: ReadonlySet<number> = new Set([0x81, 0x82, 0x90, 0x94, 0x95, 0x99])
const UNSPECIFIED_ERROR = 0x80
const DOLLAR = 0x24
const NO_BYTES = new Uint8Array(0)

export interface RelayParts {
  readonly toLocal: OutBuffer
  readonly toRemote: OutBuffer
  readonly remoteVersion: Version
  /** What the remote takes. */
  readonly maximumQos: number
  /** The highest that its session took before: what it had of QoS 2 then waits there for its PUBREL. */
  readonly sessionQos: number
  readonly retainAvailable: boolean
  readonly remotePacketSizeMax: number
  /** What this broker takes. */
  readonly localPacketSizeMax: number
  readonly outTopics: TopicMap
  readonly inTopics: TopicMap
  /** What this broker is called where messages note what they have passed. */
  readonly own: Uint8Array
  /** Brokers that a message may have passed; 0 = nothing is noted, and none is dropped for it. */
  readonly hopsMax: number
  readonly counts: Counts
  /** A message was given up. */
  readonly dropped: (direction: Direction, why: string) => void
  /** What the links before had trouble with. */
  readonly refusals: Refusals
  /** The link ends when what is under way had time to be answered. */
  readonly endSoon: (reason: string) => void
}

export class Relay {
  readonly #parts: RelayParts
  readonly #view: PublishView
  readonly #acknowledgement = new AcknowledgementView()
  /** Messages of ours that the remote was sent with a lower QoS: by identifier, and whether the remote answers at all. */
  readonly #lowered = new Set<number>()
  /** Of these and those that were given up: what was answered with PUBREC, whose PUBREL is answered here. */
  readonly #answered = new Set<number>()
  /** A message was refused for now and the link is about to end: what comes behind it comes again, in its order. */
  #isInHeld = false
  #isOutHeld = false

  constructor(parts: RelayParts) {
    this.#parts = parts
    this.#view = new PublishView(parts.own)
    parts.refusals.begins()
  }

  /** Takes one of the packets of a message from this broker; "" or why the link ends. */
  fromLocal(type: number, bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    if (type === PUBLISH) return this.#publishOut(bytes, firstByte, start, end)
    const acknowledgement = this.#acknowledgement
    const fault = acknowledgement.scan(bytes, start, end, 5, type)
    if (fault !== "") return `this broker sent ${fault}`
    const { identifier, reasonCode } = acknowledgement
    const { toLocal, toRemote, remoteVersion, refusals } = this.#parts
    if (type === PUBREL) {
      if (this.#answered.delete(identifier) || this.#parts.sessionQos < 2) {
        writeAcknowledgement(toLocal, 5, PUBCOMP, identifier)
      } else writeAcknowledgement(toRemote, remoteVersion, PUBREL, identifier)
      return ""
    }
    if (type !== PUBCOMP) refusals.answered(identifier)
    if (type !== PUBCOMP && reasonCode < 0x80) refusals.taken("in", identifier)
    if (type === PUBCOMP || reasonCode < 0x80) {
      writeAcknowledgement(toRemote, remoteVersion, type, identifier)
      return ""
    }
    // The disk is full, or the like: the remote keeps the message, and sends it again.
    const isForNow = reasonCode === QUOTA_EXCEEDED || reasonCode === UNSPECIFIED_ERROR
    if (isForNow && !refusals.refused("in", identifier)) {
      this.#isInHeld = true
      this.#parts.endSoon(`this broker takes no messages now (0x${reasonCode.toString(16)})`)
      return ""
    }
    this.#parts.dropped("in", `this broker refused it (0x${reasonCode.toString(16)})`)
    writeAcknowledgement(toRemote, remoteVersion, type, identifier, reasonCode)
    return ""
  }

  /** The same from the remote. */
  fromRemote(type: number, bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    if (type === PUBLISH) return this.#publishIn(bytes, firstByte, start, end)
    const acknowledgement = this.#acknowledgement
    const fault = acknowledgement.scan(bytes, start, end, this.#parts.remoteVersion, type)
    if (fault !== "") return `the remote sent ${fault}`
    const { identifier, reasonCode } = acknowledgement
    const { toLocal, refusals } = this.#parts
    if (type === PUBREL || type === PUBCOMP) {
      writeAcknowledgement(toLocal, 5, type, identifier)
      return ""
    }
    const isRefused = reasonCode >= 0x80
    const isForNow = reasonCode === QUOTA_EXCEEDED || reasonCode === IDENTIFIER_IN_USE
    if (isForNow && !refusals.refused("out", identifier)) {
      this.#isOutHeld = true
      this.#parts.endSoon(`the remote takes no messages now (0x${reasonCode.toString(16)})`)
      return ""
    }
    if (!isRefused) refusals.taken("out", identifier)
    else this.#parts.dropped("out", `the remote refused it (0x${reasonCode.toString(16)})`)
    if (type === PUBACK && this.#lowered.delete(identifier)) {
      // To this broker it is QoS 2.
      this.#answered.add(identifier)
      writeAcknowledgement(toLocal, 5, PUBREC, identifier)
      return ""
    }
    writeAcknowledgement(toLocal, 5, type, identifier, type === PUBREC && isRefused ? UNSPECIFIED_ERROR : 0)
    return ""
  }

  /** This broker has ended the connection. */
  localEnded(reasonCode: number): void {
    if (PACKET_FAULTS.has(reasonCode)) this.#parts.refusals.endedHere()
  }

  /** The beginning of a message of the remote that is too large: it is given up, and not sent again. */
  cutFromRemote(bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    const fault = this.#view.scanCut(bytes, firstByte, start, end)
    if (fault !== "") return `the remote sent ${fault}`
    this.#parts.dropped("in", "its packet is larger than packet_size_max of the bridge")
    return this.#settleRemote(this.#view)
  }

  #publishOut(bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    const { toRemote, remoteVersion, counts, hopsMax, maximumQos, retainAvailable } = this.#parts
    const view = this.#view
    const fault = view.scan(bytes, firstByte, start, end, 5)
    if (fault !== "") return `this broker sent ${fault}`
    if (this.#isOutHeld && view.qos > 0) return ""
    // One that a bridge has brought has this broker's note once, as the last. It gets another one when it leaves: then whoever sends it
    // back is seen, if he notes nothing himself.
    const isBack = view.ownNotes > 1 || (view.ownNotes === 1 && !view.isLastHere)
    if (hopsMax > 0 && (isBack || view.hops - (view.isLastHere ? 1 : 0) >= hopsMax)) {
      counts.looped += 1
      return this.#settleLocal(view)
    }
    const topic = this.#parts.outTopics.map(bytes, view.topicStart, view.topicEnd)
    // A filter that was taken out of the options, and what had waited for it; or the prefix is all of its name, and the other side has none.
    if (topic === undefined) {
      this.#parts.dropped("out", "no rule is for its topic name, or leaves one")
      return this.#settleLocal(view)
    }
    // Where filters overlap it comes with the highest of their QoS. What the remote may have had with that is not sent with another one.
    const ruleQos = view.dup ? view.qos : this.#parts.outTopics.qos
    const qos = Math.min(view.qos, maximumQos, ruleQos)
    const before = toRemote.length
    const size = writePublish(toRemote, bytes, view, {
      version: remoteVersion,
      topic,
      qos,
      retain: view.retain && retainAvailable,
      hop: this.#hop()
    })
    if (size > this.#parts.remotePacketSizeMax) {
      toRemote.length = before
      this.#parts.dropped("out", `its packet of ${size} bytes is larger than the remote takes`)
      return this.#settleLocal(view)
    }
    counts.messagesOut += 1
    counts.bytesOut += size
    if (qos === view.qos) return ""
    if (qos === 0) return this.#settleLocal(view)
    this.#lowered.add(view.packetIdentifier)
    return ""
  }

  /** Acknowledges a message to this broker that the remote does not get, or is not asked about. */
  #settleLocal({ qos, packetIdentifier }: PublishView): string {
    if (qos === 2) this.#answered.add(packetIdentifier)
    if (qos > 0) writeAcknowledgement(this.#parts.toLocal, 5, qos === 1 ? PUBACK : PUBREC, packetIdentifier)
    return ""
  }

  #publishIn(bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    const { toLocal, remoteVersion, counts, hopsMax, refusals } = this.#parts
    const view = this.#view
    const fault = view.scan(bytes, firstByte, start, end, remoteVersion)
    if (fault !== "") return this.#faulty(fault, bytes, firstByte, start, end)
    if (this.#isInHeld && view.qos > 0) return ""
    const isBlamed = view.qos > 0 && refusals.isBlamed(view.packetIdentifier, end - start)
    if (isBlamed || view.valueFault !== "") {
      this.#parts.dropped("in", isBlamed ? "this broker ended the connection over it" : `it has ${view.valueFault}`)
      const settled = this.#settleRemote(view)
      // The window of one that it was found with is not needed any more.
      return isBlamed ? "a message that this broker ends the connection over was given up" : settled
    }
    if (hopsMax > 0 && (view.ownNotes > 0 || view.hops >= hopsMax)) {
      counts.looped += 1
      return this.#settleRemote(view)
    }
    const topic = this.#parts.inTopics.map(bytes, view.topicStart, view.topicEnd)
    if (topic === undefined || topic[0] === DOLLAR || checkTopicNameBytes(topic, 0, topic.length) !== 0) {
      this.#parts.dropped(
        "in",
        topic === undefined ? "no rule is for its topic name" : "its topic name is not taken here"
      )
      return this.#settleRemote(view)
    }
    const to: Rewritten = { version: 5, topic, qos: view.qos, retain: view.retain, hop: this.#hop() }
    const before = toLocal.length
    const size = writePublish(toLocal, bytes, view, to)
    if (size > this.#parts.localPacketSizeMax) {
      toLocal.length = before
      this.#parts.dropped("in", `its packet of ${size} bytes is larger than this broker takes`)
      return this.#settleRemote(view)
    }
    // Before version 5 the remote cannot be told to send one at a time.
    if (view.qos > 0 && remoteVersion === 5) refusals.passes(view.packetIdentifier, end - start)
    counts.messagesIn += 1
    counts.bytesIn += size
    return ""
  }

  /** A PUBLISH of the remote that is none ends the link; the one that has done so once is given up. */
  #faulty(fault: string, bytes: Uint8Array, firstByte: number, start: number, end: number): string {
    const view = this.#view
    const { refusals, dropped } = this.#parts
    const ends = `the remote sent ${fault}`
    if (view.scanCut(bytes, firstByte, start, end) !== "" || view.qos === 0) return ends
    if (!refusals.isBlamed(view.packetIdentifier, end - start)) {
      refusals.blame(view.packetIdentifier, end - start)
      return ends
    }
    dropped("in", `it is ${fault}`)
    return this.#settleRemote(view)
  }

  /** Acknowledges a message to the remote that goes no further; its PUBREL is this broker's to answer, who knows nothing of it. */
  #settleRemote({ qos, packetIdentifier }: PublishView): string {
    const { toRemote, remoteVersion } = this.#parts
    if (qos > 0) writeAcknowledgement(toRemote, remoteVersion, qos === 1 ? PUBACK : PUBREC, packetIdentifier)
    return ""
  }

  #hop(): Uint8Array {
    return this.#parts.hopsMax > 0 ? this.#parts.own : NO_BYTES
  }
}
