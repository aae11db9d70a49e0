/**
 * The wills of one client identifier: which of them must be published, once, and which must not.
 *
 * What is certain without a clock that both sides share:
 *  - lost with its connection, or with the broker, and no delay: due;
 *  - delayed, and the session went on before the delay was over by anybody's count: called off;
 *  - delayed, and the broker then ran longer than the delay before the client came back: due;
 *  - its client said DISCONNECT, and the broker lived on for a while: called off.
 * Everything else may be published once or not at all.
 */
import type { Will } from "../support/mqtt-packets.ts"
import { type Ledger, type Message, show } from "./Ledger.ts"

/** The broker's timers are this coarse, ms. */
export const SLACK_MS = 1_500
/** A broker that lived for so long after a DISCONNECT has committed it, ms. */
const COMMITTED_MS = 500

interface Given {
  readonly message: Message
  /** Seconds. */
  readonly delay: number
}

interface Lost extends Given {
  readonly atMs: number
  /** Moment after which a subscription is too young. */
  readonly at: number
  /** Since when the broker that runs knows of the loss, ms; 0 = there is none yet. */
  knownAtMs: number
}

export class WillModel {
  readonly #ledger: Ledger
  readonly #taken: (message: Message, since: number) => void
  #given: Given | undefined
  #isAccepted = false
  #lost: Lost | undefined
  #left: { readonly message: Message; readonly atMs: number } | undefined

  constructor(ledger: Ledger, taken: (message: Message, since: number) => void) {
    this.#ledger = ledger
    this.#taken = taken
  }

  /** The delay of a will whose time has not come, seconds; undefined = there is none. */
  get pendingDelay(): number | undefined {
    return this.#lost?.delay
  }

  /** A connection with a will is about to be asked for. */
  begin(message: Message, delay: number): Will {
    this.#given = { message, delay }
    this.#isAccepted = false
    this.#ledger.sending(message)
    const { topic, payload, qos, retain } = message
    const will = { topic, payload, qos, retain }
    return delay === 0 ? will : { ...will, properties: [["willDelay", delay]] }
  }

  beginWithout(): void {
    this.#given = undefined
    this.#isAccepted = false
  }

  /** The CONNACK came; what became of the will of the connection before is clear now. `sentMs`: when its CONNECT was sent. */
  accepted(sessionPresent: boolean, sentMs: number): void {
    this.#isAccepted = true
    if (this.#left !== undefined) this.#forbid(this.#left.message, "was not due: its client said DISCONNECT")
    this.#left = undefined
    const lost = this.#lost
    this.#lost = undefined
    if (lost === undefined) return
    const delayMs = lost.delay * 1_000
    if (sessionPresent && this.#ledger.nowMs - lost.atMs < delayMs)
      this.#forbid(lost.message, "was not due: its session went on before its delay was over")
    else if (!sessionPresent || (lost.knownAtMs > 0 && sentMs - lost.knownAtMs > delayMs + SLACK_MS)) this.#due(lost)
  }

  /** The connection was cut, or ended with the broker's process. */
  lost(isBrokerAlive: boolean): void {
    const given = this.#given
    this.#given = undefined
    // Never accepted as far as its client knows: an earlier will may have been called off by it, and this one may have been taken.
    if (!this.#isAccepted) {
      this.#lost = undefined
      return
    }
    if (given === undefined) return
    const { nowMs } = this.#ledger
    const lost = { ...given, atMs: nowMs, at: this.#ledger.moment(), knownAtMs: isBrokerAlive ? nowMs : 0 }
    if (given.delay === 0) this.#due(lost)
    else this.#lost = lost
  }

  /** The client said DISCONNECT, and the broker has closed the connection for it. */
  left(): void {
    if (this.#given !== undefined && this.#isAccepted) {
      this.#left = { message: this.#given.message, atMs: this.#ledger.nowMs }
    }
    this.#given = undefined
  }

  /** The broker's process is about to be killed. */
  killing(): void {
    if (this.#left !== undefined && this.#ledger.nowMs - this.#left.atMs > COMMITTED_MS)
      this.#forbid(this.#left.message, "was not due: its client said DISCONNECT")
    this.#left = undefined
    // It may count the delay anew.
    if (this.#lost !== undefined) this.#lost.knownAtMs = 0
  }

  /** A broker is ready. */
  restarted(): void {
    if (this.#lost !== undefined) this.#lost.knownAtMs = this.#ledger.nowMs
  }

  /** Somebody waits for wills: what the running broker has had time to publish is due from now on. */
  settle(): void {
    const lost = this.#lost
    if (lost === undefined || lost.knownAtMs === 0) return
    if (this.#ledger.nowMs - lost.knownAtMs <= lost.delay * 1_000 + SLACK_MS) return
    this.#lost = undefined
    this.#due(lost)
  }

  #due({ message, at }: Lost): void {
    this.#ledger.note(`will of ${show(message)} is due`)
    message.acknowledgedAt = this.#ledger.moment()
    this.#taken(message, at)
  }

  #forbid(message: Message, why: string): void {
    this.#ledger.note(`will of ${show(message)} ${why}`)
    this.#ledger.counts.willsForbidden += 1
    message.forbidden = why
  }
}
