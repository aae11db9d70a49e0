/**
 * When snapshots are taken: after so many commands, when changes are so old, and when the journal wants its segments back.
 *
 * Invariants
 *  - One is written at a time; what asks for one meanwhile gets the next.
 *  - `journalIndex` rises only when the snapshot that says so is durable.
 */
import type { ClockShape, LogShape, Timer } from "../../core/mod.ts"
import type { SnapshotFile } from "./SnapshotFile.ts"
import type { Snapshot } from "./snapshot-format.ts"

/** Commands after which a snapshot is due. */
export const COMMANDS_MAX = 1_000
/** A change is in a snapshot after about so long. */
export const AGE_MS_MAX = 10_000

export interface SnapshotsParts {
  readonly file: SnapshotFile
  readonly clock: ClockShape
  readonly log: LogShape
  /** Of the snapshot that is there; 0 = there is none. */
  readonly journalIndex: number
  readonly take: () => Snapshot
  /** Told when `journalIndex` has risen. */
  readonly durable: () => void
}

export class Snapshots {
  journalIndex: number
  readonly #parts: SnapshotsParts
  /** Commands since the last snapshot was taken. */
  #commands = 0
  #isWanted = false
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #isClosed = false

  constructor(parts: SnapshotsParts) {
    this.#parts = parts
    this.journalIndex = parts.journalIndex
  }

  /** A command was applied. */
  changed(): void {
    this.#commands += 1
    if (this.#commands >= COMMANDS_MAX) this.wanted()
    else this.#later()
  }

  /** Takes one soon, whether or not something has changed. */
  wanted(): void {
    if (this.#isClosed) return
    this.#isWanted = true
    this.#writing ??= this.#write()
  }

  /** Takes none any more; done when none is being written. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#writing
  }

  #later(): void {
    if (this.#isClosed) return
    this.#timer ??= this.#parts.clock.after(AGE_MS_MAX, () => {
      this.#timer = undefined
      if (this.#commands > 0 || this.#isWanted) this.wanted()
    })
  }

  async #write(): Promise<void> {
    const { file, clock, log, take, durable } = this.#parts
    try {
      while (this.#isWanted && !this.#isClosed) {
        this.#isWanted = false
        // Not within the command that made it due: what that changed is applied by then.
        await new Promise<void>((resolve) => clock.immediate(resolve))
        if (this.#isClosed) return
        this.#timer?.cancel()
        this.#timer = undefined
        const commands = this.#commands
        const snapshot = take()
        this.#commands = 0
        try {
          await file.write(snapshot)
        } catch (error) {
          // A disk that failed is left alone for a while.
          this.#commands += commands
          this.#isWanted = true
          log.error("meta", `a snapshot cannot be written, and is tried again: ${lineOf(error)}`)
          this.#later()
          return
        }
        if (snapshot.journalIndex <= this.journalIndex) continue
        this.journalIndex = snapshot.journalIndex
        durable()
      }
    } finally {
      this.#writing = undefined
    }
  }
}

function lineOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)
}
