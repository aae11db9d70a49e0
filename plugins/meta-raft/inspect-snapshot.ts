/** What `manifold storage` is told of the snapshot on disk. It is read as a whole at either depth: it is small. */
import { join } from "node:path"
import { Effect } from "effect"
import { type Damage, FileError, type InspectionRequest, type PartReport, PluginError } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { DIRECTORY, SNAPSHOT } from "./SnapshotFile.ts"
import { decodeSnapshot } from "./snapshot-format.ts"

/** Bytes that are read between two pauses. */
const PIECE_BYTES = 1_048_576

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

async function reportOf(request: InspectionRequest): Promise<ReadonlyArray<PartReport>> {
  const pathname = join(request.directory, DIRECTORY, SNAPSHOT)
  const bytes = await readPaced(request, pathname)
  const damage: Array<Damage> = []
  let counts: Readonly<Record<string, number>> = {}
  try {
    const { journalIndex, lastIndex, image } = decodeSnapshot(bytes)
    const { entries, leases, revision } = image
    for (const { key, stored } of entries) request.metaEntry?.(key, stored.value)
    counts = {
      keys: entries.length,
      leases: leases.length,
      revision,
      log_index: lastIndex,
      journal_index: journalIndex
    }
  } catch (error) {
    if (!(error instanceof MetaFormatFault)) throw error
    damage.push({ pathname, message: error.message, remedy: "restore the data directory from a backup" })
  }
  return [{ part: "meta", names: [DIRECTORY], bytes: bytes.length, counts, damage, notes: [] }]
}

async function readPaced({ files, pace }: InspectionRequest, pathname: string): Promise<Uint8Array> {
  const file = files.openUnsafe(pathname, "read")
  try {
    const bytes = new Uint8Array(file.sizeUnsafe())
    let end = 0
    while (end < bytes.length) {
      const read = await file.read(bytes, end, Math.min(bytes.length, end + PIECE_BYTES), end)
      if (read === 0) break
      end += read
      await pace(read)
    }
    return bytes.subarray(0, end)
  } finally {
    file.close()
  }
}
