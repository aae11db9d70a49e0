/** SUBSCRIBE and UNSUBSCRIBE of a client, and their answers. What was not answered when the broker died may be there or not. */

import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode, type Properties } from "../support/mqtt-packets.ts"
import type { Ledger } from "./Ledger.ts"
import type { PacketIdentifiers } from "./PacketIdentifiers.ts"
import type { SessionModel, Wish } from "./SessionModel.ts"

interface Request {
  readonly type: "suback" | "unsuback"
  readonly what: string
  readonly qos: number
  readonly done: () => void
}

export class Subscriber {
  readonly #ledger: Ledger
  readonly #version: 4 | 5
  readonly #identifiers: PacketIdentifiers
  readonly #send: (bytes: Uint8Array) => void
  readonly #requests = new Map<number, Request>()

  constructor(ledger: Ledger, version: 4 | 5, identifiers: PacketIdentifiers, send: (bytes: Uint8Array) => void) {
    this.#ledger = ledger
    this.#version = version
    this.#identifiers = identifiers
    this.#send = send
  }

  /** Requests under way. */
  get size(): number {
    return this.#requests.size
  }

  /** The connection is gone: nobody answers any more. */
  reset(): void {
    for (const identifier of this.#requests.keys()) this.#identifiers.free(identifier)
    this.#requests.clear()
  }

  subscribe(session: SessionModel, wish: Wish): void {
    const { filter, qos, noLocal, retainAsPublished, identifier } = wish
    const id = this.#identifiers.take()
    const subscription = session.asked(wish)
    const what = `${session.name} SUBSCRIBE ${id} "${filter}" q${qos} identifier ${identifier}`
    this.#ledger.note(what)
    this.#requests.set(id, { type: "suback", what, qos, done: () => session.granted(subscription) })
    const entry = this.#version === 5 ? { filter, qos, noLocal, retainAsPublished } : { filter, qos }
    const properties: Properties = this.#version === 5 && identifier > 0 ? [["subscriptionIdentifier", identifier]] : []
    this.#send(encode.subscribe(this.#version, id, [entry], properties))
  }

  unsubscribe(session: SessionModel, filter: string): void {
    const id = this.#identifiers.take()
    const what = `${session.name} UNSUBSCRIBE ${id} "${filter}"`
    this.#ledger.note(what)
    this.#requests.set(id, { type: "unsuback", what, qos: 0, done: session.leaving(filter) })
    this.#send(encode.unsubscribe(this.#version, id, [filter]))
  }

  answered({ type, id, codes }: DecodedOf<"suback" | "unsuback">): void {
    const request = this.#requests.get(id)
    const code = codes[0] ?? 0
    if (request?.type !== type) {
      this.#ledger.fail(`${type} ${id} answers ${request?.what ?? "nothing"}`)
      return
    }
    this.#ledger.note(`${request.what}: ${type} ${code}`)
    const isFine = code === request.qos || (type === "unsuback" && code === 0x11)
    this.#ledger.check(isFine, () => `${request.what}: ${type} with 0x${code.toString(16)}`)
    this.#ledger.counts.resubscribed += 1
    this.#requests.delete(id)
    this.#identifiers.free(id)
    request.done()
  }
}
