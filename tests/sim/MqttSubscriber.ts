/** The SUBSCRIBE and UNSUBSCRIBE requests of a simulated MQTT client, and their answers. */
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import type { PacketIdentifiers } from "./PacketIdentifiers.ts"
import { FILTERS, type Persona, type Qos } from "./Scenario.ts"
import type { SessionModel, SimSubscription } from "./SessionModel.ts"
import type { World } from "./World.ts"

/** Requests under way, at most. */
const REQUESTS_MAX = 20

type Request =
  | { readonly kind: "subscribe"; readonly wishes: ReadonlyArray<SimSubscription> }
  | { readonly kind: "unsubscribe"; readonly done: () => void }

export class MqttSubscriber {
  readonly #world: World
  readonly #persona: Persona
  readonly #identifiers: PacketIdentifiers
  readonly #send: (bytes: Uint8Array) => void
  readonly #requests = new Map<number, Request>()

  constructor(world: World, persona: Persona, identifiers: PacketIdentifiers, send: (bytes: Uint8Array) => void) {
    this.#world = world
    this.#persona = persona
    this.#identifiers = identifiers
    this.#send = send
  }

  /** Requests that are not answered. */
  get size(): number {
    return this.#requests.size
  }

  /** The connection is gone: no answer will come. */
  reset(): void {
    for (const identifier of this.#requests.keys()) this.#identifiers.free(identifier)
    this.#requests.clear()
  }

  subscribe(session: SessionModel): void {
    if (this.#requests.size >= REQUESTS_MAX) return
    const world = this.#world
    const { chance } = world
    const { clientId, version } = this.#persona
    const identifier = version === 5 && chance.chance(1, 2) ? 1 + chance.below(200) : 0
    const filters = new Set(Array.from({ length: 1 + chance.below(3) }, () => world.pick(FILTERS)))
    const wishes = [...filters].map((filter) => ({
      filter,
      qos: world.pick<Qos>([0, 1, 2]),
      noLocal: version === 5 && chance.chance(1, 4),
      retainAsPublished: version === 5 && chance.chance(1, 4),
      identifier
    }))
    const id = this.#identifiers.take()
    this.#requests.set(id, { kind: "subscribe", wishes: wishes.map((wish) => session.asked(wish)) })
    world.note(`${clientId} -> SUBSCRIBE ${id} ${wishes.map(({ filter, qos }) => `${filter} q${qos}`).join(", ")}`)
    this.#send(encode.subscribe(version, id, wishes, identifier === 0 ? [] : [["subscriptionIdentifier", identifier]]))
  }

  unsubscribe(session: SessionModel): void {
    if (this.#requests.size >= REQUESTS_MAX) return
    const world = this.#world
    const { filters } = session
    const filter = filters.length === 0 ? "never/subscribed" : world.pick(filters)
    const id = this.#identifiers.take()
    this.#requests.set(id, { kind: "unsubscribe", done: session.leaving(filter) })
    world.note(`${this.#persona.clientId} -> UNSUBSCRIBE ${id} ${filter}`)
    this.#send(encode.unsubscribe(this.#persona.version, id, [filter]))
  }

  answered(session: SessionModel, { type, id, codes }: DecodedOf<"suback" | "unsuback">): void {
    const world = this.#world
    const request = this.#requests.get(id)
    const where = (): string => `${this.#persona.clientId}: ${type} ${id} [${codes.join(" ")}]`
    this.#requests.delete(id)
    this.#identifiers.free(id)
    if (request?.kind === "subscribe" && type === "suback") {
      const { wishes } = request
      const isGranted = codes.length === wishes.length && wishes.every(({ qos }, index) => codes[index] === qos)
      world.check(isGranted, () => `${where()} is not what was asked`)
      for (const wish of wishes) session.granted(wish)
    } else if (request?.kind === "unsubscribe" && type === "unsuback") request.done()
    else world.fail(`${where()} answers nothing`)
  }
}
