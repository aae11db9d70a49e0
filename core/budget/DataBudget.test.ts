/** A node's data directory over simulated time and a simulated disk. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { DISK_FULL } from "../log/Engines.ts"
import { SIMULATED_EPOCH_MS, Simulation } from "../platform/simulated.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { MetricsRegistry } from "../telemetry/Telemetry.ts"
import { registerBudget } from "./budget-metrics.ts"
import { DataBudget } from "./DataBudget.ts"
import type { Deletion, OldestPiece, StorageAccount, StorageUse } from "./StorageAccount.ts"
import { type BudgetLimits, StorageRoom } from "./StorageBudget.ts"

const DIRECTORY = "/data"

/** Pieces in a file of the simulated disk; its newest stays. */
class FakeAccount implements StorageAccount {
  readonly name = "fake"
  readonly deletions: Array<Deletion> = []
  pieces: Array<OldestPiece & { readonly tenant: number }> = []
  otherBytes = 0
  fault: string | undefined
  questions = 0
  readonly #resize: (bytes: number) => void

  constructor(resize: (bytes: number) => void) {
    this.#resize = resize
  }

  get usedBytes(): number {
    return this.pieces.reduce((sum, { bytes }) => sum + bytes, this.otherBytes)
  }

  add(bytes: number, appendedMs: number, tenant = 0): void {
    this.pieces.push({ bytes, appendedMs, tenant })
    this.#resize(this.usedBytes)
  }

  async measure(): Promise<StorageUse> {
    this.questions += 1
    if (this.fault !== undefined) throw new Error(this.fault)
    const tenants = new Map<number, number>()
    for (const { tenant, bytes } of this.pieces) tenants.set(tenant, (tenants.get(tenant) ?? 0) + bytes)
    return { usedBytes: this.usedBytes, freeBytes: 0, tenants: [...tenants] }
  }

  async oldest(bytesMax: number, tenant: number | undefined): Promise<ReadonlyArray<OldestPiece>> {
    const found: Array<OldestPiece> = []
    let sum = 0
    for (const piece of this.#mayGo(tenant)) {
      if (sum >= bytesMax) break
      found.push(piece)
      sum += piece.bytes
    }
    return found
  }

  async deleteOldest(deletion: Deletion): Promise<void> {
    this.deletions.push(deletion)
    if (this.fault !== undefined) throw new Error(this.fault)
    let sum = 0
    for (const piece of this.#mayGo(deletion.tenant)) {
      if (sum >= deletion.bytes) break
      sum += piece.bytes
      this.pieces = this.pieces.filter((each) => each !== piece)
    }
    this.#resize(this.usedBytes)
  }

  #mayGo(tenant: number | undefined): ReadonlyArray<OldestPiece & { readonly tenant: number }> {
    return this.pieces.slice(0, -1).filter((piece) => tenant === undefined || piece.tenant === tenant)
  }
}

class Rig {
  readonly simulation = new Simulation(1)
  readonly room = new StorageRoom()
  readonly lines: Array<string> = []
  readonly accounts: ReadonlyArray<FakeAccount>
  readonly budget: DataBudget
  readonly limits: BudgetLimits
  journalBytes = 0
  writtenBytes = 0

  constructor(limits: Partial<BudgetLimits>, stores = 2) {
    const { files, clock } = this.simulation
    const keep = (_area: string, message: string): void => void this.lines.push(message)
    const log: LogShape = { debug: keep, info: keep, warn: keep, error: keep, isEnabled: () => true }
    this.limits = { dataBytesMax: 0, tenantBytesMax: 0, ...limits }
    Effect.runSync(files.ensureWritableDirectory(DIRECTORY))
    this.accounts = Array.from({ length: stores }, (_, at) => {
      const file = files.openUnsafe(`${DIRECTORY}/${at}`, "create")
      return new FakeAccount((bytes) => file.truncateUnsafe(bytes))
    })
    this.budget = new DataBudget({
      stores: this.accounts.map((account, at) => ({
        journal: () => ({ usedBytes: at === 0 ? this.journalBytes : 0, freeBytes: 0 }),
        writtenBytes: () => (at === 0 ? this.writtenBytes : 0),
        accounts: () => [account]
      })),
      freeBytes: () => Effect.runPromise(files.freeBytes(DIRECTORY)),
      limits: this.limits,
      room: this.room,
      clock,
      log
    })
  }

  get usedBytes(): number {
    return this.accounts.reduce((sum, { usedBytes }) => sum + usedBytes, this.journalBytes)
  }

  /** What somebody else has on the disk. */
  occupy(bytes: number): void {
    this.simulation.files.openUnsafe("/others", "create").truncateUnsafe(bytes)
  }

  async seconds(count: number, stepMs = 1_000): Promise<void> {
    for (let each = 0; each < (count * 1_000) / stepMs; each++) {
      this.simulation.run(this.simulation.clock.monotonicMs() + stepMs)
      // Promises between two looks.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

test("below its thresholds nothing happens, and a look is one question to each", async () => {
  const rig = new Rig({ dataBytesMax: 1_000 })
  rig.accounts[0]?.add(400, 1)
  rig.accounts[1]?.add(450, 2)
  await rig.budget.start()
  await rig.seconds(10)
  assert.deepEqual([rig.room.pressure, rig.room.refusal, rig.lines, rig.budget.rounds], ["ok", 0, [], 0])
  assert.deepEqual(
    rig.accounts.map(({ questions }) => questions),
    [11, 11]
  )
  rig.budget.close()
  await rig.seconds(3)
  assert.equal(rig.accounts[0]?.questions, 11)
})

test("who writes fast is looked at sooner than in a second: the bound holds, and what is asked stays little", async () => {
  const BOUND = 64_000_000
  const rig = new Rig({ dataBytesMax: BOUND }, 1)
  const [one] = rig.accounts
  assert.ok(one !== undefined)
  await rig.budget.start()
  let most = 0
  // 400 MB/s for two seconds, in pieces of 1 MB; who is refused writes nothing.
  for (let ms = 0; ms < 2_000; ms += 10) {
    for (let piece = 0; piece < 4 && rig.room.refusal === 0; piece++) {
      one.add(1_000_000, ms)
      rig.writtenBytes += 1_000_000
    }
    await rig.seconds(0.01, 10)
    most = Math.max(most, rig.usedBytes)
  }
  assert.ok(most > 0.85 * BOUND && most <= 1.1 * BOUND, `${most} bytes`)
  assert.ok(rig.writtenBytes > 3 * BOUND, `${rig.writtenBytes} bytes`)
  const { questions } = one
  await rig.seconds(10, 10)
  assert.ok(one.questions - questions <= 12, `${one.questions - questions} questions of one that is idle`)
  rig.budget.close()
})

test("it is looked at once a second, however large the bound is", async () => {
  for (const dataBytesMax of [1_000_000, 40_000_000_000, 66_000_000_000, 1_000_000_000_000]) {
    const rig = new Rig({ dataBytesMax }, 1)
    await rig.budget.start()
    // As a look finds it: the simulated disk has no room for so much.
    rig.budget.sizes = { usedBytes: 0, freeBytes: Number.POSITIVE_INFINITY }
    await rig.seconds(10, 10)
    assert.equal(rig.accounts[0]?.questions, 11, `${dataBytesMax} bytes`)
    rig.budget.close()
  }
})

test("above 85 % the oldest go, of all stores together, a sixteenth a round, down to three quarters", async () => {
  const rig = new Rig({ dataBytesMax: 10_000 })
  const [one, other] = rig.accounts
  assert.ok(one !== undefined && other !== undefined)
  // One has what is older, the other what came later, and some that came at the same time.
  for (let at = 0; at < 40; at++) one.add(100, at)
  for (let at = 30; at < 70; at++) other.add(100, at)
  rig.journalBytes = 400
  await rig.budget.start()
  assert.equal(rig.room.pressure, "ok")
  other.add(200, 100)
  await rig.seconds(1)
  assert.equal(rig.room.pressure, "ok", "it is measured at the next look")
  await rig.seconds(1)
  assert.equal(rig.room.pressure, "high")
  for (let second = 0, before = rig.usedBytes; second < 6; second++, before = rig.usedBytes) {
    await rig.seconds(1)
    assert.ok(before - rig.usedBytes <= 10_000 / 16 + 100, `${before - rig.usedBytes} bytes in a second`)
  }
  assert.ok(rig.usedBytes <= 7_500 && rig.usedBytes > 7_300, `${rig.usedBytes} bytes`)
  assert.deepEqual([rig.room.pressure, rig.room.refusal], ["ok", 0])
  assert.deepEqual([one.pieces[0]?.appendedMs, other.pieces[0]?.appendedMs], [11, 30])
  assert.ok(one.deletions.every(({ reason }) => reason === "budget") && other.deletions.length === 0)
  assert.deepEqual(rig.lines, ["the data directory is nearly full", "the data directory is not nearly full any more"])
  const { rounds } = rig.budget
  await rig.seconds(10)
  assert.equal(rig.budget.rounds, rounds)
  rig.budget.close()
})

test("what cannot go fills it: producers are refused above 95 %, and taken again below 90 %, by themselves", async () => {
  const rig = new Rig({ dataBytesMax: 1_000 })
  const [one] = rig.accounts
  assert.ok(one !== undefined)
  one.otherBytes = 951
  await rig.budget.start()
  assert.deepEqual([rig.room.pressure, rig.room.refusal], ["full", DISK_FULL])
  one.otherBytes = 905
  await rig.seconds(2)
  assert.equal(rig.room.pressure, "full")
  one.otherBytes = 895
  await rig.seconds(2)
  assert.deepEqual([rig.room.pressure, rig.room.refusal], ["high", 0])
  one.otherBytes = 700
  await rig.seconds(2)
  assert.equal(rig.room.pressure, "ok")
  assert.deepEqual(rig.lines, [
    "the data directory is full: producers are refused until there is room",
    "the data directory has room again: producers are taken",
    "the data directory is not nearly full any more"
  ])
  assert.deepEqual(one.deletions, [])
  rig.budget.close()
})

test("while it is full rounds follow each other at once, but for those that delete nothing", async () => {
  const rig = new Rig({ dataBytesMax: 1_000 }, 1)
  const [one] = rig.accounts
  assert.ok(one !== undefined)
  for (let at = 0; at < 100; at++) one.add(10, at)
  await rig.budget.start()
  await rig.seconds(1)
  assert.ok(rig.budget.rounds > 1 && rig.usedBytes < 900, `${rig.budget.rounds} rounds, ${rig.usedBytes} bytes`)
  await rig.seconds(5)
  assert.equal(rig.usedBytes, 750)
  const { rounds } = rig.budget
  assert.ok(rounds < 8, `${rounds} rounds`)
  // Nothing of this may go.
  one.pieces = []
  one.otherBytes = 990
  await rig.seconds(10)
  assert.equal(rig.room.pressure, "full")
  assert.ok(rig.budget.rounds - rounds <= 10, `${rig.budget.rounds - rounds} rounds in 10 s`)
  // Nor does this go, though it is offered.
  one.add(100, 1)
  one.add(100, 2)
  one.deleteOldest = async () => {}
  await rig.seconds(5)
  assert.ok(rig.budget.rounds - rounds <= 10 + 5 * 17, `${rig.budget.rounds - rounds} rounds in 15 s`)
  rig.budget.close()
})

test("a disk that others fill is seen before it is full; without a budget nothing is deleted for it", async () => {
  const rig = new Rig({})
  rig.simulation.files.capacityBytes = 10_000
  for (let at = 0; at < 30; at++) rig.accounts[0]?.add(100, at)
  await rig.budget.start()
  assert.deepEqual([rig.room.pressure, rig.budget.boundBytes], ["ok", 10_000])
  rig.occupy(6_600)
  await rig.seconds(2)
  assert.deepEqual([rig.room.pressure, rig.budget.boundBytes], ["high", 3_400])
  rig.occupy(6_900)
  await rig.seconds(2)
  assert.equal(rig.room.pressure, "full")
  assert.equal(rig.usedBytes, 3_000)
  rig.occupy(1_000)
  await rig.seconds(2)
  assert.deepEqual([rig.room.pressure, rig.usedBytes, rig.budget.rounds], ["ok", 3_000, 0])
  rig.budget.close()
})

test("with a budget others may cost half of it, and no more", async () => {
  const rig = new Rig({ dataBytesMax: 4_000 })
  rig.simulation.files.capacityBytes = 10_000
  for (let at = 0; at < 30; at++) rig.accounts[0]?.add(100, at)
  await rig.budget.start()
  rig.occupy(7_000)
  await rig.seconds(20)
  // Three quarters of what the disk has room for.
  assert.deepEqual([rig.usedBytes, rig.room.pressure], [2_200, "ok"])
  // What was deleted is the others' to take; then producers are refused.
  rig.occupy(7_800)
  await rig.seconds(10)
  rig.occupy(8_000)
  await rig.seconds(10)
  assert.deepEqual([rig.usedBytes, rig.room.pressure], [2_000, "full"])
  rig.budget.close()
})

test("a tenant gives up its own oldest above its bound; the others keep theirs", async () => {
  const rig = new Rig({ tenantBytesMax: 2_000 })
  const [one, other] = rig.accounts
  assert.ok(one !== undefined && other !== undefined)
  for (let at = 0; at < 30; at++) {
    one.add(50, at, at % 2)
    other.add(50, 100 + at, at % 3 === 0 ? 0 : 2)
  }
  for (let at = 0; at < 20; at++) other.add(100, 200 + at, 2)
  await rig.budget.start()
  const before = new Map(rig.budget.tenants)
  assert.deepEqual(before.get(2), 3_000)
  await rig.seconds(20)
  const { tenants } = rig.budget
  assert.deepEqual([tenants.get(0), tenants.get(1)], [before.get(0), before.get(1)])
  const left = tenants.get(2) ?? 0
  assert.ok(left <= 2_000 && left > 1_850, `${left} bytes`)
  assert.deepEqual(one.deletions, [])
  assert.ok(other.deletions.every(({ reason, tenant, bytes }) => reason === "tenant" && tenant === 2 && bytes <= 600))
  rig.budget.close()
})

test("a store that does not answer counts as it last did, and one that cannot delete is asked again", async () => {
  const rig = new Rig({ dataBytesMax: 1_000 }, 1)
  const [one] = rig.accounts
  assert.ok(one !== undefined)
  for (let at = 0; at < 18; at++) one.add(50, at)
  await rig.budget.start()
  one.fault = "the database is closed"
  await rig.seconds(3)
  assert.deepEqual([rig.room.pressure, rig.budget.sizes.usedBytes, rig.usedBytes], ["high", 900, 900])
  assert.ok(rig.lines.includes("what is oldest could not be deleted; it is tried again"))
  one.fault = undefined
  await rig.seconds(6)
  assert.equal(rig.usedBytes, 750)
  rig.budget.close()
})

test("a round that hangs is waited for, and nothing is refused or taken meanwhile that should not be", async () => {
  const rig = new Rig({ dataBytesMax: 1_000 }, 1)
  const [one] = rig.accounts
  assert.ok(one !== undefined)
  for (let at = 0; at < 18; at++) one.add(50, at)
  let release = (): void => {}
  const deleteOldest = one.deleteOldest.bind(one)
  one.deleteOldest = async (deletion) => {
    await new Promise<void>((resolve) => (release = resolve))
    await deleteOldest(deletion)
  }
  await rig.budget.start()
  await rig.seconds(10)
  assert.deepEqual([rig.budget.rounds, one.deletions.length], [1, 0])
  one.otherBytes = 100
  await rig.seconds(2)
  assert.equal(rig.room.pressure, "full")
  release()
  await rig.seconds(2)
  assert.deepEqual([one.deletions.length, rig.budget.rounds], [1, 2])
  rig.budget.close()
})

test("metrics tell what is used, the bound, the thresholds, and whether producers are refused", async () => {
  const rig = new Rig({ dataBytesMax: 1_000, tenantBytesMax: 600 }, 1)
  rig.accounts[0]?.add(400, SIMULATED_EPOCH_MS, 5)
  if (rig.accounts[0] !== undefined) rig.accounts[0].otherBytes = 560
  const telemetry = new MetricsRegistry()
  const scope = Scope.makeUnsafe()
  const registered = registerBudget(telemetry, rig.budget, rig.room, rig.limits)
  await Effect.runPromise(Scope.provide(registered, scope))
  await rig.budget.start()
  const text = telemetry.renderPrometheus()
  const value = (name: string): number => Number(new RegExp(`^manifold_${name} (\\S+)$`, "m").exec(text)?.[1])
  assert.deepEqual(
    ["data_used_bytes", "data_bound_bytes", "data_high_bytes", "data_full_bytes", "data_free_bytes"].map(value),
    [960, 1_000, 850, 950, 0]
  )
  assert.deepEqual(
    ["data_high", "data_full", "tenant_stored_bytes_largest", "tenant_stored_bytes_max"].map(value),
    [1, 1, 400, 600]
  )
  rig.budget.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
