/**
 * One MQTT connection: bytes to packets, packets to the broker, and the answers in order.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3 and 4.
 * Invariants
 *  - Acknowledgements leave in the order of what they acknowledge; one that waits for a commit holds back those behind it.
 *  - Everything written in a turn leaves in one write at its end.
 *  - After `close` nothing of this connection reaches its session.
 */
import {
  ACCEPTED_PENDING,
  ACCEPTED_UNMATCHED,
  type Message,
  type Principal,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME,
  type Socket,
  type SocketReceiver,
  TicketFifo,
  type TicketRelease,
  type TurnTask,
  type WheelTask
} from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { type Connected, openConnection } from "./connecting.ts"
import { AWAITS_PUBACK, AWAITS_PUBCOMP, AWAITS_PUBREC, type Sent } from "./OutboundWindow.ts"
import { Output } from "./Output.ts"
import { copyFrame, wireFormatOf } from "./PublishEncoder.ts"
import * as Reason from "./reasons.ts"
import type { Session } from "./Session.ts"
import { subscribe, unsubscribe } from "./subscribing.ts"
import { TopicAliases } from "./TopicAliases.ts"
import {
  AcknowledgementView,
  ACKNOWLEDGEMENT_SIZE,
  ACKNOWLEDGEMENT_WITH_REASON_SIZE,
  scanAcknowledgement,
  writeAcknowledgement,
  writeAcknowledgementWithReason
} from "./wire/acknowledgements.ts"
import { PACKET_SIZE_MAX, type WillMessage } from "./wire/connect.ts"
import { checkPingreq, decodeDisconnect, disconnectSize, PINGRESP_SIZE, writeDisconnect, writePingresp } from "./wire/disconnect.ts"
import { type PacketHandler, PacketStream, PAUSED } from "./wire/framing.ts"
import * as Packet from "./wire/packet-types.ts"
import { PublishView, scanPublish } from "./wire/publish.ts"
import { NO_MATCHING_SUBSCRIBERS, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID, TOPIC_NAME_INVALID } from "./wire/reason-codes.ts"
import { Refusal } from "./wire/refusal.ts"
import { size } from "./wire/variable-byte-integer.ts"

/** What waits in the line of acknowledgements: a packet identifier's acknowledgement, or a frame that is ready. */
const WAITS_PUBACK = Packet.PUBACK
const WAITS_PUBREC = Packet.PUBREC
const WAITS_PUBCOMP = Packet.PUBCOMP
const WAITS_FRAME = 0
/** The outcome of a PUBREL whose identifier is not known. */
const NOT_FOUND = 2
const PINGRESP_FRAME = new Uint8Array(PINGRESP_SIZE)
writePingresp(PINGRESP_FRAME, 0)

/** An answer that has its place in the line, and what to do after it. */
interface Answer {
  readonly frame: Uint8Array
  readonly after: (() => void) | undefined
}

/** Acknowledgements owed to a 3.x client above which reading stops, and below which it goes on. */
const UNACKNOWLEDGED_MAX_BEFORE_5 = 1_000
const UNACKNOWLEDGED_RESUME = 500

const publish = new PublishView()
const acknowledgement = new AcknowledgementView()

/** What is not in an answer's numbers: set before the answer can wait. */
const NO_PRINCIPAL: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }

export class Connection implements SocketReceiver, PacketHandler, TicketRelease, TurnTask, WheelTask {
  readonly broker: Broker
  readonly socket: Socket
  readonly output: Output
  version: Packet.ProtocolVersion = 4
  session: Session | undefined
  principal: Principal = NO_PRINCIPAL
  will: WillMessage | undefined
  /** Largest packet that the client takes, bytes. */
  packetSizeMax = PACKET_SIZE_MAX
  sessionExpiryAtConnect = 0
  requestProblemInformation = true
  /** Milliseconds without a packet after which the client is gone; 0 = never. */
  keepAliveMs = 0
  /** Answers that wait in the line, by number. */
  #answers: Map<number, Answer> | undefined
  #answerCount = 0
  /** QoS 1 messages taken whose PUBACK waits in the line. */
  #pubacksOwed = 0
  readonly #stream = new PacketStream()
  /** What came before the CONNECT was judged: all of it goes to the shard that owns the client. */
  #early: Array<Uint8Array> | undefined = []
  #fifo: TicketFifo | undefined
  /** The session that answers belong to, also after the connection has ended. */
  #answersFor: Session | undefined
  /** Reading has stopped until fewer acknowledgements are owed. */
  #paused = false
  #aliases: TopicAliases | undefined
  /** Receives everything once the connection was passed on to the shard that owns its client. */
  #forwarded: SocketReceiver | undefined
  #lastReceivedMs: number
  /** Since when output waits for the socket; 0 = it does not. */
  #blockedSinceMs = 0
  #outputDeferred = false
  #closed = false

  constructor(broker: Broker, socket: Socket) {
    this.broker = broker
    this.socket = socket
    this.output = new Output(broker.budget)
    this.#lastReceivedMs = broker.services.clock.monotonicMs()
    broker.counts.connectionsAccepted += 1
    broker.connections.add(this)
    broker.services.wheel.set(this, this.#lastReceivedMs + broker.settings.connect_timeout * 1_000)
  }

  // ---- the socket ----

  data(bytes: Uint8Array): void {
    if (this.#forwarded !== undefined) {
      this.#forwarded.data(bytes)
      return
    }
    if (this.#closed) return
    const { broker } = this
    broker.counts.bytesReceived += bytes.length
    broker.nowMs = broker.services.clock.nowMs()
    if (this.session !== undefined) this.#lastReceivedMs = broker.services.clock.monotonicMs()
    else this.#early?.push(bytes)
    this.#fed(this.#stream.feed(bytes, this))
  }

  #fed(code: number): void {
    if (code > 0) this.close(code)
    else if (code === PAUSED && !this.#paused) {
      this.#paused = true
      this.socket.pause()
    }
  }

  drain(): void {
    if (this.#forwarded !== undefined) this.#forwarded.drain()
    else this.endTurn()
  }

  closed(): void {
    if (this.#forwarded !== undefined) this.#forwarded.closed()
    else this.#end(this.will)
  }

  // ---- packets in ----

  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    const type = firstByte >>> 4
    const { session } = this
    if (session === undefined) return this.#connect(bytes, start, end)
    switch (type) {
      case Packet.PUBLISH:
        return this.#publish(session, bytes, firstByte, start, end)
      case Packet.PUBACK:
      case Packet.PUBREC:
      case Packet.PUBREL:
      case Packet.PUBCOMP:
        return this.#acknowledged(session, type, bytes, start, end)
      case Packet.SUBSCRIBE:
        return subscribe(this, session, bytes, start, end)
      case Packet.UNSUBSCRIBE:
        return unsubscribe(this, session, bytes, start, end)
      case Packet.PINGREQ:
        return this.#ping(start, end)
      case Packet.DISCONNECT:
        return this.#disconnect(session, bytes, start, end)
      default:
        // CONNECT again [MQTT-3.1.0-2], AUTH without an authentication method, and what only a server sends.
        return PROTOCOL_ERROR
    }
  }

  #connect(bytes: Uint8Array, start: number, end: number): number {
    const outcome = openConnection(this, bytes, start, end)
    if (outcome.kind === "refused") return outcome.reasonCode
    if (outcome.kind === "forward") {
      const { shard, wheel } = this.broker.services
      wheel.cancel(this)
      this.broker.connections.delete(this)
      const received = Buffer.concat(this.#early ?? [])
      this.#early = undefined
      this.#forwarded = shard.forward(outcome.shard, SERVICE, this.socket, received)
      this.#stream.clear()
      return 0
    }
    this.#early = undefined
    this.#opened(outcome)
    return 0
  }

  #opened(connected: Connected): void {
    const { wheel, clock } = this.broker.services
    this.#lastReceivedMs = clock.monotonicMs()
    this.broker.counts.connectionsOpen += 1
    this.#stream.maximumPacketSize = this.broker.settings.packet_size_max
    this.session = connected.session
    this.#answersFor = connected.session
    connected.session.connection = this
    this.#armTimeout(wheel.set.bind(wheel))
    if (connected.present) connected.session.resend(this)
  }

  #publish(session: Session, bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    const { broker, version } = this
    const fault = scanPublish(bytes, firstByte, start, end, version, publish)
    if (fault !== 0) return fault
    const { message, counts } = broker
    counts.publishReceived += 1
    const { qos } = publish
    const { nowMs } = broker
    message.topic = bytes
    message.topicStart = publish.topicStart
    message.topicEnd = publish.topicEnd
    message.wireFormat = 0
    if (publish.topicAlias > 0) {
      const aliasFault = this.#resolveAlias(message, bytes)
      if (aliasFault !== 0) return aliasFault
    } else if (!publish.retain && publish.messageExpiryInterval < 0 && !publish.dup) {
      // The frame as it came can go on to subscribers of the same version and QoS.
      message.wire = bytes
      message.wireStart = start - 1 - size(end - start)
      message.wireEnd = end
      message.wireFormat = wireFormatOf(version, qos, false)
    }
    message.tenant = this.principal.tenant
    message.publisher = this.principal.clientIdentifier
    message.payload = bytes
    message.payloadStart = publish.payloadStart
    message.payloadEnd = publish.payloadEnd
    message.qos = qos
    message.retain = publish.retain
    message.timestamp = nowMs
    message.expiresAtMs = publish.messageExpiryInterval >= 0 ? nowMs + publish.messageExpiryInterval * 1_000 : 0
    message.gathered = true
    message.keyStart = -1
    if (publish.propertiesStart === publish.propertiesEnd) {
      message.headersStart = 0
      message.headersEnd = 0
      message.headerCount = 0
    } else broker.setHeaders(message, bytes, publish.propertiesStart, publish.propertiesEnd)
    message.begin()
    if (qos === 0) {
      const outcome = broker.services.ingress.publishUnsafe(message, this.principal)
      if (outcome < 0) return this.#refusedQos0(outcome)
      return 0
    }
    return this.#publishAcknowledged(session, message, qos, publish.packetIdentifier)
  }

  #publishAcknowledged(session: Session, message: Message, qos: number, packetIdentifier: number): number {
    const { ingress } = this.broker.services
    const kind = qos === 1 ? WAITS_PUBACK : WAITS_PUBREC
    if (qos === 2 && session.hasReceived(packetIdentifier)) {
      // The message is here already; only its PUBREC may be missing [MQTT-4.3.3-10].
      this.#acknowledge(0, kind, packetIdentifier)
      return 0
    }
    const unacknowledged = this.#pubacksOwed + session.receivedCount
    if (unacknowledged >= this.broker.settings.receive_maximum) return Reason.RECEIVE_MAXIMUM_EXCEEDED
    if (qos === 2) session.received(packetIdentifier)
    const outcome = ingress.publishUnsafe(message, this.principal)
    if (outcome === ACCEPTED_PENDING) {
      this.#fifo ??= new TicketFifo(this)
      this.#fifo.push(ingress.pendingStream, ingress.pendingTicket, kind, packetIdentifier)
      if (qos === 1) this.#pubacksOwed += 1
      // Version 5 clients are slowed by Receive Maximum; older ones know no such thing.
      if (this.version !== 5 && this.#fifo.length >= UNACKNOWLEDGED_MAX_BEFORE_5) return PAUSED
    } else this.#acknowledge(outcome, kind, packetIdentifier)
    return 0
  }

  #refusedQos0(outcome: number): number {
    this.broker.counts.publishRefused += 1
    return outcome === REFUSED_TOPIC_NAME ? TOPIC_NAME_INVALID : 0
  }

  #resolveAlias(message: Message, bytes: Uint8Array): number {
    const maximum = this.broker.settings.topic_alias_maximum
    if (publish.topicAlias > maximum) return TOPIC_ALIAS_INVALID
    this.#aliases ??= new TopicAliases()
    if (publish.topicStart !== publish.topicEnd) {
      this.#aliases.set(publish.topicAlias, bytes, publish.topicStart, publish.topicEnd)
      return 0
    }
    const topic = this.#aliases.get(publish.topicAlias)
    if (topic === undefined) return PROTOCOL_ERROR
    message.topic = topic
    message.topicStart = 0
    message.topicEnd = topic.length
    return 0
  }

  #acknowledged(session: Session, type: number, bytes: Uint8Array, start: number, end: number): number {
    const fault = scanAcknowledgement(bytes, type, start, end, this.version, acknowledgement)
    if (fault !== 0) return fault
    const { packetIdentifier, reasonCode } = acknowledgement
    if (type === Packet.PUBREL) {
      const known = session.releaseReceived(packetIdentifier)
      this.#acknowledge(known ? 0 : NOT_FOUND, WAITS_PUBCOMP, packetIdentifier)
      return 0
    }
    const { window } = session
    const state = window?.stateOf(packetIdentifier) ?? 0
    if (type === Packet.PUBREC) {
      if (window !== undefined && state === AWAITS_PUBREC) {
        if (reasonCode >= 0x80) this.#freed(session, packetIdentifier)
        else {
          window.released(packetIdentifier)
          this.sendPubrel(packetIdentifier)
        }
      } else if (state === AWAITS_PUBCOMP) this.sendPubrel(packetIdentifier)
      else if (reasonCode < 0x80) {
        this.#sendAcknowledgement(Packet.PUBREL, packetIdentifier, Reason.PACKET_IDENTIFIER_NOT_FOUND)
      }
      return 0
    }
    const expected = type === Packet.PUBACK ? AWAITS_PUBACK : AWAITS_PUBCOMP
    if (state === expected) this.#freed(session, packetIdentifier)
    return 0
  }

  #freed(session: Session, packetIdentifier: number): void {
    session.window?.free(packetIdentifier)
    if (session.queueLength > 0) session.drain()
  }

  #ping(start: number, end: number): number {
    const fault = checkPingreq(start, end)
    if (fault !== 0) return fault
    this.answer(PINGRESP_FRAME, 0, undefined)
    return 0
  }

  #disconnect(session: Session, bytes: Uint8Array, start: number, end: number): number {
    const packet = decodeDisconnect(bytes, start, end, this.version)
    if (packet instanceof Refusal) return packet.reasonCode
    if (packet.sessionExpiryInterval >= 0) {
      if (this.sessionExpiryAtConnect === 0 && packet.sessionExpiryInterval > 0) return PROTOCOL_ERROR
      session.expiryInterval = Math.min(packet.sessionExpiryInterval, this.broker.settings.session_expiry_max)
    }
    if (packet.reasonCode !== Reason.DISCONNECT_WITH_WILL) this.will = undefined
    this.#stream.clear()
    this.#end(this.will)
    this.socket.end()
    return 0
  }

  // ---- packets out ----

  /** Whether QoS 1 and 2 messages may still be added to the output; else they stay in their session's queue. */
  get takesMore(): boolean {
    return this.output.fits(0, this.broker.settings.output_bytes_max)
  }

  /** Makes room for `count` bytes of output that leave at the end of this turn; returns their position in `output.bytes`. */
  reserve(count: number): number {
    if (!this.#outputDeferred) {
      this.#outputDeferred = true
      this.broker.services.turn.deferOutput(this)
    }
    return this.output.reserve(count)
  }

  /** Whether a message can be sent at all under the client's Maximum Packet Size [MQTT-3.1.2-25]. */
  fitsPacketSize(message: Message): boolean {
    if (message.sizeBytes * 3 <= this.packetSizeMax) return true
    const frame = this.broker.encoder.encode(message, this.version, 1, false, false, [], 0)
    return frame.end - frame.start + 8 <= this.packetSizeMax
  }

  /** Writes a PUBLISH; QoS 0 is dropped and counted where the client does not read. */
  sendPublish(
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number,
    packetIdentifier = 0
  ): void {
    const { broker } = this
    const frame = broker.encoder.encode(message, this.version, qos, retain, false, identifiers, nowMs)
    const size = frame.end - frame.start
    if (qos === 0) {
      if (!this.output.fits(size, broker.settings.output_bytes_max)) {
        broker.counts.droppedSlow += 1
        return
      }
      if (size > this.packetSizeMax) {
        broker.counts.droppedTooLarge += 1
        return
      }
    }
    const position = this.reserve(size)
    copyFrame(frame, this.output.bytes, position, packetIdentifier)
    broker.counts.publishSent += 1
  }

  resendPublish(sent: Sent, packetIdentifier: number, nowMs: number): void {
    const { message, qos, retain, identifiers } = sent
    const frame = this.broker.encoder.encode(message, this.version, qos, retain, true, identifiers, nowMs)
    const position = this.reserve(frame.end - frame.start)
    copyFrame(frame, this.output.bytes, position, packetIdentifier)
    this.broker.counts.publishSent += 1
  }

  sendPubrel(packetIdentifier: number): void {
    this.#sendAcknowledgement(Packet.PUBREL, packetIdentifier, 0)
  }

  #sendAcknowledgement(type: number, packetIdentifier: number, reasonCode: number): void {
    if (reasonCode === 0 || this.version !== 5) {
      const position = this.reserve(ACKNOWLEDGEMENT_SIZE)
      writeAcknowledgement(this.output.bytes, position, type, packetIdentifier)
    } else {
      const position = this.reserve(ACKNOWLEDGEMENT_WITH_REASON_SIZE)
      writeAcknowledgementWithReason(this.output.bytes, position, type, packetIdentifier, reasonCode)
    }
  }

  /** Acknowledges at once, or behind what waits. */
  #acknowledge(outcome: number, kind: number, packetIdentifier: number): void {
    if (kind === WAITS_PUBACK) this.#pubacksOwed += 1
    if (this.#fifo !== undefined && this.#fifo.length > 0) this.#fifo.pushDone(outcome, kind, packetIdentifier)
    else this.released(outcome, kind, packetIdentifier)
  }

  /** Sends a frame when the router's `ticket` is committed (0 = no need to wait) and nothing before it waits; then calls `after`. */
  answer(frame: Uint8Array, ticket: number, after: (() => void) | undefined): void {
    const line = this.#fifo
    if (ticket === 0 && (line === undefined || line.length === 0)) {
      this.#sendAnswer({ frame, after })
      return
    }
    this.#answers ??= new Map()
    const number = ++this.#answerCount
    this.#answers.set(number, { frame, after })
    this.#fifo ??= new TicketFifo(this)
    if (ticket === 0) this.#fifo.pushDone(0, WAITS_FRAME, number)
    else this.#fifo.push(this.broker.services.router.tickets, ticket, WAITS_FRAME, number)
  }

  #sendAnswer(answer: Answer): void {
    const position = this.reserve(answer.frame.length)
    this.output.bytes.set(answer.frame, position)
    answer.after?.()
  }

  released(outcome: number, kind: number, packetIdentifier: number): void {
    // A refused QoS 2 message was never taken: its identifier is free, whoever is still there to hear of it.
    if (outcome < 0 && kind === WAITS_PUBREC) this.#answersFor?.releaseReceived(packetIdentifier)
    if (this.#closed) return
    if (kind === WAITS_PUBACK) this.#pubacksOwed -= 1
    if (kind === WAITS_FRAME) {
      const answer = this.#answers?.get(packetIdentifier)
      this.#answers?.delete(packetIdentifier)
      if (answer !== undefined) this.#sendAnswer(answer)
      return
    }
    if (kind === WAITS_PUBCOMP) {
      const reason = outcome === NOT_FOUND ? Reason.PACKET_IDENTIFIER_NOT_FOUND : 0
      this.#sendAcknowledgement(kind, packetIdentifier, reason)
      return
    }
    if (outcome >= 0) {
      const reason = outcome === ACCEPTED_UNMATCHED ? NO_MATCHING_SUBSCRIBERS : 0
      this.#sendAcknowledgement(kind, packetIdentifier, reason)
      return
    }
    this.broker.counts.publishRefused += 1
    if (this.version === 5) this.#sendAcknowledgement(kind, packetIdentifier, reasonOf(outcome))
    // Before version 5 there is no way to refuse: what may not be published is acknowledged and dropped, as 3.1.1 allows
    // (section 3.3.5); what cannot be stored must not look stored, so the connection ends.
    else if (outcome === REFUSED_NOT_AUTHORIZED) this.#sendAcknowledgement(kind, packetIdentifier, 0)
    else this.close(reasonOf(outcome))
  }

  releasedAll(): void {
    if (!this.#paused || this.#closed || (this.#fifo?.length ?? 0) > UNACKNOWLEDGED_RESUME) return
    this.#paused = false
    this.#lastReceivedMs = this.broker.services.clock.monotonicMs()
    this.broker.nowMs = this.broker.services.clock.nowMs()
    this.#fed(this.#stream.resume(this))
    if (!this.#paused && !this.#closed) this.socket.resume()
  }

  endTurn(): void {
    this.#outputDeferred = false
    if (this.#closed && this.output.size === 0) return
    const before = this.output.size
    if (!this.output.flush(this.socket)) {
      this.output.clear()
      return
    }
    const { counts, services } = this.broker
    counts.bytesSent += before - this.output.size
    if (!this.output.blocked) this.#blockedSinceMs = 0
    else if (this.#blockedSinceMs === 0 || this.output.size < before) {
      this.#blockedSinceMs = services.clock.monotonicMs()
      if (this.keepAliveMs === 0) this.#armTimeout(services.wheel.set.bind(services.wheel))
    }
    if (this.session !== undefined && this.session.queueLength > 0 && !this.output.blocked) this.session.drain()
  }

  // ---- time and the end ----

  timeout(nowMs: number): number {
    const { broker } = this
    if (this.session === undefined) {
      broker.counts.connectTimeouts += 1
      this.close(Reason.KEEP_ALIVE_TIMEOUT)
      return 0
    }
    const stalledMs = broker.settings.stalled_timeout * 1_000
    if (this.#blockedSinceMs !== 0 && nowMs >= this.#blockedSinceMs + stalledMs) {
      this.close(Reason.QUOTA_EXCEEDED)
      return 0
    }
    // While we do not read, silence is ours.
    if (this.#paused) this.#lastReceivedMs = nowMs
    if (this.keepAliveMs !== 0 && nowMs >= this.#lastReceivedMs + this.keepAliveMs) {
      broker.counts.keepAliveTimeouts += 1
      this.close(Reason.KEEP_ALIVE_TIMEOUT)
      return 0
    }
    return this.#nextTimeout()
  }

  #nextTimeout(): number {
    const stalledMs = this.broker.settings.stalled_timeout * 1_000
    const stalled = this.#blockedSinceMs === 0 ? 0 : this.#blockedSinceMs + stalledMs
    const silent = this.keepAliveMs === 0 ? 0 : this.#lastReceivedMs + this.keepAliveMs
    if (stalled === 0 || silent === 0) return stalled + silent
    return Math.min(stalled, silent)
  }

  #armTimeout(set: (task: WheelTask, dueMs: number) => void): void {
    const next = this.#nextTimeout()
    if (next === 0) this.broker.services.wheel.cancel(this)
    else set(this, next)
  }

  /** Closes for a reason: version 5 clients are told, the will is published where the standard says so. */
  close(reasonCode: number): void {
    if (this.#closed) return
    this.broker.counts.closed(reasonCode)
    if (this.session !== undefined && this.version === 5) {
      const position = this.output.reserve(disconnectSize(reasonCode))
      writeDisconnect(this.output.bytes, position, reasonCode)
    }
    this.#stream.clear()
    this.#end(reasonCode === Reason.NORMAL_DISCONNECTION ? undefined : this.will)
    const flushed = this.output.flush(this.socket)
    if (flushed && this.output.size === 0) this.socket.end()
    else this.socket.terminate()
    this.output.clear()
  }

  #end(will: WillMessage | undefined): void {
    if (this.#closed) return
    this.#closed = true
    const { broker, session } = this
    broker.services.wheel.cancel(this)
    broker.connections.delete(this)
    this.#stream.clear()
    this.#early = undefined
    this.#answers = undefined
    this.#aliases = undefined
    this.will = undefined
    if (session === undefined) return
    broker.counts.connectionsOpen -= 1
    this.session = undefined
    broker.closeSession(session, will, this.principal)
  }
}

/** The name under which other shards pass connections on. */
export const SERVICE = "protocol-mqtt"

function reasonOf(outcome: number): number {
  if (outcome === REFUSED_NOT_AUTHORIZED) return Reason.NOT_AUTHORIZED
  if (outcome === REFUSED_TOPIC_NAME) return TOPIC_NAME_INVALID
  if (outcome === REFUSED_QUOTA) return Reason.QUOTA_EXCEEDED
  return 0x80
}
