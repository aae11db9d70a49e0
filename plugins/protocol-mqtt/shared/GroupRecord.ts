/**
 * The row of a shared subscription: when it is written, and what may be done only when it is there.
 *
 * Invariants
 *  - What waits for a row leaves when one is committed that was written after it was told of; where that is lost, with the next.
 *  - After a failure of the journal it is written in one entry with the rows of sessions that were lost with it: neither may say alone
 *    who has a message.
 *  - A row that only saves work after a crash is written a moment later, one for all that happens meanwhile.
 */
import type { TurnTask, WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { GroupMember } from "./GroupMember.ts"
import type { Held } from "./group-contract.ts"
import { encodeGroup, type GroupRow, groupKey, type Token } from "./group-rows.ts"

/** How long after a change the row is written that nobody waits for, ms. */
const LATER_MS = 250

/** A token on another shard that is not needed when the row is there. */
export interface Forgotten {
  readonly token: Token
  readonly shard: number
}

/** The group. */
export interface RecordHost {
  /** What the row is to say; undefined = nothing. */
  encoded(): GroupRow | undefined
  handOver(held: Held): void
  forget(forgotten: Forgotten): void
  committed(): void
  lost(outcome: number): void
}

export class GroupRecord implements TurnTask, WheelTask {
  /** A row that says where the group stands is there. */
  isCommitted: boolean
  readonly #broker: Broker
  readonly #key: Uint8Array
  readonly #host: RecordHost
  #handing: Array<Held> = []
  #forgets: Array<Forgotten> = []
  /** Rises when nothing is kept any more: what was written before says nothing. */
  #generation = 0
  #isInTurn = false
  #isOnWheel = false
  /** The row is to go, and nothing has been said since that it is to be there. */
  #isDropped = false
  /** The group has ended: what is left of its row is its keeper's affair. */
  #isRetired = false

  constructor(broker: Broker, tenant: number, name: string, isCommitted: boolean, host: RecordHost) {
    this.#broker = broker
    this.#key = groupKey(tenant, name)
    this.isCommitted = isCommitted
    this.#host = host
  }

  /** QoS 2 messages that leave when a row is committed that is not written yet. */
  get handing(): ReadonlyArray<Held> {
    return this.#handing
  }

  /** A message leaves for its member when the row is committed that says so. */
  handWithRow(held: Held): void {
    this.#handing.push(held)
    this.changed(true)
  }

  /** Takes back what was to leave for a member and has not. */
  takeBack(member: GroupMember): ReadonlyArray<Held> {
    const back = this.#handing.filter((held) => held.member === member)
    if (back.length > 0) this.#handing = this.#handing.filter((held) => held.member !== member)
    return back
  }

  forgetWithRow(forgotten: Forgotten): void {
    this.#forgets.push(forgotten)
    this.changed(true)
  }

  /** What the row says has changed; somebody waits for it where that is urgent. */
  changed(isUrgent: boolean): void {
    const { turn, wheel, clock } = this.#broker.services
    if (isUrgent && !this.#isInTurn) {
      this.#isInTurn = true
      turn.deferWork(this)
    } else if (!isUrgent && !this.#isOnWheel && !this.#isInTurn) {
      this.#isOnWheel = true
      wheel.set(this, clock.monotonicMs() + LATER_MS)
    }
  }

  /** Writes now what was to be written a moment later. */
  flush(): void {
    if (this.#isOnWheel) this.#write()
  }

  /** Takes the row away. */
  drop(): void {
    this.#generation += 1
    this.isCommitted = false
    this.#handing = []
    const forgets = this.#forgets
    this.#forgets = []
    this.#isOnWheel = false
    this.#isDropped = true
    this.#broker.services.wheel.cancel(this)
    this.#writeDrop(forgets)
  }

  /** The group has ended. */
  retire(): void {
    this.#isRetired = true
  }

  #writeDrop(forgets: ReadonlyArray<Forgotten>): void {
    this.#broker.services.journal.submit({ writes: [{ key: this.#key, value: undefined }] })
    this.#broker.whenCommitted((outcome) => {
      if (outcome >= 0) for (const forgotten of forgets) this.#host.forget(forgotten)
      else if (this.#isDropped && !this.#isRetired) {
        this.#forgets = [...forgets, ...this.#forgets]
        this.#broker.rewriteLater(this)
      }
    })
  }

  timeout(_nowMs: number): number {
    this.#isOnWheel = false
    this.changed(true)
    return 0
  }

  /** The row was lost: it is written again with what else was, sessions' rows above all. */
  rewrite(): void {
    if (this.#isRetired) return
    if (!this.#isDropped) {
      this.changed(true)
      return
    }
    const forgets = this.#forgets
    this.#forgets = []
    this.#writeDrop(forgets)
  }

  endTurn(): void {
    this.#isInTurn = false
    this.#write()
  }

  #write(): void {
    this.#broker.rewriteLost()
    const row = this.#host.encoded()
    if (row === undefined) return
    const { journal } = this.#broker.services
    const handing = this.#handing
    const forgets = this.#forgets
    this.#handing = []
    this.#forgets = []
    this.#isDropped = false
    journal.submit({ writes: [{ key: this.#key, value: encodeGroup(row) }] })
    const generation = this.#generation
    this.#broker.whenCommitted((outcome) => {
      if (outcome >= 0) for (const forgotten of forgets) this.#host.forget(forgotten)
      if (generation !== this.#generation) return
      if (outcome < 0) this.#lost(outcome, handing, forgets)
      else {
        this.isCommitted = true
        for (const held of handing) this.#host.handOver(held)
        this.#host.committed()
      }
    })
  }

  #lost(outcome: number, handing: ReadonlyArray<Held>, forgets: ReadonlyArray<Forgotten>): void {
    this.#handing = [...handing, ...this.#handing]
    this.#forgets = [...forgets, ...this.#forgets]
    this.#broker.rewriteLater(this)
    if (!this.isCommitted) this.#host.lost(outcome)
  }
}
