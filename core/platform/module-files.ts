/** The files that code lies in, on any runtime that has node:fs. */
import { readFileSync, realpathSync, statSync } from "node:fs"
import type { ModuleFiles } from "./Modules.ts"

export const moduleFiles: ModuleFiles = {
  kind: (path) => {
    const found = tried(() => statSync(path, { throwIfNoEntry: false }))
    if (found?.isFile() === true) return "file"
    return found?.isDirectory() === true ? "folder" : undefined
  },
  realPath: (path) => tried(() => realpathSync.native(path)),
  read: (path) => readFileSync(path)
}

/** What cannot be looked at is not there: whoever asked says so. */
function tried<Value>(look: () => Value): Value | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
