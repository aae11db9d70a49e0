/** The partitions of a store as its last checkpoint left them, by number and by key; what their files take, and which come first to go. */
import type { PartitionKey } from "../../core/mod.ts"
import { OldestSegments } from "./OldestSegments.ts"
import { fileBytes, findSegment, type Segment, type StoredPartition } from "./Segment.ts"

const nameOf = ({ tenant, topicId, partition }: PartitionKey): string => `${tenant}/${topicId}/${partition}`

export class Catalogue {
  readonly #byId: Map<number, StoredPartition>
  readonly #byName = new Map<string, StoredPartition>()
  readonly #cuts = new Map<number, number>()
  readonly oldest: OldestSegments
  /** Bytes of the files of segments, by tenant. */
  readonly #tenants = new Map<number, number>()

  /** The map is the catalogue's from then on. */
  constructor(partitions: Map<number, StoredPartition>) {
    this.#byId = partitions
    for (const partition of partitions.values()) {
      this.#byName.set(nameOf(partition.key), partition)
      this.#count(partition, 1)
    }
    this.oldest = new OldestSegments(partitions.values(), (id) => this.#byId.get(id))
  }

  get size(): number {
    return this.#byId.size
  }

  get all(): ReadonlyMap<number, StoredPartition> {
    return this.#byId
  }

  /** Bytes of the files of segments, by tenant. */
  get tenants(): ReadonlyMap<number, number> {
    return this.#tenants
  }

  get(id: number): StoredPartition | undefined {
    return this.#byId.get(id)
  }

  ofKey(key: PartitionKey): StoredPartition | undefined {
    return this.#byName.get(nameOf(key))
  }

  /** Whether that very segment is the partition's now; one that grew, or was cut, is another. */
  names(id: number, segment: Segment): boolean {
    const segments = this.#byId.get(id)?.segments ?? []
    return segments[findSegment(segments, segment.base)] === segment
  }

  set(partition: StoredPartition): void {
    const before = this.#byId.get(partition.id)
    if (before !== undefined) this.#count(before, -1)
    this.#count(partition, 1)
    this.#byId.set(partition.id, partition)
    this.#byName.set(nameOf(partition.key), partition)
    this.oldest.changed(before, partition)
  }

  /** How often the partition's log was cut since the start: what was found before may be written over. */
  cutsOf(id: number): number {
    return this.#cuts.get(id) ?? 0
  }

  /** The same partition, of which the end was cut off. */
  setCut(partition: StoredPartition): void {
    this.#cuts.set(partition.id, this.cutsOf(partition.id) + 1)
    this.set(partition)
  }

  remove(id: number): void {
    this.#cuts.delete(id)
    const partition = this.#byId.get(id)
    if (partition === undefined) return
    this.#count(partition, -1)
    this.#byId.delete(id)
    const name = nameOf(partition.key)
    if (this.#byName.get(name)?.id === id) this.#byName.delete(name)
  }

  #count({ key: { tenant }, segments }: StoredPartition, sign: 1 | -1): void {
    let bytes = 0
    for (const segment of segments) bytes += fileBytes(segment)
    this.#tenants.set(tenant, (this.#tenants.get(tenant) ?? 0) + sign * bytes)
  }
}
