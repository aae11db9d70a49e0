/** A publisher and a subscriber that behave well and stay: what the others do must not be felt by them. */
import type { Qos, Version } from "../support/mqtt-packets.ts"
import { Client, type Place } from "./Client.ts"
import { Ledger } from "./Ledger.ts"
import type { Recess } from "./Recess.ts"

/** Between two messages, ms. */
const EVERY_MS = 100
/** How often a client that has nothing to say says that it is there, ms, and by when it has to, seconds. */
const PING_MS = 10_000
const KEEP_ALIVE = 120
/** The longest that the last messages may take, ms. */
const LAST_MS = 120_000

/** Pairs differ in version, connection, kind of session and QoS: most have 1. */
interface PairFacts {
  readonly version: Version
  readonly isWeb: boolean
  readonly isKept: boolean
  readonly qos: Qos
}

function factsOf(number: number): PairFacts {
  return {
    version: number % 2 === 0 ? 5 : 4,
    isWeb: number % 3 === 0,
    isKept: number % 4 < 2,
    qos: number % 5 === 0 ? 2 : 1
  }
}

export class Pair {
  readonly #topic: string
  readonly #facts: PairFacts
  readonly #publisher: Client
  readonly #subscriber: Client
  readonly #ledger: Ledger

  private constructor(topic: string, facts: PairFacts, publisher: Client, subscriber: Client, ledger: Ledger) {
    this.#topic = topic
    this.#facts = facts
    this.#publisher = publisher
    this.#subscriber = subscriber
    this.#ledger = ledger
  }

  /** The clients of pair `number`; undefined where they cannot connect, which is a fault. */
  static async open(place: Place, number: number, latencies: Array<number>): Promise<Pair | undefined> {
    const facts = factsOf(number)
    const { version, isWeb, isKept, qos } = facts
    const ledger = new Ledger(`pair ${number}`, place.faults, latencies)
    const own = { version, isWeb, keepAlive: KEEP_ALIVE }
    const kept = version === 5 && isKept ? [["sessionExpiry", 1] as const] : []
    const properties = version === 5 ? [...kept, ["topicAliasMaximum", 4] as const] : []
    const subscriber = await Client.connect(
      place,
      { ...own, clientId: subscriberOf(number), clean: !isKept, properties },
      (client) => {
        client.onMessage = (_topic, payload) => ledger.received(Buffer.from(payload).toString(), performance.now())
      }
    )
    await subscriber?.subscribe([{ filter: `pair/${number}/+`, qos }])
    const publisher = await Client.connect(place, { ...own, clientId: `publisher-${number}` })
    if (subscriber === undefined || publisher === undefined) return undefined
    return new Pair(`pair/${number}/a`, facts, publisher, subscriber, ledger)
  }

  /** Publishes until the soak is over, waits for what is on its way, and leaves. */
  async talk(recess: Recess): Promise<void> {
    const { version, qos } = this.#facts
    for (let pingedMs = performance.now(); !recess.isOver && !this.#hasEnded; await recess.pause(EVERY_MS)) {
      if (this.#publisher.hasRoom) {
        const payload = this.#ledger.send(performance.now())
        this.#publisher.publish({ topic: this.#topic, payload, qos, alias: version === 5 ? 1 : 0 })
      }
      if (performance.now() - pingedMs < PING_MS) continue
      pingedMs = performance.now()
      await this.#subscriber.ping()
    }
    const end = performance.now() + LAST_MS
    const isWaiting = (): boolean => !this.#ledger.isComplete || this.#publisher.unacknowledged > 0
    while (isWaiting() && performance.now() < end && !this.#hasEnded) await Bun.sleep(10)
    this.#ledger.close()
    for (const client of [this.#publisher, this.#subscriber]) if (!client.hasEnded) await client.disconnect()
  }

  get #hasEnded(): boolean {
    return this.#publisher.hasEnded || this.#subscriber.hasEnded
  }
}

/** The client that takes what pair `number` publishes. */
export const subscriberOf = (number: number): string => `subscriber-${number}`
