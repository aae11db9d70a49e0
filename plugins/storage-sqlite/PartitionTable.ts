/**
 * The partitions that are in memory, by key and by row, and how others are found in the database.
 *
 * Invariants
 *  - A partition is in memory while somebody holds it or something of it is not put away; else its row is all there is.
 *  - A row that was removed counts as gone before the database says so.
 */
import type { PartitionKey } from "../../core/mod.ts"
import type { SqliteDatabase, SqliteRow, SqliteStatement } from "../../core/platform/mod.ts"
import type { TrimTask } from "./database/messages.ts"
import type { PartitionHost } from "./PartitionHost.ts"
import { SqlitePartition } from "./SqlitePartition.ts"

/** Partitions whose oldest batches are looked at in one checkpoint for their age alone. */
const AGED_PER_CHECKPOINT = 1_000

const nameOf = ({ tenant, topicId, partition }: PartitionKey): string => `${tenant}/${topicId}/${partition}`
const number = (row: SqliteRow, name: string): number => Number(row[name])

export class PartitionTable {
  readonly #host: PartitionHost
  readonly #byName = new Map<string, SqlitePartition>()
  readonly #byId = new Map<number, SqlitePartition>()
  /** Rows that are there and count as gone. */
  readonly #removed = new Set<number>()
  readonly #rowByName: SqliteStatement
  readonly #rowById: SqliteStatement
  #nextId: number
  #aged: Iterator<SqlitePartition> | undefined

  /** `reading` is a connection of this thread. */
  constructor(host: PartitionHost, reading: SqliteDatabase, nextId: number) {
    this.#host = host
    this.#nextId = nextId
    const columns = "SELECT id, tenant, topic, number, log_start, log_end, leader_epoch, bytes FROM partition"
    this.#rowByName = reading.prepare(`${columns} WHERE topic = ? AND number = ? AND tenant = ? AND is_removed = 0`)
    this.#rowById = reading.prepare(`${columns} WHERE id = ? AND is_removed = 0`)
  }

  get size(): number {
    return this.#byName.size
  }

  /** Some batches are to be forgotten for their age. */
  get hasAges(): boolean {
    for (const { options } of this.#byName.values())
      if (options !== undefined && options.limits.ageMsMax > 0) return true
    return false
  }

  /** The partition of a key, where it is in memory or has a row. */
  find(key: PartitionKey): SqlitePartition | undefined {
    const known = this.#byName.get(nameOf(key))
    if (known !== undefined) return known
    const row = this.#rowByName.get(key.topicId, key.partition, key.tenant)
    return row === undefined || this.#removed.has(number(row, "id")) ? undefined : this.#fromRow(row)
  }

  /** The partition of a row, where it is in memory. */
  resident(id: number): SqlitePartition | undefined {
    return this.#byId.get(id)
  }

  /** The partition of a row, where it is in memory or in the database. */
  ofRow(id: number): SqlitePartition | undefined {
    const known = this.#byId.get(id)
    if (known !== undefined) return known
    const row = this.#rowById.get(id)
    return row === undefined ? undefined : this.#fromRow(row)
  }

  /** A partition without a row. */
  add({ tenant, topicId, partition }: PartitionKey): SqlitePartition {
    const key = { tenant, topicId, partition }
    const added = new SqlitePartition(this.#host, key, { id: 0, logStart: 0, logEnd: 0, leaderEpoch: 0, bytes: 0 })
    this.#byName.set(nameOf(key), added)
    return added
  }

  /** Gives a partition the next row, or that one. */
  giveRow(partition: SqlitePartition, id = this.#nextId): void {
    this.#nextId = Math.max(this.#nextId, id + 1)
    partition.id = id
    this.#byId.set(id, partition)
  }

  /** The row was lost on its way. */
  takeRow(partition: SqlitePartition): void {
    this.#byId.delete(partition.id)
    partition.id = 0
  }

  /** The partition is gone; its key may be another's at once. */
  remove(partition: SqlitePartition): void {
    if (partition.id !== 0) this.#removed.add(partition.id)
    partition.cutTo(0)
    partition.dropHot()
    partition.isRemoved = true
    const name = nameOf(partition.key)
    if (this.#byName.get(name) === partition) this.#byName.delete(name)
  }

  /** The database says so, too. */
  removalStored(id: number): void {
    this.#removed.delete(id)
  }

  /** One that nobody holds and of which everything is put away is its row again. */
  forgetIdle(partition: SqlitePartition): void {
    if (partition.holders > 0 || partition.pending > 0) return
    const name = nameOf(partition.key)
    if (this.#byName.get(name) === partition) this.#byName.delete(name)
    if (this.#byId.get(partition.id) === partition) this.#byId.delete(partition.id)
  }

  /** Bounds of these partitions, and of some whose batches grow old. */
  trimTasks(touched: Set<SqlitePartition>, nowMs: number): ReadonlyArray<TrimTask> {
    for (let count = 0; count < AGED_PER_CHECKPOINT && count < this.#byName.size; count++) {
      this.#aged ??= this.#byName.values()
      const { value, done } = this.#aged.next()
      if (done === true) {
        this.#aged = undefined
        break
      }
      if (value.options !== undefined && value.options.limits.ageMsMax > 0) touched.add(value)
    }
    const tasks: Array<TrimTask> = []
    for (const { id, options, isRemoved } of touched) {
      if (id === 0 || options === undefined || isRemoved) continue
      const { sizeBytesMax, recordsMax, ageMsMax } = options.limits
      const isBounded = sizeBytesMax < Number.POSITIVE_INFINITY || recordsMax < Number.POSITIVE_INFINITY
      if (ageMsMax === 0 && !isBounded) continue
      tasks.push({ id, sizeBytesMax, recordsMax, appendedBeforeMs: ageMsMax === 0 ? 0 : nowMs - ageMsMax })
    }
    return tasks
  }

  #fromRow(row: SqliteRow): SqlitePartition {
    const id = number(row, "id")
    const key = { tenant: number(row, "tenant"), topicId: String(row["topic"]), partition: number(row, "number") }
    const partition = new SqlitePartition(this.#host, key, {
      id,
      logStart: number(row, "log_start"),
      logEnd: number(row, "log_end"),
      leaderEpoch: number(row, "leader_epoch"),
      bytes: number(row, "bytes")
    })
    this.#byName.set(nameOf(key), partition)
    this.#byId.set(id, partition)
    return partition
  }
}
