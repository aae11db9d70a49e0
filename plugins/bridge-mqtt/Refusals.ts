/**
 * Messages that a link had trouble with, as the bridge remembers them from one link to the next: what would only ever be refused again must
 * not hold up all others for ever.
 *
 * Invariants
 *  - What is refused for now is given up only where it is the message that is refused: others were taken between each time and the next.
 *  - What ended a connection is given up when it comes once more, with the very next one.
 */
export type Direction = "in" | "out"

/** How often one message is refused for now before it is given up. */
const REFUSALS_MAX = 5

interface Refused {
  times: number
  /** Others were taken since. */
  isAlone: boolean
}

/** A message of the remote, as far as it can be told from another one. */
interface Blamed {
  readonly identifier: number
  readonly size: number
}

export class Refusals {
  readonly #refused = { in: new Map<number, Refused>(), out: new Map<number, Refused>() }
  /** What ended the connection before this one, and what this one. */
  #blamed: Blamed | undefined
  #blamedNext: Blamed | undefined
  #last: Blamed | undefined
  #isSuspicious = false
  #isWindowOne = false

  /** This broker has ended a connection over a message: the remote is to send one at a time, until it is known which. */
  get isSuspicious(): boolean {
    return this.#isSuspicious
  }

  /** A link begins to pass messages. */
  begins(): void {
    // The one before stood, or ended for something else.
    if (this.#isWindowOne && this.#blamedNext === undefined) this.#isSuspicious = false
    this.#blamed = this.#blamedNext
    this.#blamedNext = this.#last = undefined
    this.#isWindowOne = this.#isSuspicious
  }

  /** A message was refused for now; whether it is given up. */
  refused(direction: Direction, identifier: number): boolean {
    const all = this.#refused[direction]
    const known = all.get(identifier)
    if (known === undefined) {
      all.set(identifier, { times: 1, isAlone: false })
      return false
    }
    if (known.isAlone) known.times += 1
    known.isAlone = false
    return known.times >= REFUSALS_MAX && all.delete(identifier)
  }

  /** A message was taken; identifier 0 = something else was, and proves as much. */
  taken(direction: Direction, identifier: number): void {
    const all = this.#refused[direction]
    if (all.size === 0) return
    all.delete(identifier)
    for (const each of all.values()) each.isAlone = true
  }

  /** Whether messages were refused for now. */
  has(direction: Direction): boolean {
    return this.#refused[direction].size > 0
  }

  /** A session has begun anew: its packet identifiers mean other messages. */
  forget(direction: Direction): void {
    this.#refused[direction].clear()
    if (direction === "in") this.#blamed = this.#blamedNext = undefined
  }

  /** A message of the remote goes to this broker. */
  passes(identifier: number, size: number): void {
    if (this.#isWindowOne) this.#last = { identifier, size }
  }

  /** This broker has answered a message: it is not what it ends the connection over. */
  answered(identifier: number): void {
    if (this.#last?.identifier === identifier) this.#last = undefined
  }

  /** This broker ends the connection over what it was sent. */
  endedHere(): void {
    if (this.#last !== undefined) this.#blamedNext = this.#last
    this.#isSuspicious = true
  }

  /** A message of the remote ends the connection. */
  blame(identifier: number, size: number): void {
    this.#blamedNext = { identifier, size }
  }

  /** Whether a message of the remote has ended the connection before this one; it is given up then. */
  isBlamed(identifier: number, size: number): boolean {
    if (this.#blamed?.identifier !== identifier || this.#blamed.size !== size) return false
    this.#blamed = undefined
    this.#isSuspicious = false
    return true
  }
}
