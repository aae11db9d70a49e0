/** What a journal on disk is made of, its bounds, and what it tells who copies its files. */
import type { ClockShape } from "../platform/Clock.ts"
import type { FilesShape } from "../platform/Files.ts"
import type { RandomShape } from "../platform/Random.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { Checksum } from "./entry-format.ts"
import type { Durability } from "./Journal.ts"

/** Sizes in bytes; times in milliseconds. */
export interface DiskJournalOptions {
  readonly segmentBytes: number
  /** Above this, in files, consumers are asked to put away what they hold back; nothing is taken above {@link BACKLOG_FACTOR} times this. */
  readonly journalBytesMax: number
  /** What asks for no sync is synced this much later. */
  readonly flushIntervalMs: number
}

export const diskJournalDefaults: DiskJournalOptions = {
  segmentBytes: 16_777_216,
  journalBytesMax: 67_108_864,
  flushIntervalMs: 200
}

export const BACKLOG_FACTOR = 4

export interface DiskJournalParts {
  /** Exists and is writable; the caller holds its lock. */
  readonly directory: string
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly turn: TurnShape
  readonly log: LogShape
  /** Draws the journal's id and the marks of its segments, which no client may guess. */
  readonly random: RandomShape
  readonly options: DiskJournalOptions
  /** What key-value writes, and `JournalShape.tickets`, promise. */
  readonly stateDurability: Durability
  /** The checksum of entries; another one only in tests that plant a fault. */
  readonly checksum?: Checksum
}

/** Segments with what is synced in them, oldest first. They stay as they are until `release` is called. */
export interface JournalPosition {
  /** The last entry in them. */
  readonly index: number
  readonly segments: ReadonlyArray<{ readonly pathname: string; readonly start: number; readonly end: number }>
  readonly release: () => void
}
