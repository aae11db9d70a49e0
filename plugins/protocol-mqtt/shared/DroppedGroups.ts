/** Groups that have ended and whose rows are there still: what the store says of them is not so. */
import type { Broker } from "../Broker.ts"
import { groupKey } from "./group-rows.ts"

interface Dropped {
  readonly tenant: number
  readonly name: string
  /** The end of the row was lost. */
  isLost: boolean
}

export class DroppedGroups {
  readonly #broker: Broker
  readonly #dropped = new Map<string, Dropped>()

  constructor(broker: Broker) {
    this.#broker = broker
  }

  has(key: string): boolean {
    return this.#dropped.has(key)
  }

  /** The end of a group's row has been submitted. */
  add(key: string, tenant: number, name: string): void {
    const dropped = { tenant, name, isLost: false }
    this.#dropped.set(key, dropped)
    this.#broker.whenCommitted((outcome) => {
      if (outcome < 0) dropped.isLost = true
      else if (this.#dropped.get(key) === dropped) this.#dropped.delete(key)
    })
  }

  /** Takes rows away whose end was lost; where `isThere` says that there is such a group again it has written over it, or will. */
  retry(isThere: (key: string) => boolean): void {
    const { journal } = this.#broker.services
    if (journal.refusal !== 0) return
    for (const [key, { tenant, name, isLost }] of this.#dropped) {
      if (!isLost || isThere(key)) continue
      journal.submit({ writes: [{ key: groupKey(tenant, name), value: undefined }] })
      this.add(key, tenant, name)
    }
  }
}
