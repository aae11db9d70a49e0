/**
 * The engine: which file is which partition, who has it open, and how many may be.
 *
 * Invariants
 *  - A partition is open once, however often it was opened, and its file is closed with the last of its scopes.
 *  - A file's path is made of checked numbers and letters alone: `<tenant>/<topic id>-<partition>.jsonl`.
 */
import { Effect } from "effect"
import type { Engine, PartitionKey, PartitionOptions, StorageError } from "manifold"
import { storageError, unusable } from "./errors.ts"
import { JsonlPartition } from "./JsonlPartition.ts"
import type { PartitionParts } from "./PartitionParts.ts"

export interface EngineParts extends PartitionParts {
  /** Everything lies below it. */
  readonly folder: string
  /** Partitions that may be open at a time; each has an open file. */
  readonly partitionsMax: number
}

export interface JsonlEngine extends Engine {
  /** The partitions that are open, by name. */
  readonly partitions: () => ReadonlyMap<string, JsonlPartition>
}

interface Opened {
  readonly partition: Promise<JsonlPartition>
  holders: number
  /** Settles when the file has been given back. */
  closed?: Promise<void>
}

const TOPIC_ID = /^[a-z0-9-]{1,64}$/

export function makeJsonlEngine(parts: EngineParts): JsonlEngine {
  const opened = new Map<string, Opened>()
  const partitions = new Map<string, JsonlPartition>()

  /** Makes a tenant's folder, durably. */
  const prepare = (folder: string): Promise<void> =>
    Effect.runPromise(
      Effect.andThen(parts.files.ensureWritableDirectory(folder), parts.files.syncDirectory(parts.folder))
    )

  const acquire = async (key: PartitionKey, options: PartitionOptions): Promise<JsonlPartition> => {
    const { name, folder, file } = placeOf(parts.folder, key)
    await opened.get(name)?.closed
    const known = opened.get(name)
    if (known !== undefined) {
      known.holders += 1
      return known.partition
    }
    if (opened.size >= parts.partitionsMax) {
      throw unusable(`${opened.size} partitions are open, as many as partitions_max allows`)
    }
    const partition = prepare(folder).then(() => JsonlPartition.open(parts, folder, file, options))
    opened.set(name, { partition, holders: 1 })
    try {
      partitions.set(name, await partition)
      return partition
    } catch (error) {
      opened.delete(name)
      throw error
    }
  }

  const forget = (name: string): void => {
    opened.delete(name)
    partitions.delete(name)
  }

  const release = async (key: PartitionKey, partition: JsonlPartition): Promise<void> => {
    const { name } = placeOf(parts.folder, key)
    const entry = opened.get(name)
    // One that was removed has been given back, and its name may be another's by now.
    if (entry === undefined || partitions.get(name) !== partition || --entry.holders > 0) return
    entry.closed = partition.close().finally(() => forget(name))
    await entry.closed
  }

  const remove = async (key: PartitionKey): Promise<void> => {
    const { name, folder, file } = placeOf(parts.folder, key)
    const entry = opened.get(name)
    await entry?.closed
    const partition = partitions.get(name)
    await partition?.abandon()
    forget(name)
    for (const each of [file, `${file}.new`]) await Effect.runPromise(parts.files.remove(`${folder}/${each}`))
    const sync = parts.files.syncDirectory(folder)
    // A tenant that never had a partition has no folder.
    await Effect.runPromise(
      Effect.catch(sync, (error) => (error.code === "not-found" ? Effect.void : Effect.fail(error)))
    )
  }

  const tried = <Value>(work: () => Promise<Value>): Effect.Effect<Value, StorageError> =>
    Effect.tryPromise({ try: work, catch: storageError })

  return {
    modes: ["hybrid", "persistent"],
    open: (key, options) =>
      Effect.acquireRelease(
        tried(() => acquire(key, options)),
        (partition) =>
          tried(() => release(key, partition)).pipe(
            Effect.catch((error) =>
              Effect.sync(() =>
                parts.log.error("storage-jsonl", "a partition was not closed", { reason: error.message })
              )
            )
          )
      ),
    remove: (key) => tried(() => remove(key)),
    partitions: () => partitions
  }
}

/** Where a partition lies. Throws `StorageError` where the key is none that core makes. */
function placeOf(root: string, { tenant, topicId, partition }: PartitionKey) {
  const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
  if (!TOPIC_ID.test(topicId) || !isNumber(tenant) || !isNumber(partition)) {
    throw unusable(`no name for a file: tenant ${tenant}, topic id ${JSON.stringify(topicId)}, partition ${partition}`)
  }
  return {
    name: `${tenant}/${topicId}-${partition}`,
    folder: `${root}/${tenant}`,
    file: `${topicId}-${partition}.jsonl`
  }
}
