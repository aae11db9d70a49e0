/**
 * Runs one sequence against several brokers in step, and gives what is different between the first and each of the others.
 *
 * After each step everything settles: all connections answer PINGREQs until nothing more comes. What comes late all the same would look
 * like a difference, so a run that has one is done again with longer waits, and only what is there again counts.
 */
import type { Address } from "../support/broker.ts"
import { encode } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"
import { Client } from "./Client.ts"
import { Comparison, type Difference } from "./compare.ts"
import { CLIENTS, type Sequence, type Step, TOPICS } from "./plan.ts"
import { Scene, type Sending } from "./Scene.ts"

interface Patience {
  /** Between two rounds of PINGREQs, ms. */
  readonly pauseMs: number
  /** Rounds of PINGREQs in which nothing else comes, until all is quiet. */
  readonly quietRounds: number
}
/** More of it each time, where a difference is to be confirmed. */
const PATIENCE: ReadonlyArray<Patience> = [
  { pauseMs: 1, quietRounds: 1 },
  { pauseMs: 20, quietRounds: 2 },
  { pauseMs: 100, quietRounds: 2 }
]

export interface Compared {
  readonly name: string
  readonly address: Address
}
/** A sequence's differences from the reference, told by broker. */
export interface Outcome {
  readonly differences: ReadonlyArray<Difference>
  readonly steps: number
  readonly messages: number
}

/** Compares `subjects` with `reference`. */
export async function runSequence(
  reference: Compared,
  subjects: ReadonlyArray<Compared>,
  sequence: Sequence
): Promise<Outcome> {
  let outcome: Outcome | undefined
  for (const patience of PATIENCE) {
    outcome = await runOnce(reference, subjects, sequence, patience)
    if (outcome.differences.every(({ explanation }) => explanation !== undefined)) break
  }
  if (outcome === undefined) throw new Error("nothing was run")
  return outcome
}

async function runOnce(
  reference: Compared,
  subjects: ReadonlyArray<Compared>,
  sequence: Sequence,
  patience: Patience
): Promise<Outcome> {
  const level = uniqueLevel("d")
  const scene = new Scene(sequence, level)
  const worlds = [reference, ...subjects].map((broker) => new World(broker, scene, level))
  const comparison = new Comparison(
    subjects.map(({ name }) => name),
    scene
  )
  let steps = 0
  try {
    for (const planned of [...sequence.steps, ...closing(sequence)]) {
      const step = scene.doable(planned)
      comparison.before()
      const sendings = scene.sendings(step)
      if (sendings === undefined) continue
      steps += 1
      await Promise.all(worlds.map((world) => world.step(step.client, sendings, patience)))
      comparison.after(
        steps,
        step,
        worlds.map((world) => world.taken())
      )
      if (comparison.isOver) break
    }
  } finally {
    for (const world of worlds) world.destroy()
  }
  await Promise.all(worlds.map((world) => world.clean()))
  return { differences: comparison.differences, steps, messages: comparison.messages }
}

/** Every client comes back to its session and takes all that waits. */
function closing(sequence: Sequence): ReadonlyArray<Step> {
  return sequence.versions.flatMap((_, client): ReadonlyArray<Step> => {
    return [
      { kind: "acknowledge", client, what: "all" },
      { kind: "connect", client, clean: false, expiry: 3_600 },
      { kind: "finish", client }
    ]
  })
}

/** The clients of a run against one broker. */
class World {
  readonly #broker: Compared
  readonly #scene: Scene
  readonly #clients: ReadonlyArray<Client>

  constructor(broker: Compared, scene: Scene, level: string) {
    this.#broker = broker
    this.#scene = scene
    this.#clients = scene.roles.map(({ version }) => {
      return new Client(broker.address, version, (topic) => topic.includes(level))
    })
  }

  #client(index: number): Client {
    const client = this.#clients[index]
    if (client === undefined) throw new Error(`no client ${index}`)
    return client
  }

  async step(index: number, sendings: ReadonlyArray<Sending>, patience: Patience): Promise<void> {
    const client = this.#client(index)
    for (const sending of sendings) await this.#send(client, sending)
    await this.#settle(patience)
  }

  async #send(client: Client, sending: Sending): Promise<void> {
    switch (sending.what) {
      case "connect":
        await client.connect(sending.packet)
        return
      case "end":
        return await client.end(sending.packet)
      case "acknowledge":
        return client.acknowledge(sending.acknowledging)
      case "packets": {
        client.send(...sending.packets)
        for (const { type, id, release } of sending.answers) {
          const answer = await client.answer(type, id)
          if (release !== true || answer === undefined || ("code" in answer && answer.code >= 0x80)) continue
          client.send(encode.ack("pubrel", id))
          await client.answer("pubcomp", id)
        }
      }
    }
  }

  async #settle({ pauseMs, quietRounds }: Patience): Promise<void> {
    let quiet = 0
    let before = -1
    for (let round = 0; quiet < quietRounds && round < 200; round++) {
      await Promise.all(this.#clients.map((client) => client.ping()))
      const now = this.#clients.reduce((sum, { count }) => sum + count, 0)
      quiet = now === before ? quiet + 1 : 0
      before = now
      if (quiet < quietRounds) await sleep(pauseMs)
    }
  }

  /** What each client has seen since the last time. */
  taken(): ReadonlyArray<Client["seen"]> {
    return this.#clients.map((client) => {
      const { seen } = client
      client.seen = []
      return seen
    })
  }

  destroy(): void {
    for (const client of this.#clients) client.destroy()
  }

  /** Leaves neither a session nor a retained message. */
  async clean(): Promise<void> {
    for (let index = 0; index < CLIENTS; index++) {
      const { identifier } = this.#scene.role(index)
      const client = await RawMqtt.connect(this.#broker.address, { clientId: identifier, clean: true })
      if (index === CLIENTS - 1) {
        TOPICS.forEach((topic, each) => {
          client.publish({ topic: this.#scene.name(topic), retain: true, qos: 1, id: each + 1 })
        })
        for (const _ of TOPICS) await client.expect("puback")
      }
      await client.disconnect()
    }
  }
}
