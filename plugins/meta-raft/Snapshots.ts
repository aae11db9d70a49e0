/**
 * When snapshots are written: after so many commands, when changes are so old, and when the journal wants its segments back. What has
 * changed is appended to the file; when as much was appended as the state had, the whole state takes its place.
 *
 * So a byte of the state is written about three times, however large the state is and however often it changes.
 *
 * Invariants
 *  - One is written at a time; what asks for one meanwhile gets the next.
 *  - `journalIndex` rises only when the snapshot that says so is durable.
 *  - A key that has changed is in the file, or among those that the next write has.
 */
import type { ClockShape, LogShape, Timer } from "../../core/mod.ts"
import type { SnapshotFile, SnapshotSource, SnapshotWrite } from "./SnapshotFile.ts"

/** Commands after which a snapshot is due. */
export const COMMANDS_MAX = 1_000
/** A change is in a snapshot after about so long. */
export const AGE_MS_MAX = 10_000
/** So much may be appended to a small state. */
export const APPENDED_BYTES_MIN = 1_048_576

export interface SnapshotsParts {
  readonly file: SnapshotFile
  readonly clock: ClockShape
  readonly log: LogShape
  /** Of the snapshot that is there; 0 = there is none. */
  readonly journalIndex: number
  readonly source: SnapshotSource
  /** Told when `journalIndex` has risen. */
  readonly durable: () => void
  /** Instead of {@link APPENDED_BYTES_MIN}. */
  readonly appendedBytesMin: number | undefined
}

export class Snapshots {
  journalIndex: number
  readonly #parts: SnapshotsParts
  /** Commands since the last snapshot was begun. */
  #commands = 0
  /** Keys that have changed since the last commit in the file. */
  #changed = new Set<string>()
  /** What else is told of keys that change: whole snapshots that are being written. */
  readonly #whole = new Set<Set<string>>()
  #isWanted = false
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #isClosed = false

  constructor(parts: SnapshotsParts) {
    this.#parts = parts
    this.journalIndex = parts.journalIndex
  }

  /** A key of the state has changed, since it was loaded. */
  keyChanged(key: string): void {
    this.#changed.add(key)
    for (const changed of this.#whole) changed.add(key)
  }

  /** A command was applied. */
  applied(): void {
    this.#commands += 1
    if (this.#commands >= COMMANDS_MAX) this.wanted()
    else this.#later()
  }

  /** Takes one soon, whether or not something has changed. */
  wanted(): void {
    if (this.#isClosed) return
    this.#isWanted = true
    this.#writing ??= this.#run()
  }

  /** Has `write` write a whole snapshot of what is, for somebody else; returns up to which entry of the journal that goes. */
  async whole(write: (write: SnapshotWrite) => Promise<void>): Promise<number> {
    let journalIndex = 0
    const changed = new Set<string>()
    this.#whole.add(changed)
    const committed: SnapshotWrite["committed"] = (head) => {
      journalIndex = head.journalIndex
      this.#whole.delete(changed)
    }
    try {
      await write({ source: this.#parts.source, changed, written: [], committed })
      return journalIndex
    } finally {
      this.#whole.delete(changed)
    }
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

  async #run(): Promise<void> {
    const { clock, log, durable } = this.#parts
    try {
      while (this.#isWanted && !this.#isClosed) {
        this.#isWanted = false
        // Not within the command that made it due: what that changed is applied by then.
        await new Promise<void>((resolve) => clock.immediate(resolve))
        if (this.#isClosed) return
        this.#timer?.cancel()
        this.#timer = undefined
        const commands = this.#commands
        this.#commands = 0
        let journalIndex = 0
        try {
          journalIndex = await this.#write()
        } catch (error) {
          // A disk that failed is left alone for a while.
          this.#commands += commands
          this.#isWanted = true
          log.error("meta", `a snapshot cannot be written, and is tried again: ${lineOf(error)}`)
          this.#later()
          return
        }
        if (journalIndex <= this.journalIndex) continue
        this.journalIndex = journalIndex
        durable()
      }
    } finally {
      this.#writing = undefined
    }
  }

  /** Returns up to which entry of the journal the file goes now. */
  #write(): Promise<number> {
    const { file, appendedBytesMin = APPENDED_BYTES_MIN } = this.#parts
    const { size, baseSize } = file
    const isDue = size - baseSize >= Math.max(appendedBytesMin, baseSize)
    return size === 0 || isDue ? this.#replace() : this.#append()
  }

  async #append(): Promise<number> {
    const { file, source } = this.#parts
    let journalIndex = 0
    const written: Array<string> = []
    const committed: SnapshotWrite["committed"] = (head) => {
      journalIndex = head.journalIndex
    }
    try {
      await file.append({ source, changed: this.#changed, written, committed })
    } catch (error) {
      for (const key of written) this.#changed.add(key)
      throw error
    }
    return journalIndex
  }

  async #replace(): Promise<number> {
    const since = new Set<string>()
    try {
      const journalIndex = await this.whole((write) => {
        const committed: SnapshotWrite["committed"] = (head) => {
          write.committed(head)
          // From now on what changes is not in it.
          this.#whole.add(since)
        }
        return this.#parts.file.replace({ ...write, committed })
      })
      this.#changed = since
      return journalIndex
    } finally {
      this.#whole.delete(since)
    }
  }
}

function lineOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)
}
