/** One connection of a wandering client, drawn from chance alone: what it brings on, what it does, and how it goes. */
import type { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Filter, Properties, Qos, Version, Will } from "../support/mqtt-packets.ts"

/** The longest that a session outlives its connection, seconds: of 3.1.1, which cannot say, by the broker's settings. */
export const EXPIRY_MAX = 3
/** Names of messages in one room, beside that of its wills. */
const NAMES = 4
const WILL = "w"
const ALIASES_MAX = 8

/** What a connection does, and how long after what came before, ms. */
export type Step = { readonly afterMs: number } & (
  | { readonly kind: "subscribe"; readonly filters: ReadonlyArray<Filter>; readonly properties: Properties }
  | { readonly kind: "unsubscribe"; readonly place: number }
  | { readonly kind: "publish"; readonly message: Said; readonly count: number }
  | { readonly kind: "ping" }
)

interface Said {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
  readonly retain: boolean
  readonly alias: number
  readonly properties: Properties
}

export type Ending =
  | { readonly kind: "disconnect"; readonly reason: number | undefined; readonly properties: Properties }
  /** It ends its TCP connection, or that breaks. */
  | { readonly kind: "end" | "reset" }
  /** It says nothing more, and the broker is to end it. */
  | { readonly kind: "silence" }
  /** Its next connection comes while this one is there. */
  | { readonly kind: "take-over" }

export interface Life {
  readonly version: Version
  readonly isWeb: boolean
  readonly clean: boolean
  readonly keepAlive: number
  readonly properties: Properties
  readonly will: Will | undefined
  /** It acknowledges nothing. */
  readonly isMute: boolean
  readonly steps: ReadonlyArray<Step>
  readonly ending: Ending
  /** Until its next connection, ms. */
  readonly awayMs: number
}

/** Where wandering clients meet. */
export interface Rooms {
  readonly count: number
  /** Between two steps of a client, on average, ms. */
  readonly pauseMs: number
}

/** Every name that may have a retained message. */
export function namesOf({ count }: Rooms): ReadonlyArray<string> {
  const names = [...Array.from({ length: NAMES }, (_, index) => String(index)), WILL]
  return Array.from({ length: count }, (_, room) => names.map((name) => `soak/r${room}/${name}`)).flat()
}

/** Draws what a client does next, who is in `room` most of the time. */
export class LifeDrawer {
  readonly #random: Xoshiro128
  readonly #rooms: Rooms
  readonly #home: number

  constructor(random: Xoshiro128, rooms: Rooms, home: number) {
    this.#random = random
    this.#rooms = rooms
    this.#home = home
  }

  next(): Life {
    const version = this.#pick<Version>([4, 5, 5])
    const clean = this.#chance(0.5)
    const expiry = version === 5 && this.#chance(0.6) ? this.#from(1, EXPIRY_MAX) : 0
    const ending = this.#ending(version, expiry)
    const isSilent = ending.kind === "silence"
    const properties: Properties = [
      ...(expiry > 0 ? ([["sessionExpiry", expiry]] as const) : []),
      ...(this.#chance(0.5) ? ([["topicAliasMaximum", this.#from(1, ALIASES_MAX)]] as const) : []),
      ...(this.#chance(0.3) ? ([["receiveMaximum", this.#from(1, 20)]] as const) : [])
    ]
    return {
      version,
      isWeb: this.#chance(0.25),
      clean,
      keepAlive: isSilent ? this.#from(1, 2) : 120,
      properties: version === 5 ? properties : [],
      will: this.#chance(0.4) ? this.#will(version) : undefined,
      isMute: this.#chance(0.1),
      steps: Array.from({ length: isSilent ? 2 : this.#from(2, 8) }, (_, index) =>
        this.#step(version, index, isSilent ? 0 : 2 * this.#rooms.pauseMs)
      ),
      ending,
      awayMs: this.#share() * 2.5 * EXPIRY_MAX * 1_000
    }
  }

  #ending(version: Version, expiry: number): Ending {
    const kind = this.#pick(["disconnect", "disconnect", "end", "reset", "silence", "take-over"] as const)
    if (kind !== "disconnect") return { kind }
    const withWill = version === 5 && this.#chance(0.3)
    const changes = expiry > 0 && this.#chance(0.4)
    const properties: Properties = changes ? [["sessionExpiry", this.#below(EXPIRY_MAX)]] : []
    return { kind, reason: withWill ? 4 : changes ? 0 : undefined, properties }
  }

  #will(version: Version): Will {
    const delay: Properties = this.#chance(0.6) ? [["willDelay", this.#from(1, EXPIRY_MAX)]] : []
    return {
      topic: `soak/r${this.#room()}/${WILL}`,
      payload: this.#payload(),
      qos: this.#qos(),
      retain: this.#chance(0.3),
      properties: version === 5 ? delay : []
    }
  }

  #step(version: Version, index: number, withinMs: number): Step {
    const afterMs = this.#share() * withinMs
    const kind = index === 0 ? "subscribe" : this.#pick(["publish", "publish", "publish", "subscribe", "rest"] as const)
    if (kind === "subscribe") {
      const filters = Array.from({ length: this.#from(1, 3) }, () => this.#filter())
      const identifier = version === 5 && this.#chance(0.3) ? this.#from(1, 1_000) : 0
      return { kind, afterMs, filters, properties: identifier > 0 ? [["subscriptionIdentifier", identifier]] : [] }
    }
    if (kind === "publish") return { kind, afterMs, message: this.#message(version), count: this.#from(1, 3) }
    return this.#chance(0.3) ? { kind: "ping", afterMs } : { kind: "unsubscribe", afterMs, place: this.#below(8) }
  }

  #message(version: Version): Said {
    return {
      topic: `soak/r${this.#room()}/${this.#below(NAMES)}`,
      payload: this.#payload(),
      qos: this.#qos(),
      retain: this.#chance(0.1),
      alias: version === 5 && this.#chance(0.3) ? this.#from(1, ALIASES_MAX) : 0,
      properties: version === 5 && this.#chance(0.2) ? [["messageExpiry", this.#from(1, 2 * EXPIRY_MAX)]] : []
    }
  }

  #filter(): Filter {
    const room = `soak/r${this.#room()}`
    const plain = this.#pick([`${room}/+`, `${room}/#`, `${room}/${this.#below(NAMES)}`, `${room}/${WILL}`])
    const filter = this.#chance(0.2) ? `$share/g${this.#below(2)}/${plain}` : plain
    return { filter, qos: this.#qos() }
  }

  /** Mostly its own. */
  #room(): number {
    return this.#chance(0.9) ? this.#home : this.#below(this.#rooms.count)
  }

  #payload(): Uint8Array {
    return new Uint8Array(this.#chance(0.005) ? 20_000 : this.#from(1, 200)).fill(120)
  }

  #qos(): Qos {
    return this.#pick<Qos>([0, 1, 1, 2])
  }

  #from(least: number, most: number): number {
    return least + this.#below(most - least + 1)
  }

  #below(count: number): number {
    return this.#random.below(count)
  }

  /** From 0 on and below 1. */
  #share(): number {
    return this.#random.uint32() / 2 ** 32
  }

  #chance(share: number): boolean {
    return this.#share() < share
  }

  #pick<Item>(items: ReadonlyArray<Item>): Item {
    return items[this.#below(items.length)] as Item
  }
}
