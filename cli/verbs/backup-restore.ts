/**
 * `manifold backup restore DIR --data NEW`: makes a data directory of a backup, while nothing runs there. Every checksum is compared
 * before anything is written; exit code 1 where one is not right, each told on a line.
 */
import { resolve } from "node:path"
import { Effect } from "effect"
import { BackupError } from "../../core/backup/BackupError.ts"
import { restoreBackup } from "../../core/backup/restore-backup.ts"
import { Files } from "../../core/platform/Files.ts"
import { hostPlatform } from "../../core/platform/host.ts"
import { makePace } from "../../core/platform/pace.ts"
import { systemClock } from "../../core/platform/system.ts"
import { type Arguments, UsageError } from "../arguments.ts"
import { fail, logLine, oneLine, say } from "../output.ts"
import { outputOf } from "../plugin-facts.ts"
import { rateOf } from "../storage-report.ts"

const DATA = "node.data="

export async function backupRestore(given: Arguments): Promise<number> {
  const output = outputOf(given)
  const pace = makePace(rateOf(given), systemClock)
  const [backup] = given.operands
  const target = given.sets.findLast((set) => set.startsWith(DATA))?.slice(DATA.length)
  if (backup === undefined || target === undefined) {
    throw new UsageError("backup restore needs two directories: manifold backup restore DIR --data NEW")
  }
  const restoring = Effect.gen(function* () {
    const files = yield* Files
    return yield* restoreBackup({ backup: resolve(backup), target: resolve(target), files, pace, damaged: fail })
  })
  const platform = hostPlatform((error) => logLine(`ERROR ${oneLine(error)}`))
  try {
    const manifest = await Effect.runPromise(restoring.pipe(Effect.provide(platform)))
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    const { taken_at, node, directory, stores } = manifest
    const done = {
      restored: resolve(target),
      taken_at,
      node,
      directory,
      stores: stores.length,
      files: manifest.files.length,
      bytes
    }
    if (output === "json") say(JSON.stringify(done, undefined, 2))
    else
      say(
        `${target}: restored ${done.files} files, ${bytes} bytes: node ${node} as it was at ${taken_at}; every checksum is right`
      )
    return 0
  } catch (error) {
    fail(error instanceof BackupError ? error.message : oneLine(error))
    return 1
  }
}
