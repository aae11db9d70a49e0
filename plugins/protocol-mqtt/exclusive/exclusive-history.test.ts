/** Any history of claims, leaving, coming back and crashes on two shards: no two clients have a filter, and it is free when all have gone. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { type Fault, replaced, testPlanted } from "../planted.ts"
import { TestNode } from "../testing.ts"
import { ExclusiveFilters } from "./ExclusiveFilters.ts"
import { HeldFilters } from "./HeldFilters.ts"

const FILTERS = ["x/+", "y"]
const CLIENTS = 4
/** The last two are kept. */
const isKept = (who: number): boolean => who >= CLIENTS / 2

const who = fc.nat({ max: CLIENTS - 1 })
const filter = fc.constantFrom(...FILTERS)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("claim" as const), who, filter }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("give" as const, "plain" as const), who, filter }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("connect" as const, "anew" as const, "cut" as const), who })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("automatic" as const), isAutomatic: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("expire" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turns" as const), count: fc.integer({ min: 1, max: 6 }) }) }
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A client with what it has been told: which filters it has asked for and was granted, and has done nothing since to lose. */
class Claimant {
  readonly client: TestClient
  readonly #isKept: boolean
  readonly #asked: Array<string> = []
  readonly has = new Set<string>()
  #seen = 0

  constructor(node: TestNode, index: number) {
    this.client = new TestClient(node, `c${index}`, 5)
    this.#isKept = isKept(index)
  }

  connect(clean: boolean): void {
    if (clean || !this.#isKept) this.has.clear()
    this.client.connect({ clean, properties: this.#isKept ? [["sessionExpiry", 2]] : [] })
    this.#asked.length = 0
    this.#seen = 0
  }

  cut(): void {
    this.read()
    if (!this.#isKept) this.has.clear()
    this.client.cut()
  }

  claim(filter: string): void {
    if (!this.client.isConnected) return
    this.client.send(encode.subscribe(5, this.#asked.length + 1, [{ filter: `$exclusive/${filter}`, qos: 1 }]))
    this.#asked.push(filter)
  }

  give(filter: string, isPlain: boolean): void {
    if (!this.client.isConnected) return
    this.read()
    // What was asked for before is answered before; then it has it no more.
    this.has.delete(filter)
    const id = this.#asked.length + 1
    this.client.send(isPlain ? encode.subscribe(5, id, [{ filter, qos: 1 }]) : encode.unsubscribe(5, id, [filter]))
    this.#asked.push("")
    for (const [index, asked] of this.#asked.entries()) if (asked === filter) this.#asked[index] = ""
  }

  /** Looks at what has come. */
  read(): void {
    const { received } = this.client.wire ?? { received: [] }
    for (; this.#seen < received.length; this.#seen++) {
      const packet = received[this.#seen]
      if (packet?.type !== "suback") continue
      const filter = this.#asked[packet.id - 1] ?? ""
      if (filter !== "" && (packet.codes[0] ?? 0x80) < 0x80) this.has.add(filter)
    }
    this.client.answer()
  }
}

async function play(steps: ReadonlyArray<Step>): Promise<void> {
  const node = new TestNode()
  await node.start()
  const all = Array.from({ length: CLIENTS }, (_, index) => new Claimant(node, index))
  const look = (): void => {
    for (const each of all) each.read()
    for (const name of FILTERS) {
      const holders = all.filter(({ has }) => has.has(name)).map(({ client }) => client.id)
      assert.ok(holders.length <= 1, `${name} has ${holders}`)
    }
  }
  const connectAll = (): void => {
    for (const [index, each] of all.entries()) each.connect(!isKept(index))
  }
  connectAll()
  for (const step of steps) {
    const each = "who" in step ? all[step.who] : undefined
    if (step.kind === "claim") each?.claim(step.filter)
    else if (step.kind === "give") each?.give(step.filter, false)
    else if (step.kind === "plain") each?.give(step.filter, true)
    else if (step.kind === "connect") each?.connect(!isKept(step.who))
    else if (step.kind === "anew") each?.connect(true)
    else if (step.kind === "cut") each?.cut()
    else if (step.kind === "automatic") node.automatic = step.isAutomatic
    else if (step.kind === "turns") {
      const { simulation } = node.run
      for (let left = step.count; left > 0; left--) await simulation.stepAsync(simulation.clock.monotonicMs())
    } else if (step.kind === "settle") await node.settle()
    else if (step.kind === "crash") {
      for (const other of all) other.cut()
      node.crash()
      await node.start()
      connectAll()
    } else {
      for (const [index, other] of all.entries()) if (isKept(index)) other.cut()
      node.automatic = true
      await node.advance(4_000)
      for (const [index, other] of all.entries()) if (isKept(index)) other.has.clear()
    }
    look()
  }
  for (const each of all) each.cut()
  node.automatic = true
  await node.advance(4_000)
  const last = new Claimant(node, CLIENTS)
  last.connect(true)
  await node.settle()
  for (const name of FILTERS) last.claim(name)
  await node.settle()
  last.read()
  assert.deepEqual([...last.has], FILTERS)
  last.cut()
  await node.advance(4_000)
  for (const { broker } of node.shards) {
    assert.deepEqual([broker.exclusive.heldCount, broker.exclusive.askCount], [0, 0])
  }
}

const whatever = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: "max" }), play)

// RUNS=n and SEED=n try other histories; the same ones hold a change back or let it through.
const RUNS = Number(process.env["RUNS"] ?? 80)
const seed = Number(process.env["SEED"] ?? 4)

test("no two clients have a filter, and it is free when all have gone", async () => {
  await fc.assert(whatever, { numRuns: RUNS, seed })
})

const FAULTS: ReadonlyArray<Fault> = [
  [
    "whoever asks gets it",
    () => replaced(ExclusiveFilters.prototype, "claim", (_tenant, _filter, _who, done) => done(true))
  ],
  ["nothing is given back", () => replaced(ExclusiveFilters.prototype, "release", () => {})],
  ["what rows hold is forgotten", () => replaced(ExclusiveFilters.prototype, "restore", () => {})],
  ["what came too late is kept", () => replaced(HeldFilters.prototype, "drop", () => {})]
]
testPlanted(FAULTS, whatever, { numRuns: 400, seed })
