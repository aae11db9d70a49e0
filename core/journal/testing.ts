/**
 * A model of what a journal promises, and crashes of it: a random workload on a simulated disk, a crash before any of its operations,
 * and a look at what the next start finds.
 */
import assert from "node:assert/strict"
import type { RandomShape } from "../platform/Random.ts"
import { keepAll, keepNothing, keepSome } from "../platform/simulated-content.ts"
import type { SimulatedFault, SimulatedFiles, SimulatedOperation } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { NotingConsumer, openRig, type Rig, type RigOptions } from "./fakes.ts"
import type { Durability } from "./Journal.ts"
import { decodeWrites } from "./Journal.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** An operation that was submitted; its number is in its text. */
interface Submitted {
  readonly id: number
  readonly turn: number
  readonly text: string
  /** Of the entry that took it. */
  readonly index: number
  readonly durability: Durability
  readonly ticket: number
}

/** A journal's disk after a crash, and what had been promised until then. */
export interface Image {
  readonly files: SimulatedFiles
  /** What crashed, and how, for the message of a failed test. */
  readonly label: string
  readonly isPowerLoss: boolean
  /** Operations that must be there. */
  readonly promised: ReadonlySet<number>
  /** The entry up to which the consumer has put away, and the operations that it has. */
  readonly applied: number
  readonly putAway: ReadonlyArray<number>
}

export interface WorkloadOptions {
  readonly seed: number
  readonly turns: number
  /** Of a hundred operations so many fail. */
  readonly faultsPercent?: number
  /** Every so manieth operation is a crash point; of each so many random power losses are looked at. */
  readonly every: number
  readonly powerLosses: number
  readonly rig?: RigOptions
  /** Sees every operation first. */
  readonly hook?: (operation: SimulatedOperation) => SimulatedFault | undefined
}

const TEXT = /^(\d+):/

export function idOf(text: string): number {
  const [, digits = ""] = TEXT.exec(text) ?? []
  return Number(digits)
}

/** Runs a random workload and makes images of crashes. */
export class Workload {
  readonly submitted: Array<Submitted> = []
  readonly images: Array<Image> = []
  readonly rig: Rig
  readonly #chance: Xoshiro128
  readonly #options: WorkloadOptions
  /** Operations that were refused or lost. */
  readonly refused = new Set<number>()
  readonly #acknowledged = new Set<number>()
  readonly #seen = { hybrid: 0, persistent: 0 }
  readonly #byTicket = { hybrid: new Map<number, number>(), persistent: new Map<number, number>() }
  #putAway: ReadonlyArray<number> = []
  #operations = 0
  #isOver = false

  private constructor(rig: Rig, options: WorkloadOptions) {
    this.rig = rig
    this.#options = options
    this.#chance = Xoshiro128.seeded(options.seed, 7)
  }

  static async run(options: WorkloadOptions): Promise<Workload> {
    const rig = await openRig({ seed: options.seed, ...options.rig, isLossy: true })
    const workload = new Workload(rig, options)
    rig.files.hook = (operation) => workload.#hook(operation)
    for (let turn = 0; turn < options.turns; turn++) await workload.#turn(turn)
    await rig.settle(rig.simulation.clock.monotonicMs() + 2_000)
    workload.#isOver = true
    // What failed is tried again within a second.
    await rig.settle(rig.simulation.clock.monotonicMs() + 4_000)
    rig.files.hook = undefined
    workload.#look()
    workload.#snapshot({ name: "end", pathname: "" })
    return workload
  }

  /** Operations of the disk so far. */
  get operations(): number {
    return this.#operations
  }

  async #turn(turn: number): Promise<void> {
    const { rig } = this
    for (let count = 1 + this.#chance.below(3); count > 0; count--) this.#submit(turn)
    // Sometimes the disk has time to end what it does, sometimes the next turn comes before.
    if (this.#chance.chance(1, 3)) await rig.settle()
    else
      for (let steps = this.#chance.below(6); steps > 0; steps--)
        await rig.simulation.stepAsync(rig.simulation.clock.monotonicMs())
    if (this.#chance.chance(1, 12)) await rig.settle(rig.simulation.clock.monotonicMs() + 250)
    if (this.#chance.chance(1, 10)) this.#checkpoint()
    this.#look()
  }

  #submit(turn: number): void {
    const { journal } = this.rig
    const id = this.submitted.length + 1
    const index = journal.nextIndex
    const text = `${id}:${"x".repeat(this.#chance.chance(1, 25) ? 1_500 : this.#chance.below(60))}`
    const kind = this.#chance.below(4)
    const durability = kind === 0 ? journal.parts.stateDurability : kind === 1 ? "hybrid" : "persistent"
    const key = encoder.encode(text)
    const ticket = kind === 0 ? journal.submit({ writes: [{ key, value: undefined }] }) : this.rig.put(text, durability)
    this.submitted.push({ id, turn, text, index, durability, ticket })
    this.#byTicket[durability].set(ticket, id)
  }

  /** The consumer puts away all entries of which it knows how each operation ended. */
  #checkpoint(): void {
    const { journal, consumer } = this.rig
    this.#look()
    const pending = this.submitted.find(({ durability, ticket }) => ticket > journal.ticketsOf(durability).committed)
    const index = (pending?.index ?? journal.nextIndex) - 1
    if (index <= consumer.appliedIndex) return
    const ended = this.submitted.filter((each) => this.#acknowledged.has(each.id) && each.index <= index)
    this.#putAway = ended.map(({ id }) => id)
    consumer.appliedIndex = index
    journal.released()
  }

  /** Notes which tickets have ended well. */
  #look(): void {
    for (const durability of ["hybrid", "persistent"] as const) {
      const stream = this.rig.journal.ticketsOf(durability)
      for (; this.#seen[durability] < stream.committed; ) {
        const ticket = ++this.#seen[durability]
        const id = this.#byTicket[durability].get(ticket)
        if (id === undefined) continue
        if (stream.takeOutcome(ticket) === 0) this.#acknowledged.add(id)
        else this.refused.add(id)
      }
    }
  }

  #hook(operation: SimulatedOperation): SimulatedFault | undefined {
    this.#operations += 1
    if (this.#operations % this.#options.every === 0) {
      this.#look()
      this.#snapshot(operation)
    }
    const fault = this.#options.hook?.(operation)
    if (fault !== undefined) return fault
    if (this.#isOver || !this.#chance.chance(this.#options.faultsPercent ?? 0, 100)) return undefined
    const code = this.#chance.chance(1, 2) ? "disk-full" : "failed"
    const length = operation.bytes?.length ?? 0
    const written = length > 0 && this.#chance.chance(1, 2) ? { written: this.#chance.below(length + 1) } : {}
    return { code, reason: "the test said so", ...written }
  }

  #snapshot(operation: SimulatedOperation): void {
    const { files } = this.rig
    const below = (bound: number): number => this.#chance.below(bound)
    const during = operation.name === "write" ? operation : undefined
    const label = `seed ${this.#options.seed}, operation ${this.#operations} (${operation.name} ${operation.pathname})`
    const add = (name: string, isPowerLoss: boolean, image: SimulatedFiles): void => {
      const promised = this.submitted.filter(
        ({ id, durability }) => this.#acknowledged.has(id) && (!isPowerLoss || durability === "persistent")
      )
      this.images.push({
        files: image,
        label: `${label}, ${name}`,
        isPowerLoss,
        promised: new Set(promised.map(({ id }) => id)),
        applied: this.rig.consumer.appliedIndex,
        putAway: this.#putAway
      })
    }
    add("kill", false, files.afterCrash(keepAll))
    if (during !== undefined) {
      add(
        "kill within",
        false,
        files.afterCrash(keepAll, during, (length) => [0, below(length + 1)])
      )
    }
    add("power, all lost", true, files.afterCrash(keepNothing))
    for (let count = 0; count < this.#options.powerLosses; count++) {
      add(`power ${count}`, true, files.afterCrash(keepSome(below), during))
    }
  }
}

/** Notes the numbers of what is replayed. */
export class Recorder extends NotingConsumer {
  readonly ids: Array<number> = []

  /** What it says it has put away, having put away entries up to `index`. */
  claims(index: number): number {
    return index
  }

  override replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    const keys = kind === 1 ? decodeWrites(bytes, start, end).map(({ key }) => key) : [bytes.subarray(start, end)]
    for (const key of keys) {
      const text = decoder.decode(key)
      this.replayed.push({ index, kind, text })
      this.ids.push(idOf(text))
    }
  }
}

/** Starts from an image and checks what it finds. Returns what is there, and the journal that was opened. */
export async function checkImage(
  image: Image,
  workload: Workload,
  hasFaults: boolean,
  options: RigOptions = {},
  recorder = new Recorder()
): Promise<{ readonly ids: ReadonlyArray<number>; readonly rig: Rig }> {
  recorder.appliedIndex = recorder.claims(image.applied)
  const rig = await openRig({ seed: workload.submitted.length + 7, consumer: recorder, ...options, files: image.files })
  const ids = [...image.putAway, ...recorder.ids]
  const there = new Set(ids)
  const missing = [...image.promised].filter((id) => !there.has(id))
  assert.deepEqual(missing, [], `${image.label}: promised and not there`)
  for (let at = 1; at < ids.length; at++) {
    assert.ok((ids[at] ?? 0) > (ids[at - 1] ?? 0), `${image.label}: ${ids[at]} follows ${ids[at - 1]}`)
  }
  let last = image.applied
  for (const { index, text } of recorder.replayed) {
    assert.equal(text, workload.submitted[idOf(text) - 1]?.text, `${image.label}: as it was submitted`)
    assert.ok(index >= last && index > image.applied, `${image.label}: indexes rise`)
    last = index
  }
  assert.ok(rig.journal.nextIndex > last, `${image.label}: the next entry comes after all that are there`)
  if (!hasFaults) {
    const highest = ids.at(-1) ?? 0
    const expected = workload.submitted.filter(({ id }) => id <= highest && !workload.refused.has(id))
    assert.equal(ids.length, expected.length, `${image.label}: what is there has no gap`)
    const next = workload.submitted.find(({ id }) => id > highest && !workload.refused.has(id))
    const before = workload.submitted[highest - 1]
    assert.ok(next === undefined || next.turn !== before?.turn, `${image.label}: no turn is half there`)
  }
  return { ids, rig }
}

/** Draws the same bytes for ever: segments that are told apart by nothing. */
export const constantRandom: RandomShape = {
  uint32: () => 0x5a5a5a5a,
  fill: (target, start, end) => void target.fill(0x5a, start, end)
}
