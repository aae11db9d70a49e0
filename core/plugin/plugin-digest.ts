/**
 * The digest of a plugin's code: `sha256-` and 64 hexadecimal digits. In hexadecimal, because it has one spelling, is compared by eye
 * and is marked with one click; the form `algorithm-value` leaves room for another algorithm.
 *
 * It is the SHA-256 of: the path of the entry and a zero byte; then for each module, in the order of their paths (compared by UTF-16
 * code units), its path, a zero byte, its length in bytes as decimal digits, a zero byte, its bytes. Paths begin at the plugin's folder
 * and are joined by `/`. So the place of the folder and the order in which files are found do not matter, and every byte does.
 */
import { createHash } from "node:crypto"
import { type PluginPlace, pathIn } from "./locate-plugin.ts"

/** What a manifest may write. */
export const DIGEST_FORM = /^sha256-[0-9a-f]{64}$/

/** The digest of the modules in `code`, by their absolute paths. */
export function digestOf({ folder, entry }: PluginPlace, code: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash("sha256").update(`${pathIn(folder, entry)}\0`)
  const named = [...code].map(([path, bytes]) => ({ path: pathIn(folder, path), bytes }))
  named.sort((one, other) => (one.path < other.path ? -1 : 1))
  for (const { path, bytes } of named) hash.update(`${path}\0${bytes.length}\0`).update(bytes)
  return `sha256-${hash.digest("hex")}`
}
