/**
 * One simulated MQTT client: it keeps its side of the protocol to the letter, over connections that end in every possible way, and
 * holds the broker to its side.
 *
 * What it checks by itself: session present; no answer out of turn; no end of a connection without a reason. Publishing, subscribing
 * and receiving have classes of their own; what a session is promised is the {@link SessionModel}'s.
 */
import { type Decoded, type DecodedOf, decode, packetLength } from "../support/mqtt-decode.ts"
import { encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { KeepAlive } from "./KeepAlive.ts"
import { MqttPublisher } from "./MqttPublisher.ts"
import { MqttReceiver } from "./MqttReceiver.ts"
import { MqttSubscriber } from "./MqttSubscriber.ts"
import { PacketIdentifiers } from "./PacketIdentifiers.ts"
import { Peer, type PeerOwner } from "./Peer.ts"
import type { RetainedModel } from "./RetainedModel.ts"
import { LIVE_NAMES, type Persona, SESSION_NEVER_EXPIRES } from "./Scenario.ts"
import { SessionModel } from "./SessionModel.ts"
import { SessionPresence } from "./SessionPresence.ts"
import { WillWatch } from "./WillWatch.ts"
import type { SimMessage, World } from "./World.ts"

/** An answer takes no longer than this, ms: generous, since bytes may travel one by one. */
const ANSWER_MS_MAX = 20_000
const SHUTTING_DOWN = 0x8b
const KEEP_ALIVE_TIMEOUT = 0x8d
/** While everybody settles, seconds at least: longer than any packet takes, so that what is sent again comes to its end. */
const KEEP_ALIVE_SETTLING = 10
/** What was on its way between two shards when its connection ended has arrived by then, ms. */
const LINK_MS_MAX = 500

export class MqttActor implements PeerOwner {
  readonly persona: Persona
  session: SessionModel
  /** Every session that this client identifier had. */
  readonly sessions: Array<SessionModel> = []
  readonly halfOpen: Array<Peer> = []
  readonly #world: World
  readonly #retained: RetainedModel
  readonly #wills: WillWatch
  readonly #publisher: MqttPublisher
  readonly #subscriber: MqttSubscriber
  readonly #receiver: MqttReceiver
  #peer: Peer | undefined
  #state: "idle" | "connecting" | "connected" | "leaving" = "idle"
  #keepAlive: KeepAlive | undefined
  readonly #presence: SessionPresence
  #pingsOwed = 0
  /** No new connection before this time: it could overtake the CONNECT or the DISCONNECT of the one before. */
  #connectsAtMs = 0
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
    this.#presence = new SessionPresence(world, persona)
    this.#wills = new WillWatch(world, persona, taken)
    const identifiers = new PacketIdentifiers()
    const send = (bytes: Uint8Array): void => this.#send(bytes)
    this.#publisher = new MqttPublisher(world, retained, persona, retainedNames, identifiers, send, taken)
    this.#subscriber = new MqttSubscriber(world, persona, identifiers, send)
    this.#receiver = new MqttReceiver(world, persona, send)
    this.session = this.#newSession()
  }

  get isIdle(): boolean {
    return this.#state === "idle" && this.#world.nowMs >= this.#connectsAtMs
  }

  /** Whether everything that was begun on the open connection is done, QoS 0 among it, which nobody answers. */
  get isSettled(): boolean {
    const owed = this.#publisher.size + this.#subscriber.size + this.#receiver.size + this.#pingsOwed
    return this.#state === "connected" && owed === 0 && this.#peer?.hasArrived === true
  }

  get pending(): string {
    const sizes = `${this.#publisher.size} messages, ${this.#subscriber.size} requests, ${this.#receiver.size} received`
    return `${this.persona.clientId}: ${this.#state}, ${sizes}, ${this.#pingsOwed} pings`
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
      if (this.isIdle && world.chance.chance(1, 2)) this.connect(world.chance.chance(this.persona.cleanOf16, 16))
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
    this.#presence.connecting(isClean, this.#isLast)
    const clean = this.#presence.isClean
    if (clean) this.#replaceSession()
    this.#subscriber.reset()
    this.#receiver.reset()
    this.#pingsOwed = 0
    // Another connection may allow the broker less than the one before.
    this.#receiver.receiveMaximum =
      persona.version === 5 && world.chance.chance(1, 3) ? world.pick([1, 2, 4]) : persona.receiveMaximum
    const peer = new Peer(world.simulation, world.node.mqttAddress, this)
    this.#peer = peer
    this.#state = "connecting"
    const hasWill = !this.#isLast && world.chance.chance(persona.willOf16, 16)
    const will = hasWill ? this.#wills.begin() : this.#wills.beginWithout()
    const properties: Properties =
      persona.version === 4
        ? []
        : [
            ["sessionExpiry", this.#presence.expiry],
            ["receiveMaximum", this.#receiver.receiveMaximum]
          ]
    world.note(`${persona.clientId} CONNECT${clean ? " clean" : ""}${will === undefined ? "" : " with will"}`)
    const isPatient = world.isSettling && persona.keepAlive > 0
    const keepAlive = isPatient ? Math.max(persona.keepAlive, KEEP_ALIVE_SETTLING) : persona.keepAlive
    const connect = { version: persona.version, clientId: persona.clientId, clean, keepAlive }
    this.#keepAlive = new KeepAlive(world, keepAlive, () => this.ping())
    this.#send(encode.connect({ ...connect, properties, ...(will !== undefined && { will }) }))
    world.after(ANSWER_MS_MAX, () => {
      if (this.#peer === peer && this.#state === "connecting") world.fail(`${persona.clientId} got no CONNACK`)
    })
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

  publishTo(name: string): void {
    if (this.#state === "connected") this.#publisher.publishTo(name, 1, false)
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
    // What crosses the DISCONNECT on its way is read by nobody, except why the broker was sooner.
    if (this.#state === "leaving" && packet.type !== "disconnect") return
    const isFirst = packet.type === "connack"
    world.check(
      isFirst === (this.#state === "connecting"),
      () => `${this.persona.clientId} got ${packet.type} out of turn`
    )
    this.#handle(packet)
  }

  arrived(): void {
    this.#keepAlive?.arrived()
  }

  ended(): void {
    const world = this.#world
    const { clientId } = this.persona
    const hasLeft = this.#state === "leaving" && this.#peer?.hasArrived === true
    const overdue = this.#keepAlive?.overdue
    world.check(
      hasLeft || this.#isStopExpected || overdue !== undefined,
      () => `the broker ended the connection of ${clientId} (${this.#state}) without a reason`
    )
    world.note(`${clientId} ended`)
    // A DISCONNECT that came may have come too late.
    if (hasLeft) this.#wills.left(overdue === undefined)
    else this.#wills.cut(true, overdue)
    this.#awaitLinks()
    this.#gone()
  }

  #handle(packet: Decoded): void {
    switch (packet.type) {
      case "connack":
        this.#connack(packet)
        return
      case "publish":
        this.#receiver.publish(this.session, packet)
        return
      case "puback":
      case "pubrec":
      case "pubcomp":
        this.#publisher.acknowledged(packet.type, packet.id, packet.code)
        return
      case "pubrel":
        this.#receiver.pubrel(this.session, packet.id)
        return
      case "suback":
      case "unsuback":
        this.#subscriber.answered(this.session, packet)
        return
      case "pingresp":
        this.#world.check(this.#pingsOwed > 0, () => `${this.persona.clientId} got PINGRESP without a PINGREQ`)
        this.#pingsOwed -= 1
        return
      case "disconnect":
        this.#isToldOfStop = packet.code === SHUTTING_DOWN
        if (this.#isStopExpected && this.#isToldOfStop) return
        if (packet.code === KEEP_ALIVE_TIMEOUT && this.#keepAlive?.overdue !== undefined) return
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
    this.#presence.accepted(sessionPresent)
    this.#state = "connected"
    this.#publisher.windowMax = Math.min(windowMax, Number(propertyOf(properties, "receiveMaximum") ?? 65_535))
    if (!sessionPresent && !this.#presence.isClean) this.#replaceSession()
    this.#wills.accepted(sessionPresent)
    this.session.connected()
    if (!sessionPresent) return
    world.counts.resumed += 1
    this.#publisher.resume()
  }

  #actConnected(): void {
    const world = this.#world
    const choice = world.chance.below(32)
    if (choice < 18) for (let count = 1 + world.chance.below(6); count > 0; count--) this.#publisher.publish()
    else if (choice < 23) this.#subscriber.subscribe(this.session)
    else if (choice < 25) this.#subscriber.unsubscribe(this.session)
    else if (choice < 26) this.ping()
    else if (choice < 27) this.disconnect()
    else if (choice < 28) this.#takeOver()
    else if (choice < 30) this.#stopReading()
  }

  #takeOver(): void {
    this.#world.counts.takeOvers += 1
    this.#world.note(`${this.persona.clientId} takes over`)
    this.#peer?.abandon()
    if (this.#peer !== undefined) this.halfOpen.push(this.#peer)
    this.#wills.cut(false, this.#keepAlive?.overdue)
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
    if (this.#state === "connecting") this.#awaitLinks()
    if (this.#state === "leaving") this.#wills.left(false)
    else this.#wills.cut(peer?.isOpen === false, this.#keepAlive?.overdue)
    this.#gone()
  }

  #vanish(): void {
    this.#world.note(`${this.persona.clientId} vanishes`)
    const peer = this.#peer
    peer?.vanish()
    if (peer !== undefined) this.halfOpen.push(peer)
    if (this.#state === "leaving") this.#wills.left(false)
    else this.#wills.cut(false, this.#keepAlive?.overdue)
    this.#gone()
  }

  #awaitLinks(): void {
    if (this.#world.scenario.immediateMsMax > 0) this.#connectsAtMs = this.#world.nowMs + LINK_MS_MAX
  }

  /** The connection is over for this client. */
  #gone(): void {
    if (this.#state === "connected" || this.#state === "leaving") this.#presence.left(this.#keepAlive?.overdue)
    this.#keepAlive?.stop()
    this.#state = "idle"
    this.#peer = undefined
    // A session that ends with its connection is over for its client too.
    if (this.#presence.expiry === 0) this.#replaceSession()
  }

  #newSession(): SessionModel {
    const session = new SessionModel(this.#world, this.#retained, this.persona, this.sessions.length + 1)
    this.sessions.push(session)
    return session
  }

  #replaceSession(): void {
    this.session.hasEnded = true
    this.session = this.#newSession()
    this.#publisher.clear()
  }

  #send(bytes: Uint8Array): void {
    this.#keepAlive?.sent()
    this.#peer?.send(bytes)
  }
}
