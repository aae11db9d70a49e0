/** The `backup` resource of a node, made of the stores of its shards; one that keeps nothing on disk has none, and says so. */
import { Effect, type Scope } from "effect"
import { backupResource } from "../backup/backup-resource.ts"
import type { BackupStore } from "../backup/create-backup.ts"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { FilesShape } from "../platform/Files.ts"
import type { StoredPart } from "../plugin/Inspection.ts"
import type { NodeResources } from "../resources/Resources.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { MoveGate } from "../topics/TopicMover.ts"
import type { NodeOptions } from "./NodeOptions.ts"

export interface BackedUpShard {
  readonly index: number
  /** Undefined where the shard keeps nothing on disk. */
  readonly disk: DiskJournal | undefined
  /** What plugins keep in the shard's store. */
  readonly parts: () => ReadonlyArray<StoredPart>
}

export interface RegisterBackupsParts {
  readonly options: NodeOptions
  readonly shards: ReadonlyArray<BackedUpShard>
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly resources: NodeResources
  readonly gate: MoveGate
}

/** Registers it for the life of the surrounding scope, which also ends a backup that is under way. */
export function registerBackups(parts: RegisterBackupsParts): Effect.Effect<void, never, Scope.Scope> {
  const { options, files, clock, log, resources, gate } = parts
  const stores = parts.shards.flatMap(storeOf)
  const { dataDirectory: directory, id: node, version } = options
  return backupResource({ directory, files, stores, node, version, clock, log, gate }).pipe(
    Effect.flatMap(resources.register)
  )
}

function storeOf({ index, disk, parts }: BackedUpShard): ReadonlyArray<BackupStore> {
  if (disk === undefined) return []
  return [
    {
      number: index,
      parts,
      hold: () => disk.position(),
      synced: () => ({ index: disk.syncedIndex, segments: disk.segmentFiles.synced() })
    }
  ]
}
