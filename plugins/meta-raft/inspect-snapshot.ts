/** What `manifold storage` is told of the snapshot on disk. It is read as a whole at either depth. */
import { join } from "node:path"
import { Effect } from "effect"
import { type Damage, FileError, type InspectionRequest, type PartReport, PluginError } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { MetaState } from "./MetaState.ts"
import { readSnapshot } from "./read-snapshot.ts"
import { DIRECTORY, SNAPSHOT } from "./SnapshotFile.ts"

export function inspectSnapshot(request: InspectionRequest): Effect.Effect<ReadonlyArray<PartReport>, PluginError> {
  const { files, directory } = request
  const look = files.list(directory).pipe(
    Effect.flatMap((names) => (names.includes(`${DIRECTORY}/`) ? files.list(join(directory, DIRECTORY)) : none)),
    Effect.flatMap((names) =>
      names.includes(SNAPSHOT)
        ? Effect.tryPromise({ try: () => reportOf(request), catch: (error) => error }).pipe(
            Effect.catch((error) => (error instanceof FileError ? Effect.fail(error) : Effect.die(error)))
          )
        : Effect.succeed([])
    )
  )
  const failed = (error: FileError): PluginError => new PluginError({ plugin: "meta-raft", message: error.message })
  return look.pipe(Effect.mapError(failed))
}

const none = Effect.succeed<ReadonlyArray<string>>([])

async function reportOf({ directory, files, pace, metaEntry }: InspectionRequest): Promise<ReadonlyArray<PartReport>> {
  const pathname = join(directory, DIRECTORY, SNAPSHOT)
  const part = { part: "meta", names: [DIRECTORY] }
  const state = new MetaState()
  try {
    const { head, end, size } = await readSnapshot(files, pathname, state, pace)
    if (metaEntry !== undefined) for (const { key, stored } of state.entriesFrom("")) metaEntry(key, stored.value)
    const counts = {
      keys: state.size,
      leases: head.leases.length,
      revision: head.revision,
      log_index: head.lastIndex,
      journal_index: head.journalIndex
    }
    const unfinished = `${pathname} ends with ${size - end} bytes of a write that was not finished; the journal has what was in it`
    return [{ ...part, bytes: size, counts, damage: [], notes: end < size ? [unfinished] : [] }]
  } catch (error) {
    if (!(error instanceof MetaFormatFault)) throw error
    const remedy = "restore the data directory from a backup"
    const damage: ReadonlyArray<Damage> = [{ pathname, message: error.message, remedy }]
    return [{ ...part, bytes: sizeOf(files, pathname), counts: {}, damage, notes: [] }]
  }
}

function sizeOf(files: InspectionRequest["files"], pathname: string): number {
  const file = files.openUnsafe(pathname, "read")
  try {
    return file.sizeUnsafe()
  } finally {
    file.close()
  }
}
