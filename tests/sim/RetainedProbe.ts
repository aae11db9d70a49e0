/**
 * A client that comes only to look at the retained messages: of every name it must get what its writer last had acknowledged, or
 * something newer, and nothing where nothing can be retained.
 */
import { type DecodedOf, decode, packetLength } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import { Peer, type PeerOwner } from "./Peer.ts"
import type { RetainedModel } from "./RetainedModel.ts"
import { RETAINED_NAMES } from "./Scenario.ts"
import { show, type World } from "./World.ts"

/** What is retained has come by then, ms: it may travel byte by byte. */
const LOOK_MS = 20_000
/** After a SUBACK every shard has been asked by then, ms. */
const ASKED_MS = 200
const FILTERS = ["state/+", "+/s/telemetry", "odd state/#"]

export class RetainedProbe implements PeerOwner {
  readonly #world: World
  readonly #retained: RetainedModel
  readonly #peer: Peer
  /** Nobody writes any more: exactly one value a name. */
  readonly #isFinal: boolean
  #floors: ReadonlyMap<string, number> = new Map()
  readonly #mayBeEmpty = new Set<string>()
  readonly #got = new Map<string, Array<number>>()
  #isDone = false

  constructor(world: World, retained: RetainedModel, name: string, isFinal: boolean) {
    this.#world = world
    this.#retained = retained
    this.#isFinal = isFinal
    world.note(`${name} looks at what is retained`)
    this.#peer = new Peer(world.simulation, world.node.mqttAddress, this)
    this.#peer.send(encode.connect({ version: 5, clientId: name, clean: true }))
  }

  get isDone(): boolean {
    return this.#isDone
  }

  packetLength(bytes: Uint8Array): number | undefined {
    return packetLength(bytes)
  }

  packet(bytes: Uint8Array): void {
    const packet = decode(bytes, 5)
    if (packet.type === "connack") this.#subscribe()
    else if (packet.type === "suback") {
      // What was cleared before all shards were asked is not there either.
      this.#world.after(ASKED_MS, () => this.#noteEmpty())
    } else if (packet.type === "publish") this.#published(packet)
  }

  ended(): void {
    this.#world.check(this.#isDone, () => "the broker ended the connection of a client that looks at what is retained")
  }

  #noteEmpty(): void {
    for (const name of RETAINED_NAMES) if (this.#retained.mayBeEmpty(name)) this.#mayBeEmpty.add(name)
  }

  #subscribe(): void {
    const world = this.#world
    this.#floors = this.#retained.floors("#")
    this.#noteEmpty()
    const filters = FILTERS.map((filter) => ({ filter, qos: 2 as const }))
    this.#peer.send(encode.subscribe(5, 1, filters))
    world.after(LOOK_MS, () => this.#judge())
  }

  #published({ topic, payload, qos, retain, id }: DecodedOf<"publish">): void {
    const world = this.#world
    if (qos === 1) this.#peer.send(encode.ack("puback", id))
    // Nobody counts here: each comes once per connection, and the identifiers are enough for all.
    if (qos === 2) this.#peer.send(encode.ack("pubrec", id, 0x80))
    const got = this.#got.get(topic) ?? []
    this.#got.set(topic, got)
    if (payload.length === 0) {
      world.check(!retain, () => `an empty retained message on ${topic}`)
      got.push(this.#retained.candidates(topic)[0]?.id ?? 0)
      return
    }
    const message = world.messageOf(payload, `a retained message on ${topic}`)
    world.check(message.topic === topic, () => `a message on ${topic} is ${show(message)}`)
    // What a Kafka producer sends to the name's topic is live, and retained nowhere.
    if (message.source === "kafka" && !retain) return
    world.check(message.retain, () => `${topic} has as retained ${show(message)}`)
    const floor = this.#floors.get(topic) ?? 0
    world.check(message.id >= floor, () => `${topic} has as retained ${show(message)}, acknowledged was ${floor}`)
    got.push(message.id)
  }

  #judge(): void {
    const world = this.#world
    this.#isDone = true
    this.#peer.send(encode.disconnect(5))
    this.#peer.finish()
    const isComplete = world.node.metric("manifold_mqtt_dropped_slow_total") === 0 && !world.scenario.isQueueTight
    for (const name of RETAINED_NAMES) {
      const got = this.#got.get(name) ?? []
      world.check(
        got.length > 0 || this.#mayBeEmpty.has(name) || !isComplete,
        () => `nothing is retained on ${name}, acknowledged was ${this.#floors.get(name)}`
      )
      if (!this.#isFinal) continue
      const ids = this.#retained.candidates(name).flatMap(({ message }) => (message === undefined ? [] : [message.id]))
      const isRight = got.length === 0 ? true : got.length === 1 && ids.includes(got[0] ?? 0)
      world.check(isRight, () => `retained on ${name}: got ${got.join(", ")}, it can be ${ids.join(", ")}`)
    }
  }
}
