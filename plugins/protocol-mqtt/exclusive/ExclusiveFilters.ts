/**
 * Who has which exclusive filter. A filter belongs to the shard that its text hashes to; sessions of any shard ask there.
 *
 * Invariants
 *  - At most one session holds a filter. Another session of the same client takes its place: there is but one at a time.
 *  - What rows of the last run hold is known before anybody else is given it: claims wait until every shard has told of its sessions.
 *  - A filter is free again when the subscription has gone for good: of a session that is kept, when its row has.
 */
import type { ByteReader, Mailbox } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"

const CLAIM = 0
const ANSWER = 1
const RELEASE = 2
/** A shard has told of all that its rows hold. */
const STARTED = 3

/** A session, as the owner of a filter knows it. */
export interface Claimant {
  readonly clientIdentifier: string
  /** Which of all sessions that this client ever had. */
  readonly session: string
}

export class ExclusiveFilters {
  readonly #broker: Broker
  readonly #self: number
  readonly #mailbox: Mailbox
  /** Of filters that this shard owns. */
  readonly #holders = new Map<string, Claimant>()
  /** Shards that have not told yet of what their rows hold. */
  readonly #silent: Set<number>
  /** Claims that wait for these. */
  #early: Array<() => void> = []
  readonly #asks = new Map<number, (isGranted: boolean) => void>()
  #lastAsk = 0

  constructor(broker: Broker) {
    this.#broker = broker
    const { shard } = broker.services
    this.#self = shard.index
    this.#silent = new Set(Array.from({ length: shard.count }, (_, index) => index))
    this.#mailbox = shard.mailbox("protocol-mqtt.exclusive", (from, reader) => this.#receive(from, reader))
  }

  /** Filters of this shard that somebody holds. */
  get heldCount(): number {
    return this.#holders.size
  }

  /** Claims that were not answered yet. */
  get askCount(): number {
    return this.#asks.size
  }

  /** What the rows of this shard's sessions hold has been claimed by {@link ExclusiveFilters.restore}. */
  started(): void {
    this.#tell((target) => {
      const writer = this.#mailbox.begin(target)
      writer.uint8(STARTED)
      this.#mailbox.end(writer)
    })
    this.#heard(this.#self)
  }

  /** A row of the last run holds a filter. */
  restore(tenant: number, filter: string, claimant: Claimant): void {
    const key = keyOf(tenant, filter)
    const owner = this.#ownerOf(tenant, filter)
    if (owner === this.#self) this.#holders.set(key, claimant)
    else this.#send(owner, CLAIM, 0, key, claimant)
  }

  /** Asks for a filter; `done` is told whether the session holds it now, at once where this shard knows. */
  claim(tenant: number, filter: string, claimant: Claimant, done: (isGranted: boolean) => void): void {
    const key = keyOf(tenant, filter)
    const owner = this.#ownerOf(tenant, filter)
    if (owner === this.#self) {
      this.#whenHeard(() => done(this.#take(key, claimant)))
      return
    }
    const ask = ++this.#lastAsk
    this.#asks.set(ask, done)
    this.#send(owner, CLAIM, ask, key, claimant)
  }

  /** Gives a filter back; nothing where the session does not hold it. */
  release(tenant: number, filter: string, claimant: Claimant): void {
    const key = keyOf(tenant, filter)
    const owner = this.#ownerOf(tenant, filter)
    if (owner === this.#self) this.#give(key, claimant)
    else this.#send(owner, RELEASE, 0, key, claimant)
  }

  #ownerOf(tenant: number, filter: string): number {
    return this.#broker.services.shard.ownerOfGroup(tenant, `exclusive/${filter}`)
  }

  #take(key: string, claimant: Claimant): boolean {
    const holder = this.#holders.get(key)
    if (holder !== undefined && holder.clientIdentifier !== claimant.clientIdentifier) return false
    this.#holders.set(key, claimant)
    return true
  }

  #give(key: string, { clientIdentifier, session }: Claimant): void {
    const holder = this.#holders.get(key)
    if (holder?.session === session && holder.clientIdentifier === clientIdentifier) this.#holders.delete(key)
  }

  #whenHeard(task: () => void): void {
    if (this.#silent.size === 0) task()
    else this.#early.push(task)
  }

  #heard(shard: number): void {
    this.#silent.delete(shard)
    if (this.#silent.size > 0) return
    const early = this.#early
    this.#early = []
    for (const task of early) task()
  }

  #send(target: number, kind: number, ask: number, key: string, { clientIdentifier, session }: Claimant): void {
    const writer = this.#mailbox.begin(target)
    writer.uint8(kind)
    writer.uint53(ask)
    writer.text(key)
    writer.text(clientIdentifier)
    writer.text(session)
    this.#mailbox.end(writer)
  }

  #tell(frame: (target: number) => void): void {
    for (let target = 0; target < this.#broker.services.shard.count; target++) if (target !== this.#self) frame(target)
  }

  #receive(from: number, reader: ByteReader): void {
    const kind = reader.uint8()
    if (kind === STARTED) {
      this.#heard(from)
      return
    }
    const ask = reader.uint53()
    if (kind === ANSWER) {
      const done = this.#asks.get(ask)
      this.#asks.delete(ask)
      done?.(reader.uint8() === 1)
      return
    }
    const key = reader.text()
    const claimant = { clientIdentifier: reader.text(), session: reader.text() }
    if (kind === RELEASE) this.#give(key, claimant)
    else if (ask === 0) this.#holders.set(key, claimant)
    else this.#whenHeard(() => this.#answer(from, ask, this.#take(key, claimant)))
  }

  #answer(target: number, ask: number, isGranted: boolean): void {
    const writer = this.#mailbox.begin(target)
    writer.uint8(ANSWER)
    writer.uint53(ask)
    writer.uint8(isGranted ? 1 : 0)
    this.#mailbox.end(writer)
  }
}

function keyOf(tenant: number, filter: string): string {
  return `${tenant}/${filter}`
}
