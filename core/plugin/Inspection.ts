/**
 * What whoever wrote files on disk tells of them: for `manifold storage verify` and `stats`, and for backups. Core and the command
 * know no plugin's files; each plugin looks after its own.
 *
 * Invariants
 *  - An inspection reads and changes nothing. It may run beside the node that writes the files, without its lock: what is being
 *    written meanwhile is no damage.
 *  - A copy is of one moment, whole, synced, and of the same layout as the original.
 */
import type { Effect } from "effect"
import type { FilesShape } from "../platform/Files.ts"
import type { PluginError } from "./Plugin.ts"

export interface InspectionRequest {
  /** "verify" reads everything and checks every checksum; "stats" reads no more than it has to. */
  readonly depth: "stats" | "verify"
  /** The store, and the directory in which its files lie. */
  readonly store: number
  readonly directory: string
  readonly files: FilesShape
  /** To be awaited after each piece of at most about a MiB: settles when reading may go on, so that a disk is left to others. */
  pace(bytes: number): Promise<void>
}

/** Something on disk that is not as it was written. */
export interface Damage {
  readonly pathname: string
  /** Byte of the file; absent where none can be named. */
  readonly position?: number
  /** What was found, half a sentence for a person. */
  readonly message: string
  /** What a person can do. */
  readonly remedy: string
}

/** One part of a store: a journal, a database, a snapshot. */
export interface PartReport {
  /** One word. */
  readonly part: string
  /** Names of the part's files in the directory; those of directories stand for all that lies in them. */
  readonly names: ReadonlyArray<string>
  /** What it takes of the disk. */
  readonly bytes: number
  /**
   * Figures by name, in the order in which they are shown: "rows", "partitions". One means the same everywhere: "journal_index", the
   * entry of the store's journal up to which the part's state goes; it is compared with what the journal holds.
   */
  readonly counts: Readonly<Record<string, number>>
  readonly damage: ReadonlyArray<Damage>
  /** What is no damage, and good to know: a tail that a crash left. */
  readonly notes: ReadonlyArray<string>
}

/** Looks at what a plugin keeps in a store's directory; nothing where it keeps nothing there. `options` as its layer gets them. */
export type Inspect = (
  options: unknown,
  request: InspectionRequest
) => Effect.Effect<ReadonlyArray<PartReport>, PluginError>

/** What a plugin keeps in its store's directory, for who copies it while it is in use. */
export interface StoredPart {
  /** For messages: "storage-sqlite". */
  readonly name: string
  /**
   * Puts a copy into `directory`, which is there, under the names that the files have in the store's directory; other names there
   * are others'. Tells up to which entry of the journal the copy goes, where it is fed from there: the entries behind are added
   * to the backup. Undefined = it owes the journal nothing. What was acknowledged before the call is in the copy or in those entries.
   */
  copy(directory: string): Effect.Effect<number | undefined, PluginError>
}

/** What a person wants to see of one file. */
export interface DumpRequest {
  readonly pathname: string
  readonly files: FilesShape
  /** Each record, too; else batches, entries, rows. */
  readonly withRecords: boolean
  /** Takes one line of the result. */
  say(line: string): void
}

/**
 * Says what one of a plugin's files holds, line by line, as far as it can be read; reads alone. Returns what is wrong with it, half a
 * sentence for a person, or "" where nothing is; undefined where the file is none of its own, and then nothing is said.
 */
export type Dump = (request: DumpRequest) => Effect.Effect<string | undefined, PluginError>
