/** A client that comes and goes as its lives say, until it is told that the soak is over. */
import { type ClientFacts, Client, type Place } from "./Client.ts"
import type { Life, LifeDrawer, Step } from "./life.ts"
import type { Recess } from "./Recess.ts"

export interface Tally {
  connects: number
  published: number
  received: number
}

export class Wanderer {
  readonly #clientId: string
  readonly #place: Place
  readonly #lives: LifeDrawer
  readonly #recess: Recess
  readonly #tally: Tally
  /** A connection that the next one takes the place of. */
  #before: Client | undefined
  #filters: Array<string> = []

  constructor(clientId: string, place: Place, lives: LifeDrawer, recess: Recess, tally: Tally) {
    this.#clientId = clientId
    this.#place = place
    this.#lives = lives
    this.#recess = recess
    this.#tally = tally
  }

  /** Comes `afterMs` from now; settled when the soak is over and it has gone. */
  async wander(afterMs: number): Promise<void> {
    await this.#recess.pause(afterMs)
    while (!this.#recess.isOver) {
      const life = this.#lives.next()
      await this.#live(life)
      if (this.#before === undefined) await this.#recess.pause(life.awayMs)
    }
    this.#before?.cut("end")
    this.#before = undefined
  }

  async #live(life: Life): Promise<void> {
    const { version, isWeb, clean, keepAlive, properties, ending } = life
    const will = life.will === undefined ? {} : { will: life.will }
    const facts: ClientFacts = {
      ...{ clientId: this.#clientId, version, isWeb, clean, keepAlive, properties },
      ...will
    }
    const before = this.#before
    this.#before = undefined
    if (before !== undefined) before.isLeaving = true
    const client = await Client.connect(this.#place, facts, (made) => {
      made.isMute = life.isMute || ending.kind === "silence"
      // The broker ends it, which may be sooner than all is done here.
      made.isLeaving = ending.kind === "silence"
      made.onMessage = () => {
        this.#tally.received += 1
      }
    })
    if (before !== undefined) {
      if (client === undefined) before.cut("end")
      else await before.over("another connection of the client")
    }
    if (client === undefined) return
    this.#tally.connects += 1
    for (const step of life.steps) {
      await this.#recess.pause(step.afterMs)
      if (client.hasEnded || !(await this.#step(client, step))) break
    }
    await this.#leave(client, life)
  }

  /** False where the connection has ended. */
  async #step(client: Client, step: Step): Promise<boolean> {
    switch (step.kind) {
      case "subscribe":
        this.#filters.push(...step.filters.map(({ filter }) => filter))
        return await client.subscribe(step.filters, step.properties)
      case "unsubscribe": {
        const filter = this.#filters.splice(step.place % Math.max(1, this.#filters.length), 1)[0]
        return filter === undefined || (await client.unsubscribe([filter]))
      }
      case "publish":
        for (let left = step.count; left > 0 && client.hasRoom; left--) {
          client.publish(step.message)
          this.#tally.published += 1
        }
        return true
      case "ping":
        return await client.ping()
    }
  }

  async #leave(client: Client, { ending, clean }: Life): Promise<void> {
    if (clean) this.#filters = []
    switch (ending.kind) {
      case "disconnect":
        await client.disconnect(ending.reason, ending.properties)
        return
      case "take-over":
        this.#before = client
        return
      case "silence":
        await client.over("the end of its keep alive")
        client.cut("end")
        return
      default:
        client.cut(ending.kind)
        await client.over(`its own end (${ending.kind})`)
    }
  }
}
