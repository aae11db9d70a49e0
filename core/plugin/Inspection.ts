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
  /** Where it is there: to be told of each key of a state that the nodes of a cluster agree on; the value is borrowed until it returns. */
  metaEntry?(key: string, value: Uint8Array): void
}

/** One partition that is kept, as its engine's last checkpoint left it. */
export interface PartitionReport {
  readonly engine: string
  readonly tenant: number
  readonly topicId: string
  readonly partition: number
  /** Files of batches; 0 where the engine has none of its own. */
  readonly segments: number
  /** Of its batches, and of what is kept beside them to find them. */
  readonly bytes: number
  readonly indexBytes: number
  readonly records: number
  /** The first offset, and one past the last. */
  readonly logStart: number
  readonly logEnd: number
  /** Milliseconds, of the oldest batch and the latest of all; absent where nothing is kept. */
  readonly firstTimestamp?: number
  readonly lastTimestamp?: number
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
  /** At the depth "stats": each partition that it keeps, in any order. */
  readonly partitions?: ReadonlyArray<PartitionReport>
}

/** Looks at what a plugin keeps in a store's directory; nothing where it keeps nothing there. `options` as its layer gets them. */
export type Inspect = (
  options: unknown,
  request: InspectionRequest
) => Effect.Effect<ReadonlyArray<PartReport>, PluginError>

export interface RepairRequest {
  /** The store, and the directory in which its files lie. Nobody else uses them: the directory's lock is held. */
  readonly store: number
  readonly directory: string
  readonly files: FilesShape
  readonly nowMs: number
  /** As {@link InspectionRequest.pace}. */
  pace(bytes: number): Promise<void>
  /** False: nothing is changed, and the steps are those that would be taken. */
  readonly isApplied: boolean
  /** What becomes of what cannot be made anew from something else: it stays as it is, the log is cut before it, it is moved aside. */
  readonly broken: "leave" | "truncate" | "quarantine"
  /** What says which files there are may be made anew from these. */
  readonly rebuildsManifest: boolean
  /** Entries of the store's journal up to this one are gone: what a state says that it has, at least. Undefined = the journal cannot be read. */
  readonly journalBegins: number | undefined
}

/** Something that is not as it was written, and what is done about it. */
export interface RepairStep {
  /** One word: "rewrite", "correct", "truncate", "quarantine", "rebuild". */
  readonly action: string
  readonly pathname: string
  /** What was found, and what is done or would be, half a sentence for a person; offsets that are lost are named. */
  readonly message: string
  /** Options of the command one of which has to be given first; "" = none. */
  readonly needs: string
  /** It is done, and durable. */
  readonly isDone: boolean
}

/**
 * Makes right what can be made right of a plugin's files, while nothing runs on them; nothing where all is whole. Nothing is ever deleted:
 * what has to go is moved into a directory `quarantine`. A process that ends anywhere within leaves what another repair can take up.
 */
export type Repair = (options: unknown, request: RepairRequest) => Effect.Effect<ReadonlyArray<RepairStep>, PluginError>

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
