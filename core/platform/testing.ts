/** For tests: folders of this machine. */
import { copyFileSync, mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"

/** Copies a folder that somebody may still be removing files from: what goes meanwhile is not in the copy. */
export function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    try {
      if (entry.isDirectory()) copyFolder(source, target)
      else copyFileSync(source, target)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error
    }
  }
}
