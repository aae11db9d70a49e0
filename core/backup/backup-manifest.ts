/**
 * `backup.json`: what a backup is of, and every file in it with its size and SHA-256. It is written last: where it is, the backup is
 * whole. docs/formats/backup.md describes it.
 *
 * Invariants
 *  - `sha256`, its last member, is that of all bytes before the line it stands in; a manifest that does not say so is damaged.
 *  - A name in it leads to a file below the backup, never elsewhere.
 */
import { createHash } from "node:crypto"
import * as v from "valibot"

/** Raised by one when a release cannot restore what this one writes. */
export const BACKUP_FORMAT = 1
export const BACKUP_FILE = "backup.json"
/** There from the first moment of a backup until `backup.json` is; afterwards only where that was cut short. */
export const STARTED_FILE = "backup.started"
/** Bytes of `backup.json`, at most: about 300,000 files. */
export const MANIFEST_SIZE_MAX = 67_108_864

/** One part of a path; what begins with a dot is no file of ours, but for the names that engines give theirs. */
const PART = /^(?!\.{1,2}$)[A-Za-z0-9._~+@=,-]{1,200}$/
const SHA256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits"))
const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const name = v.pipe(
  v.string(),
  v.check((text) => text.length <= 1_000 && text.split("/").every((part) => PART.test(part)), "a path below the backup")
)

const schema = v.object({
  manifold: v.literal("backup"),
  format: v.literal(BACKUP_FORMAT),
  /** When the state was that of the backup, by the node's clock; RFC 3339. */
  taken_at: v.string(),
  node: v.string(),
  /** The data directory's id. */
  directory: v.string(),
  created_by: v.string(),
  /** Up to which entry each store's journal goes; 0 = none. */
  stores: v.array(v.object({ store: count, journal_index: count })),
  files: v.array(v.object({ name, bytes: count, sha256: SHA256 }))
})

export type BackupManifest = v.InferOutput<typeof schema>

/** Why a `backup.json` is none that this release restores; half a sentence. */
export class ManifestFault extends Error {
  override readonly name = "ManifestFault"
}

/** Whether a file of this name can stand in a backup. */
export function isBackupName(text: string): boolean {
  return v.is(name, text)
}

export function encodeManifest(manifest: BackupManifest): Uint8Array<ArrayBuffer> {
  const body = `${JSON.stringify(manifest, undefined, 1).slice(0, -2)},\n`
  return new TextEncoder().encode(`${body} "sha256": "${sha256(body)}"\n}\n`)
}

/** What the bytes say. Throws {@link ManifestFault}. */
export function decodeManifest(bytes: Uint8Array): BackupManifest {
  const text = new TextDecoder().decode(bytes)
  const last = /^ "sha256": "([0-9a-f]{64})"\n\}\n$/
  const at = text.lastIndexOf('\n "sha256": ') + 1
  const checksum = last.exec(text.slice(at))?.[1]
  if (checksum === undefined) throw new ManifestFault("it is damaged: its last line is no checksum")
  if (checksum !== sha256(text.slice(0, at)))
    throw new ManifestFault("it is damaged: its checksum is that of other content")
  const value: unknown = JSON.parse(text)
  const { format } = v.parse(v.object({ format: v.unknown() }), value)
  if (typeof format === "number" && format > BACKUP_FORMAT) {
    throw new ManifestFault(
      `it is of format ${format}, made by a newer release; this one reads ${BACKUP_FORMAT}: restore it with the newer release`
    )
  }
  const parsed = v.safeParse(schema, value)
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw new ManifestFault(`it is none of ours: ${v.getDotPath(issue) ?? "the text"}: ${issue.message}`)
  }
  return parsed.output
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}
