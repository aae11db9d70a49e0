/**
 * The partitions that are in memory, by key and by row; others are found on the shelf.
 *
 * Invariants
 *  - A partition is in memory while somebody holds it, something of it is not put away or it is fenced; else its row is all there is.
 *  - A row that was removed counts as gone before the shelf says so.
 */
import type { PartitionKey, PartitionLimits } from "../log/Engines.ts"
import { JournaledPartition } from "./JournaledPartition.ts"
import type { PartitionHost } from "./PartitionHost.ts"
import type { PartitionRow, TrimTask } from "./Shelf.ts"

/** Partitions whose oldest batches are looked at in one checkpoint for their age alone. */
const AGED_PER_CHECKPOINT = 1_000
/** A partition's batches are looked at for their age so often, and ten times as long as they are kept where that is less. */
const AGES_EVERY_MS = 60_000
/** Partitions that nobody holds whose bounds are applied in one checkpoint. */
const IDLE_MAX = 10_000

/** The id itself, which is there anyway, of what most topics are: of one partition, of the first tenant. No id has a slash. */
const nameOf = ({ tenant, topicId, partition }: PartitionKey): string =>
  tenant === 0 && partition === 0 ? topicId : `${tenant}/${topicId}/${partition}`

export class PartitionTable {
  readonly #host: PartitionHost
  readonly #byName = new Map<string, JournaledPartition>()
  readonly #byId = new Map<number, JournaledPartition>()
  /** Rows that are there and count as gone. */
  readonly #removed = new Set<number>()
  #nextId: number
  #aged: Iterator<JournaledPartition> | undefined
  /** Bounds of partitions that nobody holds, for the next checkpoint. */
  #idle: Array<{ readonly id: number; readonly limits: PartitionLimits }> = []
  /** Partitions that have other bounds than at the last checkpoint. */
  #relimited = new Set<JournaledPartition>()

  constructor(host: PartitionHost, nextId: number) {
    this.#host = host
    this.#nextId = nextId
  }

  get size(): number {
    return this.#byName.size
  }

  /** Some batches are to be forgotten for their age, or for new bounds. */
  get hasAges(): boolean {
    if (this.#idle.length > 0 || this.#relimited.size > 0) return true
    for (const { options } of this.#byName.values())
      if (options !== undefined && options.limits.ageMsMax > 0) return true
    return false
  }

  /** The partition of a key, where it is in memory or has a row. */
  find(key: PartitionKey): JournaledPartition | undefined {
    const known = this.#byName.get(nameOf(key))
    if (known !== undefined) return known
    const row = this.#host.shelf.rowOf(key)
    return row === undefined || this.#removed.has(row.id) ? undefined : this.#fromRow(row)
  }

  /** The partition of a row, where it is in memory. */
  resident(id: number): JournaledPartition | undefined {
    return this.#byId.get(id)
  }

  /** The partition of a row, where it is in memory or on the shelf. */
  ofRow(id: number): JournaledPartition | undefined {
    const known = this.#byId.get(id)
    if (known !== undefined) return known
    const row = this.#host.shelf.rowById(id)
    return row === undefined ? undefined : this.#fromRow(row)
  }

  /** A partition without a row. */
  add({ tenant, topicId, partition }: PartitionKey): JournaledPartition {
    const key = { tenant, topicId, partition }
    const added = new JournaledPartition(this.#host, { id: 0, key, logStart: 0, logEnd: 0, leaderEpoch: 0, bytes: 0 })
    this.#byName.set(nameOf(key), added)
    return added
  }

  /** Gives a partition the next row, or that one. */
  giveRow(partition: JournaledPartition, id = this.#nextId): void {
    this.#nextId = Math.max(this.#nextId, id + 1)
    partition.id = id
    this.#byId.set(id, partition)
  }

  /** The row was lost on its way. */
  takeRow(partition: JournaledPartition): void {
    this.#byId.delete(partition.id)
    partition.id = 0
  }

  /** The partition is gone; its key may be another's at once. */
  remove(partition: JournaledPartition): void {
    if (partition.id !== 0) this.#removed.add(partition.id)
    partition.cutTo(0)
    partition.dropHot()
    partition.isRemoved = true
    const name = nameOf(partition.key)
    if (this.#byName.get(name) === partition) this.#byName.delete(name)
  }

  /** The shelf says so, too. */
  removalStored(id: number): void {
    this.#removed.delete(id)
  }

  /** One that nobody holds and of which everything is put away is its row again; one that is fenced has to stay so. */
  forgetIdle(partition: JournaledPartition): void {
    if (partition.holders > 0 || partition.pending > 0 || partition.isFenced) return
    const name = nameOf(partition.key)
    if (this.#byName.get(name) === partition) this.#byName.delete(name)
    if (this.#byId.get(partition.id) === partition) this.#byId.delete(partition.id)
  }

  /** Notes the bounds of a partition that nobody holds, where it holds something. Beyond a bound it is left for the next time. */
  trimLater(key: PartitionKey, limits: PartitionLimits): void {
    if (this.#idle.length >= IDLE_MAX) return
    const known = this.#byName.get(nameOf(key))
    const row = known === undefined ? this.#host.shelf.rowOf(key) : undefined
    const id = known?.id ?? row?.id ?? 0
    // What is held is looked after with those.
    if (id === 0 || known?.options !== undefined || this.#removed.has(id)) return
    if (row === undefined || row.logStart < row.logEnd) this.#idle.push({ id, limits })
  }

  /** Has the next checkpoint look after a partition though nothing was done to it. */
  relimited(partition: JournaledPartition): void {
    this.#relimited.add(partition)
  }

  /** Bounds of these partitions, of those that were noted, and of some whose batches grow old. */
  trimTasks(touched: Set<JournaledPartition>, nowMs: number): ReadonlyArray<TrimTask> {
    for (let count = 0; count < AGED_PER_CHECKPOINT && count < this.#byName.size; count++) {
      this.#aged ??= this.#byName.values()
      const { value, done } = this.#aged.next()
      if (done === true) {
        this.#aged = undefined
        break
      }
      if (value.options !== undefined && value.options.limits.ageMsMax > 0) touched.add(value)
    }
    for (const partition of this.#relimited) touched.add(partition)
    this.#relimited = new Set()
    const tasks: Array<TrimTask> = []
    const add = (id: number, { sizeBytesMax, recordsMax, ageMsMax }: PartitionLimits, areAgesDue: boolean): void => {
      const isBounded = sizeBytesMax < Number.POSITIVE_INFINITY || recordsMax < Number.POSITIVE_INFINITY
      if (!areAgesDue && !isBounded) return
      tasks.push({ id, sizeBytesMax, recordsMax, appendedBeforeMs: areAgesDue ? nowMs - ageMsMax : 0 })
    }
    for (const partition of touched) {
      const { id, options, isRemoved, agesLookedAtMs } = partition
      if (id === 0 || options === undefined || isRemoved) continue
      const { ageMsMax } = options.limits
      // Looking costs more than an append does: a partition that is written all the time is not looked at in every checkpoint.
      const areAgesDue = ageMsMax > 0 && nowMs - agesLookedAtMs >= Math.min(AGES_EVERY_MS, ageMsMax / 10)
      if (areAgesDue) partition.agesLookedAtMs = nowMs
      add(id, options.limits, areAgesDue)
    }
    for (const { id, limits } of this.#idle) if (!this.#removed.has(id)) add(id, limits, limits.ageMsMax > 0)
    this.#idle = []
    return tasks
  }

  #fromRow(row: PartitionRow): JournaledPartition {
    const partition = new JournaledPartition(this.#host, row)
    this.#byName.set(nameOf(row.key), partition)
    this.#byId.set(row.id, partition)
    return partition
  }
}
