/**
 * One simulated MQTT client: it keeps its side of the protocol to the letter, over connections that end in every possible way, and
 * holds the broker to its side.
 *
 * What it checks by itself: answers match what was asked; packet identifiers and Receive Maximum; session present; no end of a
 * connection without a reason. What a session is promised is the {@link SessionModel}'s.
 */
import { type Decoded, type DecodedOf, decode, packetLength } from "../support/mqtt-decode.ts"
import { type AckType, encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { Peer, type PeerOwner } from "./Peer.ts"
import type { RetainedModel, RetainedWrite } from "./RetainedModel.ts"
import { FILTERS, LIVE_NAMES, type Persona, type Qos, RETAINED_QOS, SESSION_NEVER_EXPIRES } from "./Scenario.ts"
import { NUMBER_PROPERTY, SessionModel, type SimSubscription } from "./SessionModel.ts"
import { WillWatch } from "./WillWatch.ts"
import { type SimMessage, show, type World } from "./World.ts"

/** An answer takes no longer than this, ms: generous, since bytes may travel one by one. */
const ANSWER_MS_MAX = 20_000
const SHUTTING_DOWN = 0x8b

/** A QoS 1 or 2 message, or an empty retained one, on its way to the broker. */
interface Outgoing {
  readonly name: string
  readonly qos: Qos
  readonly message: SimMessage | undefined
  readonly write: RetainedWrite | undefined
  readonly sentAt: number
  /** QoS 2: PUBREC came. */
  isReleased: boolean
}

type Request =
  | { readonly kind: "subscribe"; readonly wishes: ReadonlyArray<SimSubscription> }
  | { readonly kind: "unsubscribe"; readonly dones: ReadonlyArray<() => void> }

/** What is known of the broker's side of a session before a CONNECT. */
type Presence = "present" | "absent" | "expired" | "unknown"

export class MqttActor implements PeerOwner {
  readonly persona: Persona
  session: SessionModel
  /** Every session that this client identifier had. */
  readonly sessions: Array<SessionModel> = []
  readonly halfOpen: Array<Peer> = []
  readonly #world: World
  readonly #retained: RetainedModel
  readonly #retainedNames: ReadonlyArray<string>
  readonly #wills: WillWatch
  /** Told of every message that the broker acknowledged. */
  readonly #taken: (message: SimMessage, sentAt: number) => void
  #peer: Peer | undefined
  #state: "idle" | "connecting" | "connected" | "leaving" = "idle"
  #lastSentMs = 0
  #isClean = false
  /** A clean start was asked for, and no CONNACK came. */
  #owesCleanStart = false
  /** Session expiry of the connection that was last asked for, seconds. */
  #sessionExpiry = 0
  #presence: Presence = "absent"
  /** What session present must say. */
  #expected: Presence = "absent"
  /** When the connection that was last accepted was lost. */
  #leftAtMs = 0
  #windowMax = 1
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #requests = new Map<number, Request>()
  #pingsOwed = 0
  #nextIdentifier = 1
  /** QoS 1 and 2 messages that came on this connection and are not acknowledged, by packet identifier. */
  readonly #unacknowledged = new Set<number>()
  readonly #acknowledgements: Array<Uint8Array> = []
  #isAcknowledging = false
  #isLast = false
  #isStopExpected = false
  #isToldOfStop = false

  constructor(
    world: World,
    retained: RetainedModel,
    persona: Persona,
    retainedNames: ReadonlyArray<string>,
    taken: (message: SimMessage, sentAt: number) => void
  ) {
    this.#world = world
    this.#retained = retained
    this.persona = persona
    this.#retainedNames = retainedNames
    this.#taken = taken
    this.#wills = new WillWatch(world, persona, taken)
    this.session = this.#newSession()
  }

  get isIdle(): boolean {
    return this.#state === "idle"
  }

  /** Whether everything that was begun on the open connection is done. */
  get isSettled(): boolean {
    return (
      this.#state === "connected" &&
      this.#outgoing.size === 0 &&
      this.#requests.size === 0 &&
      this.#pingsOwed === 0 &&
      this.#unacknowledged.size === 0 &&
      this.#acknowledgements.length === 0
    )
  }

  get pending(): string {
    const { size } = this.#outgoing
    return `${this.persona.clientId}: ${this.#state}, ${size} unacknowledged, ${this.#requests.size} requests, ${this.#pingsOwed} pings, ${this.#unacknowledged.size} held`
  }

  /** Acts again and again until nobody has steps left. */
  live(): void {
    const { chance } = this.#world
    this.#world.after(chance.below(this.persona.pauseMs * 2 * 8 + 1) / 8, () => {
      if (this.#world.isSettling) return
      this.act()
      this.live()
    })
  }

  act(): void {
    const world = this.#world
    if (this.#state === "idle") {
      if (world.chance.chance(1, 2)) this.connect(world.chance.chance(this.persona.cleanOf16, 16))
      return
    }
    if (world.stepsLeft <= 0) return
    world.stepsLeft -= 1
    const { cutsOf64, halfOpenOf64 } = this.persona
    const isConnecting = this.#state === "connecting"
    const fate = world.chance.below(isConnecting ? 640 : 64)
    if (fate < cutsOf64) this.#leaveBadly()
    else if (!isConnecting && fate < cutsOf64 + halfOpenOf64) this.#vanish()
    else if (this.#state === "connected") this.#actConnected()
  }

  /** Opens a connection; an older one, if any, is left to be taken over. */
  connect(isClean: boolean): void {
    const world = this.#world
    const { persona } = this
    const known = this.#knownPresence()
    // A clean start stays one until the broker has said so; and what may have expired cannot be told from what came after it.
    const isForced =
      this.#owesCleanStart || known === "expired" || (persona.version === 4 && persona.sessionExpiry === 0)
    const clean = isClean || isForced
    if (clean) this.#replaceSession()
    this.#isClean = clean
    this.#owesCleanStart = clean
    this.#sessionExpiry = this.#isLast || (clean && persona.version === 4) ? 0 : persona.sessionExpiry
    this.#expected = clean ? "absent" : known
    // Until the CONNACK is here, nobody knows whether the broker has seen the CONNECT.
    if (this.#expected !== "present" && this.#sessionExpiry > 0) this.#presence = "unknown"
    this.#forgetConnection()
    const peer = new Peer(world.simulation, world.node.mqttAddress, this)
    this.#peer = peer
    this.#state = "connecting"
    const hasWill = !this.#isLast && world.chance.chance(persona.willOf16, 16)
    const will = hasWill ? this.#wills.begin() : this.#wills.beginWithout()
    const properties: Properties =
      persona.version === 4
        ? []
        : [
            ["sessionExpiry", this.#sessionExpiry],
            ["receiveMaximum", persona.receiveMaximum]
          ]
    world.note(`${persona.clientId} CONNECT${clean ? " clean" : ""}${will === undefined ? "" : " with will"}`)
    const connect = { version: persona.version, clientId: persona.clientId, clean, keepAlive: persona.keepAlive }
    this.#send(encode.connect({ ...connect, properties, ...(will !== undefined && { will }) }))
    world.after(ANSWER_MS_MAX, () => {
      if (this.#peer === peer && this.#state === "connecting") world.fail(`${persona.clientId} got no CONNACK`)
    })
    if (persona.keepAlive > 0) this.#keepAlive(peer)
  }

  /** Leaves in order. */
  disconnect(): void {
    const peer = this.#peer
    if (this.#state !== "connected" || peer === undefined) return
    this.#world.note(`${this.persona.clientId} DISCONNECT`)
    this.#send(encode.disconnect(this.persona.version))
    this.#state = "leaving"
    peer.finish()
  }

  /** Whether its session outlives all that a run waits for. */
  get needsClearing(): boolean {
    return this.persona.sessionExpiry === SESSION_NEVER_EXPIRES
  }

  /** Connects once more, with a clean session that ends with its connection. */
  connectLast(): void {
    this.#isLast = true
    this.connect(true)
  }

  /** Publishes to every name, QoS 0. */
  publishEverywhere(): void {
    if (this.#state !== "connected") return
    for (const topic of LIVE_NAMES) this.#send(encode.publish(this.persona.version, { topic, payload: "the end" }))
  }

  /** From now on the broker may end the connection. */
  expectStop(): void {
    this.#isStopExpected = true
  }

  /** The broker has stopped: the client was told as its version allows. */
  checkStopped(): void {
    const { version, clientId } = this.persona
    this.#world.check(this.isIdle, () => `the broker stopped, and ${clientId} is still connected`)
    // A socket that takes the DISCONNECT only in part is not waited for.
    const mayMiss = version === 4 || this.#world.scenario.network.partialWritesOfEight !== 0
    this.#world.check(mayMiss || this.#isToldOfStop, () => `the broker stopped without a DISCONNECT to ${clientId}`)
  }

  ping(): void {
    if (this.#state !== "connected") return
    this.#pingsOwed += 1
    this.#send(encode.pingreq())
  }

  packetLength(bytes: Uint8Array): number | undefined {
    return packetLength(bytes)
  }

  packet(bytes: Uint8Array): void {
    const packet = decode(bytes, this.persona.version)
    const world = this.#world
    const text = packet.type === "publish" ? `${packet.topic} q${packet.qos}${packet.dup ? " dup" : ""}` : ""
    const identifier = "id" in packet ? ` ${packet.id}` : ""
    const head = packet.type === "publish" ? Buffer.from(packet.payload.subarray(0, 6)).toString("latin1") : ""
    world.note(`${this.persona.clientId} <- ${packet.type}${identifier} ${text} ${head.split(" ")[0] ?? ""}`)
    // What crosses the DISCONNECT on its way is read by nobody.
    if (this.#state === "leaving") return
    const isFirst = packet.type === "connack"
    world.check(
      isFirst === (this.#state === "connecting"),
      () => `${this.persona.clientId} got ${packet.type} out of turn`
    )
    this.#handle(packet)
  }

  ended(): void {
    const world = this.#world
    const { clientId } = this.persona
    const wasLeaving = this.#state === "leaving" || this.#isStopExpected
    world.check(wasLeaving, () => `the broker ended the connection of ${clientId} (${this.#state}) without a reason`)
    world.note(`${clientId} ended`)
    this.#wills.left(true)
    this.#gone()
  }

  #handle(packet: Decoded): void {
    switch (packet.type) {
      case "connack":
        this.#connack(packet)
        return
      case "publish":
        this.#publish(packet)
        return
      case "puback":
      case "pubrec":
      case "pubcomp":
        this.#acknowledged(packet.type, packet)
        return
      case "pubrel":
        this.#pubrel(packet.id)
        return
      case "suback":
      case "unsuback":
        this.#answered(packet)
        return
      case "pingresp":
        this.#world.check(this.#pingsOwed > 0, () => `${this.persona.clientId} got PINGRESP without a PINGREQ`)
        this.#pingsOwed -= 1
        return
      case "disconnect":
        this.#isToldOfStop = packet.code === SHUTTING_DOWN
        if (this.#isStopExpected && this.#isToldOfStop) return
        this.#world.fail(`${this.persona.clientId} was told to go with ${packet.code}`)
        return
      default:
        this.#world.fail(`${this.persona.clientId} got ${packet.type} ${"code" in packet ? packet.code : ""}`)
    }
  }

  #connack({ sessionPresent, code, properties }: DecodedOf<"connack">): void {
    const world = this.#world
    const { clientId, windowMax } = this.persona
    world.check(code === 0, () => `${clientId} was refused with ${code}`)
    world.check(!sessionPresent || !this.#isClean, () => `${clientId}: session present after a clean start`)
    this.#owesCleanStart = false
    const known = this.#expected
    world.check(
      known === "unknown" || sessionPresent === (known === "present"),
      () => `${clientId}: session present is ${sessionPresent}, the session is ${known}`
    )
    this.#state = "connected"
    this.#windowMax = Math.min(windowMax, Number(propertyOf(properties, "receiveMaximum") ?? 65_535))
    this.#presence = this.#sessionExpiry > 0 ? "present" : "absent"
    if (!sessionPresent && !this.#isClean) this.#replaceSession()
    this.#wills.accepted(sessionPresent)
    this.session.connected()
    if (!sessionPresent) return
    world.counts.resumed += 1
    for (const [identifier, outgoing] of this.#outgoing) {
      if (outgoing.isReleased) this.#send(encode.ack("pubrel", identifier))
      else this.#transmit(identifier, outgoing, true)
    }
  }

  /** Whether the broker still has the session, as far as this client can know. */
  #knownPresence(): Presence {
    const { sessionExpiry } = this.persona
    if (this.#presence !== "present" || sessionExpiry === SESSION_NEVER_EXPIRES) return this.#presence
    const awayMs = this.#world.nowMs - this.#leftAtMs
    return awayMs < sessionExpiry * 1_000 - 100 ? "present" : "expired"
  }

  #publish(packet: DecodedOf<"publish">): void {
    const world = this.#world
    const { clientId, receiveMaximum } = this.persona
    const { session } = this
    const held = packet.qos === 2 ? session.held.get(packet.id) : undefined
    const message = session.received(packet, held !== undefined)
    if (packet.qos === 0) return
    const where = (): string => `${clientId}: packet identifier ${packet.id}`
    world.check(!this.#unacknowledged.has(packet.id), () => `${where()} is used twice`)
    if (session.held.has(packet.id)) {
      world.check(packet.qos === 2 && packet.dup && held === message, () => `${where()} is used again before PUBCOMP`)
    }
    this.#unacknowledged.add(packet.id)
    world.check(
      this.#unacknowledged.size <= receiveMaximum,
      () => `${clientId} has ${this.#unacknowledged.size} unacknowledged, its Receive Maximum is ${receiveMaximum}`
    )
    if (packet.qos === 2 && message !== undefined) session.held.set(packet.id, message)
    this.#acknowledge(encode.ack(packet.qos === 1 ? "puback" : "pubrec", packet.id), packet.qos === 1 ? packet.id : 0)
  }

  #pubrel(identifier: number): void {
    this.session.held.delete(identifier)
    this.#acknowledge(encode.ack("pubcomp", identifier), identifier)
  }

  /** Sends acknowledgements in their order, each a while after it is due. */
  #acknowledge(frame: Uint8Array, done: number): void {
    this.#acknowledgements.push(Buffer.concat([Buffer.of(done >> 8, done & 255), frame]))
    if (!this.#isAcknowledging) this.#acknowledgeNext()
  }

  #acknowledgeNext(): void {
    const peer = this.#peer
    const { acknowledgeMsMax } = this.persona
    this.#isAcknowledging = this.#acknowledgements.length > 0
    if (!this.#isAcknowledging) return
    const delayMs = acknowledgeMsMax === 0 ? 0 : this.#world.chance.below(acknowledgeMsMax + 1)
    this.#world.after(this.#world.isSettling ? Math.min(delayMs, 5) : delayMs, () => {
      if (this.#peer !== peer || this.#state !== "connected") return
      const next = this.#acknowledgements.shift()
      if (next === undefined) return
      const done = (next[0] ?? 0) * 256 + (next[1] ?? 0)
      if (done !== 0) this.#unacknowledged.delete(done)
      this.#send(next.subarray(2))
      this.#acknowledgeNext()
    })
  }

  #acknowledged(type: AckType, { id, code }: { readonly id: number; readonly code: number }): void {
    const world = this.#world
    const outgoing = this.#outgoing.get(id)
    const where = (): string => `${this.persona.clientId}: ${type} ${id} (${code})`
    if (outgoing === undefined) throw world.violation(`${where()} answers nothing`)
    const expected = outgoing.qos === 1 ? "puback" : outgoing.isReleased ? "pubcomp" : "pubrec"
    world.check(type === expected, () => `${where()} where ${expected} was due`)
    // 0x10: nobody wants it; 0x92: it was released before, and the answer was lost.
    world.check(
      code === 0 || code === (type === "pubcomp" ? 0x92 : 0x10),
      () => `${where()} refuses ${outgoing.message === undefined ? "" : show(outgoing.message)}`
    )
    if (type !== "pubcomp") {
      world.counts.acknowledged += 1
      if (outgoing.write !== undefined) outgoing.write.isAcknowledged = true
      if (outgoing.message !== undefined) {
        outgoing.message.acknowledgedAt = world.moment()
        this.#taken(outgoing.message, outgoing.sentAt)
      }
    }
    if (type === "pubrec") {
      outgoing.isReleased = true
      this.#send(encode.ack("pubrel", id))
    } else this.#outgoing.delete(id)
  }

  #answered({ type, id, codes }: DecodedOf<"suback" | "unsuback">): void {
    const world = this.#world
    const request = this.#requests.get(id)
    const where = (): string => `${this.persona.clientId}: ${type} ${id} [${codes.join(" ")}]`
    this.#requests.delete(id)
    if (request?.kind === "subscribe" && type === "suback") {
      const { wishes } = request
      const isGranted = codes.length === wishes.length && wishes.every(({ qos }, index) => codes[index] === qos)
      world.check(isGranted, () => `${where()} is not what was asked`)
      for (const wish of wishes) this.session.granted(wish)
    } else if (request?.kind === "unsubscribe" && type === "unsuback") {
      for (const done of request.dones) done()
    } else world.fail(`${where()} answers nothing`)
  }

  #actConnected(): void {
    const world = this.#world
    const choice = world.chance.below(32)
    if (choice < 18) for (let count = 1 + world.chance.below(6); count > 0; count--) this.#publishNew()
    else if (choice < 23) this.#subscribe()
    else if (choice < 25) this.#unsubscribe()
    else if (choice < 26) this.ping()
    else if (choice < 27) this.disconnect()
    else if (choice < 28) this.#takeOver()
    else if (choice < 30) this.#stopReading()
  }

  #publishNew(): void {
    const world = this.#world
    const { chance } = world
    const { clientId, version, payloadBytesMax } = this.persona
    const retained = this.#retainedNames.length > 0 && chance.chance(1, 4)
    const name = retained ? world.pick(this.#retainedNames) : world.pick(LIVE_NAMES)
    const qos = RETAINED_QOS.get(name) ?? world.pick<Qos>([0, 1, 1, 2])
    if (qos > 0 && this.#outgoing.size >= this.#windowMax) return
    const isClearing = retained && chance.chance(1, 5)
    const message = isClearing
      ? undefined
      : world.message({
          publisher: clientId,
          source: "mqtt",
          topic: name,
          qos,
          retain: retained,
          hasProperty: version === 5,
          paddingMax: payloadBytesMax
        })
    const write = retained ? this.#retained.writing(name, message) : undefined
    const sentAt = message?.sentAt ?? world.moment()
    const outgoing: Outgoing = { name, qos, message, write, sentAt, isReleased: false }
    const identifier = qos === 0 ? 0 : this.#identifier()
    if (qos > 0) this.#outgoing.set(identifier, outgoing)
    this.#transmit(identifier, outgoing, false)
  }

  #transmit(id: number, { name, qos, message, write }: Outgoing, dup: boolean): void {
    const { version } = this.persona
    if (message !== undefined) message.transmissions += 1
    const properties: Properties =
      message?.hasProperty === true ? [["userProperty", [NUMBER_PROPERTY, String(message.id)]]] : []
    this.#world.note(
      `${this.persona.clientId} -> PUBLISH ${id} ${name} q${qos}${dup ? " dup" : ""} ${message?.id ?? ""}`
    )
    const payload = message?.payload ?? ""
    const retain = write !== undefined
    this.#send(encode.publish(version, { topic: name, payload, qos, retain, dup, id, properties }))
  }

  #subscribe(): void {
    const world = this.#world
    const { chance } = world
    const { version } = this.persona
    const identifier = version === 5 && chance.chance(1, 2) ? 1 + chance.below(200) : 0
    const filters = new Set(Array.from({ length: 1 + chance.below(3) }, () => world.pick(FILTERS)))
    const wishes = [...filters].map((filter) => ({
      filter,
      qos: world.pick<Qos>([0, 1, 2]),
      noLocal: version === 5 && chance.chance(1, 4),
      retainAsPublished: version === 5 && chance.chance(1, 4),
      identifier
    }))
    const id = this.#identifier()
    this.#requests.set(id, { kind: "subscribe", wishes: wishes.map((wish) => this.session.asked(wish)) })
    world.note(
      `${this.persona.clientId} -> SUBSCRIBE ${id} ${wishes.map(({ filter, qos }) => `${filter} q${qos}`).join(", ")}`
    )
    this.#send(encode.subscribe(version, id, wishes, identifier === 0 ? [] : [["subscriptionIdentifier", identifier]]))
  }

  #unsubscribe(): void {
    const world = this.#world
    const { filters } = this.session
    const filter = filters.length === 0 ? "never/subscribed" : world.pick(filters)
    const id = this.#identifier()
    this.#requests.set(id, { kind: "unsubscribe", dones: [this.session.leaving(filter)] })
    world.note(`${this.persona.clientId} -> UNSUBSCRIBE ${id} ${filter}`)
    this.#send(encode.unsubscribe(this.persona.version, id, [filter]))
  }

  #takeOver(): void {
    this.#world.counts.takeOvers += 1
    this.#world.note(`${this.persona.clientId} takes over`)
    this.#peer?.abandon()
    if (this.#peer !== undefined) this.halfOpen.push(this.#peer)
    this.#wills.cut(false)
    this.#gone()
    this.connect(this.#world.chance.chance(this.persona.cleanOf16, 16))
  }

  #stopReading(): void {
    const peer = this.#peer
    if (peer === undefined) return
    peer.pause()
    // A client that is kept alive must read its own time too.
    const awayMs = this.persona.keepAlive > 0 ? 50 : 1_500
    this.#world.after(this.#world.chance.below(awayMs), () => peer.resume())
  }

  /** Cuts the connection now, in the middle of a packet, or right behind one. */
  #leaveBadly(): void {
    const world = this.#world
    const peer = this.#peer
    world.note(`${this.persona.clientId} cuts`)
    // A CONNECT that is left under way could arrive behind the next one and take its place.
    if (peer !== undefined && this.#state !== "connecting" && world.chance.chance(1, 2)) {
      const last = encode.publish(this.persona.version, {
        topic: "cut/short",
        payload: "never whole",
        qos: 1,
        id: 65_000
      })
      peer.finishWithin(last, world.chance.below(last.length))
      this.halfOpen.push(peer)
    } else peer?.cut()
    if (this.#state === "leaving") this.#wills.left(false)
    else this.#wills.cut(peer?.isOpen === false)
    this.#gone()
  }

  #vanish(): void {
    this.#world.note(`${this.persona.clientId} vanishes`)
    const peer = this.#peer
    peer?.vanish()
    if (peer !== undefined) this.halfOpen.push(peer)
    if (this.#state === "leaving") this.#wills.left(false)
    else this.#wills.cut(false)
    this.#gone()
  }

  /** The connection is over for this client. */
  #gone(): void {
    if (this.#state === "connected" || this.#state === "leaving") this.#leftAtMs = this.#world.nowMs
    this.#state = "idle"
    this.#peer = undefined
    // A session that ends with its connection is over for its client too.
    if (this.#sessionExpiry === 0) this.#replaceSession()
  }

  #forgetConnection(): void {
    this.#requests.clear()
    this.#pingsOwed = 0
    this.#unacknowledged.clear()
    this.#acknowledgements.length = 0
    this.#isAcknowledging = false
  }

  #newSession(): SessionModel {
    const session = new SessionModel(this.#world, this.#retained, this.persona, this.sessions.length + 1)
    this.sessions.push(session)
    return session
  }

  #replaceSession(): void {
    this.session.hasEnded = true
    this.session = this.#newSession()
    this.#outgoing.clear()
  }

  /** A packet identifier that is not in use. */
  #identifier(): number {
    while (this.#outgoing.has(this.#nextIdentifier) || this.#requests.has(this.#nextIdentifier)) this.#step()
    const identifier = this.#nextIdentifier
    this.#step()
    return identifier
  }

  #step(): void {
    // Few identifiers, so that they come again soon.
    this.#nextIdentifier = (this.#nextIdentifier % 60) + 1
  }

  #keepAlive(peer: Peer): void {
    const periodMs = this.persona.keepAlive * 500
    this.#world.after(periodMs, () => {
      if (this.#peer !== peer) return
      if (this.#state === "connected" && this.#world.nowMs - this.#lastSentMs >= periodMs) this.ping()
      this.#keepAlive(peer)
    })
  }

  #send(bytes: Uint8Array): void {
    this.#lastSentMs = this.#world.nowMs
    this.#peer?.send(bytes)
  }
}
