/**
 * Packet identifiers in use towards one client, and the messages behind them: QoS 1 until PUBACK, QoS 2 until PUBCOMP.
 *
 * Source: MQTT 5.0 sections 2.2.1, 4.3, 4.4, 4.9.
 * Invariants
 *  - At most `limit` identifiers are in use (the client's Receive Maximum, or our bound).
 *  - What is kept with an identifier is its session's affair: nothing for one that ends with its connection.
 *  - Resending goes in the order of first sending [MQTT-4.6.0-1].
 *
 * Identifiers live in a ring addressed by their low bits, twice as large as what is in use, so that taking and freeing one is a
 * few array accesses.
 */
const FREE = 0
/** QoS 1: PUBACK is due. */
export const AWAITS_PUBACK = 1
/** QoS 2: PUBREC is due. */
export const AWAITS_PUBREC = 2
/** QoS 2: PUBREL was sent, PUBCOMP is due. */
export const AWAITS_PUBCOMP = 3

const CAPACITY_MIN = 16
const IDENTIFIER_MAX = 65_535

/** `Sent` is what has to be known to send a message again. */
export class OutboundWindow<Sent extends object = object> {
  limit: number
  count = 0
  #states = new Uint8Array(CAPACITY_MIN)
  #identifiers = new Uint16Array(CAPACITY_MIN)
  #order = new Float64Array(CAPACITY_MIN)
  #sent: Array<Sent | undefined> | undefined
  #next = 1
  #sequence = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get isFull(): boolean {
    return this.count >= this.limit
  }

  /** Takes an identifier for a message of QoS 1 or 2; `sent` where it may have to be resent. There must be room. */
  take(qos: number, sent: Sent | undefined): number {
    if ((this.count + 1) * 2 > this.#states.length) this.#grow()
    const mask = this.#states.length - 1
    let identifier = this.#next
    while (this.#states[identifier & mask] !== FREE) identifier = identifier === IDENTIFIER_MAX ? 1 : identifier + 1
    this.#next = identifier === IDENTIFIER_MAX ? 1 : identifier + 1
    const place = identifier & mask
    this.#states[place] = qos === 1 ? AWAITS_PUBACK : AWAITS_PUBREC
    this.#identifiers[place] = identifier
    this.#order[place] = ++this.#sequence
    if (sent !== undefined) {
      this.#sent ??= []
      this.#sent[place] = sent
    }
    this.count += 1
    return identifier
  }

  /** Takes an identifier that was in use before; those of one session are restored in the order of first sending. */
  restore(identifier: number, state: number, sent: Sent): void {
    while ((this.count + 1) * 2 > this.#states.length) this.#grow()
    while (this.#states[identifier & (this.#states.length - 1)] !== FREE) this.#grow()
    const place = identifier & (this.#states.length - 1)
    this.#states[place] = state
    this.#identifiers[place] = identifier
    this.#order[place] = ++this.#sequence
    this.#sent ??= []
    this.#sent[place] = sent
    this.count += 1
    this.#next = identifier === IDENTIFIER_MAX ? 1 : identifier + 1
  }

  /** What an identifier waits for; 0 where it is not in use. */
  stateOf(identifier: number): number {
    const place = identifier & (this.#states.length - 1)
    return this.#identifiers[place] === identifier ? (this.#states[place] ?? FREE) : FREE
  }

  /** The message behind an identifier in use that still waits to be acknowledged; undefined where there is none. */
  sentAs(identifier: number): Sent | undefined {
    return this.stateOf(identifier) === FREE ? undefined : this.#sent?.[identifier & (this.#states.length - 1)]
  }

  /** QoS 2: PUBREC came; the identifier stays in use, and what is kept with it. */
  released(identifier: number): void {
    this.#states[identifier & (this.#states.length - 1)] = AWAITS_PUBCOMP
  }

  /** The identifier can be used again; its message, where one was kept, is given back. */
  free(identifier: number): Sent | undefined {
    const place = identifier & (this.#states.length - 1)
    this.#states[place] = FREE
    this.count -= 1
    return this.#forget(place)
  }

  #forget(place: number): Sent | undefined {
    if (this.#sent === undefined) return undefined
    const sent = this.#sent[place]
    this.#sent[place] = undefined
    return sent
  }

  /** Visits what is in use, in the order of first sending. */
  forEach(visit: (identifier: number, state: number, sent: Sent | undefined) => void): void {
    const places: Array<number> = []
    for (let place = 0; place < this.#states.length; place++) if (this.#states[place] !== FREE) places.push(place)
    places.sort((left, right) => (this.#order[left] ?? 0) - (this.#order[right] ?? 0))
    for (const place of places) {
      visit(this.#identifiers[place] ?? 0, this.#states[place] ?? FREE, this.#sent?.[place])
    }
  }

  #grow(): void {
    const states = this.#states
    const identifiers = this.#identifiers
    const order = this.#order
    const sent = this.#sent
    // Identifiers that differ in the old ring differ in the larger one too.
    const capacity = states.length * 2
    this.#states = new Uint8Array(capacity)
    this.#identifiers = new Uint16Array(capacity)
    this.#order = new Float64Array(capacity)
    this.#sent = sent === undefined ? undefined : []
    for (let place = 0; place < states.length; place++) {
      if (states[place] === FREE) continue
      const to = (identifiers[place] ?? 0) & (capacity - 1)
      this.#states[to] = states[place] ?? FREE
      this.#identifiers[to] = identifiers[place] ?? 0
      this.#order[to] = order[place] ?? 0
      if (this.#sent !== undefined) this.#sent[to] = sent?.[place]
    }
  }
}
