/**
 * One MQTT connection: bytes to packets, packets to the broker, and the answers in order.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3 and 4.
 * Invariants
 *  - Acknowledgements leave in the order of what they acknowledge; one that waits for a commit holds back those behind it.
 *  - Everything written in a turn leaves in one write at its end.
 *  - After `close` nothing of this connection reaches its session.
 */
import type { Message, Socket, SocketReceiver, TurnTask, WheelTask } from "../../core/mod.ts"
import { AnswerLine } from "./AnswerLine.ts"
import type { Authentication } from "./Authentication.ts"
import { receiveAcknowledgement } from "./acknowledging.ts"
import { autoSubscribe } from "./auto-subscribe/auto-subscribe.ts"
import type { Broker, KeptWill } from "./Broker.ts"
import { type Client, NOBODY } from "./Client.ts"
import { openConnection } from "./connecting.ts"
import { sayDisconnect, takeDisconnect } from "./disconnecting.ts"
import type { Listener } from "./Listener.ts"
import type { OutboundAliases } from "./OutboundAliases.ts"
import { Output, takesQos0 } from "./Output.ts"
import { copyFrame } from "./PublishEncoder.ts"
import { PublishRate } from "./PublishRate.ts"
import { receivePaced } from "./publishing.ts"
import * as Reason from "./reasons.ts"
import type { Session } from "./Session.ts"
import { subscribe, unsubscribe } from "./subscribing.ts"
import { clientConnected, clientDisconnected } from "./system/client-events.ts"
import type { TopicAliases } from "./TopicAliases.ts"
import { PACKET_SIZE_MAX } from "./wire/connect.ts"
import { checkPingreq, PINGRESP_FRAME } from "./wire/disconnect.ts"
import { PAUSED, type PacketHandler, PacketStream } from "./wire/framing.ts"
import * as Packet from "./wire/packet-types.ts"
import { PROTOCOL_ERROR } from "./wire/reason-codes.ts"

/** Whether bytes are read: yes; not until what it has sent is seen to; not until it reads. */
const READING = 0
const HELD_UP = 1
const UNREAD = 2

export class Connection implements SocketReceiver, PacketHandler, TurnTask, WheelTask {
  readonly broker: Broker
  readonly socket: Socket
  /** Through which it came. */
  readonly listener: Listener
  readonly output: Output
  version: Packet.ProtocolVersion = 4
  session: Session | undefined
  client: Client = NOBODY
  will: KeptWill | undefined
  /** Largest packet that the client takes, bytes. */
  packetSizeMax = PACKET_SIZE_MAX
  /** When its session was opened, ms since 1970. */
  connectedAtMs = 0
  /** Why it has ended: a Reason Code of ours or of its client; below 0 = its socket was closed. */
  endReason = -1
  /** Milliseconds without a packet after which the client is gone; 0 = never. */
  keepAliveMs = 0
  readonly answers = new AnswerLine(this)
  readonly rate: PublishRate | undefined
  aliases: TopicAliases | undefined
  /** Of a client that named an authentication method. */
  authentication: Authentication | undefined
  /** Towards the client; undefined where it takes none. */
  outboundAliases: OutboundAliases | undefined
  /** The session that answers belong to, also after the connection has ended. */
  answersFor: Session | undefined
  readonly #stream = new PacketStream()
  /** What came before the CONNECT was judged: all of it goes to the shard that owns the client. */
  #early: Array<Uint8Array> | undefined = []
  /** Its session while the CONNACK waits for its commit. */
  opening: Session | undefined
  /** What it has sent is being seen to, its CONNECT or a SUBSCRIBE: nothing more is read before. */
  isHeld = false
  /** Why reading has stopped, if it has. */
  #paused: number = READING
  /** Receives everything once the connection was passed on to the shard that owns its client. */
  #forwarded: SocketReceiver | undefined
  #lastReceivedMs: number
  isClosed = false

  constructor(broker: Broker, socket: Socket, listener = broker.listeners.common) {
    this.broker = broker
    this.socket = socket
    this.listener = listener
    this.output = new Output(broker.budget)
    this.rate = PublishRate.of(listener.settings)
    this.#lastReceivedMs = broker.services.clock.monotonicMs()
    broker.counts.connectionsAccepted += 1
    broker.connections.add(this)
    broker.services.wheel.set(this, this.#lastReceivedMs + broker.settings.connect_timeout * 1_000)
  }

  data(bytes: Uint8Array): void {
    if (this.#forwarded !== undefined) {
      this.#forwarded.data(bytes)
      return
    }
    if (this.isClosed) return
    const { broker } = this
    broker.counts.bytesReceived += bytes.length
    broker.nowMs = broker.services.clock.nowMs()
    if (this.session !== undefined) broker.receivedMs = broker.services.clock.monotonicMs()
    else this.#early?.push(bytes)
    this.#fed(this.#stream.feed(bytes, this))
  }

  #fed(code: number): void {
    if (code > 0) this.close(code)
    else if (this.#paused !== READING || this.isClosed) return
    else if (code === PAUSED) this.#pause(HELD_UP)
    else if (this.output.isOverfull(this.broker.settings.output_bytes_max)) {
      // What it sends is answered, and it does not read: no more is taken than it takes.
      this.#pause(UNREAD)
      this.broker.budget.awaitRoom(this)
    }
  }

  #pause(reason: number): void {
    this.#paused = reason
    this.socket.pause()
  }

  drain(): void {
    if (this.#forwarded !== undefined) this.#forwarded.drain()
    else this.endTurn()
  }

  closed(): void {
    if (this.#forwarded !== undefined) this.#forwarded.closed()
    else this.#end(this.will)
    // What nobody will read any more must not count against the others.
    this.output.clear()
  }

  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    const type = firstByte >>> 4
    const { session } = this
    if (session !== undefined && type === Packet.PUBLISH) {
      this.#lastReceivedMs = this.broker.receivedMs
      return receivePaced(this, session, bytes, firstByte, start, end)
    }
    this.broker.counts.received(type)
    if (session === undefined) return this.#connect(type, bytes, start, end)
    this.#lastReceivedMs = this.broker.receivedMs
    switch (type) {
      case Packet.PUBACK:
      case Packet.PUBREC:
      case Packet.PUBREL:
      case Packet.PUBCOMP:
        return receiveAcknowledgement(this, session, type, bytes, start, end)
      case Packet.SUBSCRIBE:
        return subscribe(this, session, bytes, start, end)
      case Packet.UNSUBSCRIBE:
        return unsubscribe(this, session, bytes, start, end)
      case Packet.PINGREQ: {
        const fault = checkPingreq(start, end)
        if (fault === 0) this.answer(PINGRESP_FRAME, 0, undefined)
        return fault
      }
      case Packet.DISCONNECT:
        return this.#disconnect(session, bytes, start, end)
      case Packet.AUTH:
        return this.authentication?.receiveAgain(bytes, start, end) ?? PROTOCOL_ERROR
      default:
        // CONNECT again [MQTT-3.1.0-2], and what only a server sends.
        return PROTOCOL_ERROR
    }
  }

  #connect(type: number, bytes: Uint8Array, start: number, end: number): number {
    const outcome = this.authentication?.receive(type, bytes, start, end) ?? openConnection(this, bytes, start, end)
    if (outcome.kind === "refused") return outcome.reasonCode
    const early = this.#early
    this.#early = undefined
    if (outcome.kind === "authenticating") return 0
    if (outcome.kind === "opening") {
      this.isHeld = this.session === undefined
      return this.isHeld && !this.isClosed ? PAUSED : 0
    }
    const { shard, wheel } = this.broker.services
    wheel.cancel(this)
    this.broker.connections.delete(this)
    this.#forwarded = shard.forward(outcome.shard, this.listener.service, this.socket, Buffer.concat(early ?? []))
    this.#stream.clear()
    return 0
  }

  /** The session is there, and the CONNACK on its way: what the client has sent behind its CONNECT is read now. */
  open(session: Session): void {
    this.#lastReceivedMs = this.broker.services.clock.monotonicMs()
    this.broker.counts.connectionsOpen += 1
    this.connectedAtMs = this.broker.services.clock.nowMs()
    this.#stream.accepted(this.listener.settings.packet_size_max, this.version)
    this.session = session
    this.opening = undefined
    this.answersFor = session
    this.broker.slow?.connected(this)
    session.attach(this)
    clientConnected(this)
    if (this.broker.autoSubscriptions.rules.length > 0 && !this.listener.isHosted) autoSubscribe(this, session)
    this.#armTimeout()
    if (this.isHeld) this.release()
  }

  #disconnect(session: Session, bytes: Uint8Array, start: number, end: number): number {
    const fault = takeDisconnect(this, session, bytes, start, end)
    if (fault !== 0) return fault
    if (this.endReason === Reason.NORMAL_DISCONNECTION) this.#forgetWill()
    this.#stream.clear()
    this.#end(this.will)
    this.output.flush(this.socket)
    this.socket.end()
    this.output.clear()
    return 0
  }

  /** Whether QoS 1 and 2 messages may still be added to the output; else they stay in their session's queue. */
  get takesMore(): boolean {
    return this.output.fits(0, this.broker.settings.output_bytes_max)
  }

  /** Whether half of what may wait is free: for messages that can come later and would be dropped where they do not fit. */
  get isHalfFree(): boolean {
    const { broker, output } = this
    return !broker.budget.isNearlyFull && output.size * 2 <= broker.settings.output_bytes_max
  }

  /** Makes room for `count` bytes of output that leave at the end of this turn; returns their position in `output.bytes`. */
  reserve(count: number): number {
    if (!this.output.isDeferred) {
      this.output.isDeferred = true
      this.broker.services.turn.deferOutput(this)
    }
    return this.output.reserve(count)
  }

  /** Whether a message can be sent at all under the client's Maximum Packet Size [MQTT-3.1.2-25]. */
  fitsPacketSize(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>): boolean {
    if (this.packetSizeMax === PACKET_SIZE_MAX) return true
    const frame = this.broker.encoder.encode(message, this.version, qos, retain, false, identifiers, 0)
    return frame.end - frame.start <= this.packetSizeMax
  }

  /** Writes a PUBLISH; QoS 0 is dropped and counted where the client does not read, or takes none so large: false. */
  sendPublish(
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number,
    packetIdentifier = 0
  ): boolean {
    const { broker } = this
    const frame = broker.encoder.encode(message, this.version, qos, retain, false, identifiers, nowMs)
    if (this.outboundAliases?.send(this, message, frame, qos, packetIdentifier) !== true) {
      const size = frame.end - frame.start
      if (qos === 0 && !takesQos0(this, size)) return false
      const position = this.reserve(size)
      copyFrame(frame, this.output.bytes, position, packetIdentifier)
      broker.counts.publishSent += 1
    }
    broker.slow?.sent(this, message, retain, packetIdentifier)
    return true
  }

  sendPubrel(packetIdentifier: number): void {
    this.answers.send(Packet.PUBREL, packetIdentifier, 0)
  }

  /** Sends an answer in its order, when the router's `ticket` is committed; see {@link AnswerLine.answer}. */
  answer(frame: Uint8Array, ticket: number, after: (() => void) | undefined): void {
    this.answers.answer(frame, this.broker.services.router.tickets, ticket, after)
  }

  #forgetWill(): void {
    if (this.will !== undefined) this.broker.wills.forget(this.will.number)
    this.will = undefined
  }

  release(): void {
    this.isHeld = false
    this.readOn()
  }

  /** Goes on reading where it was stopped. */
  readOn(): void {
    if (this.#paused === READING || this.isClosed || this.isHeld) return
    if (this.output.isOverfull(this.broker.settings.output_bytes_max)) {
      this.#paused = UNREAD
      return
    }
    const nowMs = this.broker.services.clock.monotonicMs()
    if (this.rate?.isHeld(nowMs) === true) return
    this.#paused = READING
    this.#lastReceivedMs = this.broker.receivedMs = nowMs
    this.broker.nowMs = this.broker.services.clock.nowMs()
    this.#fed(this.#stream.resume(this))
    if (this.#paused === READING && !this.isClosed) this.socket.resume()
  }

  endTurn(): void {
    const { broker, output } = this
    output.isDeferred = false
    if (this.isClosed) return
    const before = output.size
    if (!output.flush(this.socket)) {
      if (this.#paused === UNREAD) this.readOn()
      return
    }
    const left = output.size
    broker.counts.bytesSent += before - left
    broker.slow?.written(this, before - left)
    if (left === 0) {
      output.blockedSinceMs = 0
      this.session?.drain()
    } else if (output.blockedSinceMs === 0 || left < before) {
      const wasBlocked = output.blockedSinceMs !== 0
      output.blockedSinceMs = broker.services.clock.monotonicMs()
      if (!wasBlocked) this.#armTimeout()
    }
    if (this.#paused === UNREAD) this.readOn()
  }

  timeout(nowMs: number): number {
    const { broker } = this
    if (this.session === undefined) {
      broker.counts.connectTimeouts += 1
      this.close(Reason.KEEP_ALIVE_TIMEOUT)
      return 0
    }
    const { blockedSinceMs } = this.output
    if (blockedSinceMs !== 0 && nowMs >= blockedSinceMs + broker.settings.stalled_timeout * 1_000) {
      this.close(Reason.QUOTA_EXCEEDED)
      return 0
    }
    // While we do not read, silence is ours.
    if (this.#paused !== READING) this.#lastReceivedMs = nowMs
    if (this.keepAliveMs !== 0 && nowMs >= this.#lastReceivedMs + this.keepAliveMs) {
      broker.counts.keepAliveTimeouts += 1
      this.close(Reason.KEEP_ALIVE_TIMEOUT)
      return 0
    }
    return this.#nextTimeout()
  }

  #nextTimeout(): number {
    const { blockedSinceMs } = this.output
    const stalled = blockedSinceMs === 0 ? 0 : blockedSinceMs + this.broker.settings.stalled_timeout * 1_000
    const silent = this.keepAliveMs === 0 ? 0 : this.#lastReceivedMs + this.keepAliveMs
    return stalled === 0 || silent === 0 ? stalled + silent : Math.min(stalled, silent)
  }

  #armTimeout(): void {
    const { wheel } = this.broker.services
    const next = this.#nextTimeout()
    if (next === 0) wheel.cancel(this)
    else wheel.set(this, next)
  }

  /** Closes for a reason: version 5 clients are told, the will is published where the standard says so. */
  close(reasonCode: number): void {
    if (this.isClosed) return
    this.broker.counts.closed(reasonCode)
    this.endReason = reasonCode
    if (this.session !== undefined && this.version === 5) sayDisconnect(this, reasonCode)
    this.#stream.clear()
    if (reasonCode === Reason.NORMAL_DISCONNECTION) this.#forgetWill()
    this.#end(this.will)
    if (this.output.flush(this.socket) && this.output.size === 0) this.socket.end()
    else this.socket.terminate()
    this.output.clear()
  }

  #end(will: KeptWill | undefined): void {
    if (this.isClosed) return
    this.isClosed = true
    const { broker, session } = this
    broker.services.wheel.cancel(this)
    broker.connections.delete(this)
    broker.budget.forget(this)
    broker.limits.leave(this)
    this.listener.leave(this)
    this.#stream.clear()
    this.#early = undefined
    this.aliases = this.outboundAliases = this.will = undefined
    if (session === undefined) {
      // It ended before its CONNACK: its will was kept and never became due.
      if (will !== undefined) broker.wills.forget(will.number)
      const { opening } = this
      this.opening = undefined
      if (opening?.connection === this) broker.closeSession(opening, undefined, this.client)
      return
    }
    broker.counts.connectionsOpen -= 1
    this.session = undefined
    clientDisconnected(this)
    broker.closeSession(session, will, this.client)
  }
}
