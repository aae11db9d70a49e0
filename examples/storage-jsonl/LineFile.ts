/**
 * The file of one partition: lines go to its end, whole or not at all; it is cut at its end, and rewritten without its beginning.
 *
 * Invariant: `size` is where the last whole line ends. What a write that failed may have left behind it is cut off at once.
 */
import { Effect } from "effect"
import { type FilesShape, type OpenFile, Unusable } from "manifold"

const COPY_BYTES = 262_144

export class LineFile {
  readonly pathname: string
  size: number
  readonly #files: FilesShape
  readonly #folder: string
  #file: OpenFile
  /** The file has a name that power loss would take back. */
  #isNameNew: boolean

  /** Opens the file, or makes it in `folder`. Throws `FileError`. */
  constructor(files: FilesShape, folder: string, name: string) {
    this.#files = files
    this.#folder = folder
    this.pathname = `${folder}/${name}`
    this.#file = files.openUnsafe(this.pathname, "create")
    this.size = this.#file.sizeUnsafe()
    this.#isNameNew = this.size === 0
  }

  /** Where a rewritten file lies until it takes the place of the old one. */
  get newPathname(): string {
    return `${this.pathname}.new`
  }

  /** Writes a line behind the last one. Where it throws, the file is as it was, or, with {@link Unusable}, of no more use. */
  append(line: Uint8Array): void {
    try {
      this.#file.writeUnsafe(line, 0, line.length, this.size)
      this.size += line.length
    } catch (error) {
      try {
        this.cut(this.size)
      } catch (another) {
        throw new Unusable({ message: `${lineOf(error)}, and then ${lineOf(another)}` })
      }
      throw error
    }
  }

  cut(position: number): void {
    this.#file.truncateUnsafe(position)
    this.size = position
  }

  /** Makes everything durable that was written before the call, the file's name too. */
  async sync(): Promise<void> {
    const isNameNew = this.#isNameNew
    await this.#file.sync()
    if (!isNameNew) return
    await Effect.runPromise(this.#files.syncDirectory(this.#folder))
    this.#isNameNew = false
  }

  /** See {@link OpenFile.read}; may go on while the file is closed or rewritten. */
  read(target: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return this.#file.read(target, start, end, position)
  }

  /**
   * Begins a file that holds `head` and what is here from `from` up to `to`, or up to where this one will end; undefined where `isOff`
   * says so meanwhile.
   */
  async copy(head: Uint8Array, from: number, to: number | undefined, isOff: () => boolean): Promise<Copy | undefined> {
    const target = this.#files.openUnsafe(this.newPathname, "create")
    const copy = { target, copied: from, to, shift: head.length - from }
    try {
      target.truncateUnsafe(0)
      target.writeUnsafe(head, 0, head.length, 0)
      const buffer = new Uint8Array(COPY_BYTES)
      while (copy.copied < (to ?? this.size) && !isOff()) {
        const wanted = Math.min(buffer.length, (to ?? this.size) - copy.copied)
        const count = await this.#file.read(buffer, 0, wanted, copy.copied)
        if (isOff()) break
        target.writeUnsafe(buffer, 0, count, copy.copied + copy.shift)
        copy.copied += count
      }
      if (!isOff()) return copy
    } catch (error) {
      await this.drop(copy)
      throw error
    }
    await this.drop(copy)
    return undefined
  }

  /**
   * Puts a copy in the file's place. What was written since it began is copied too: most of it before the new file is synced, what is
   * left in the same moment in which the names change and `replaced` is called: positions are others from then on. Nobody else may sync
   * or cut the file meanwhile. All that had been synced is durable at every moment; what was not is so after the next
   * {@link LineFile.sync}.
   */
  async replaceBy(copy: Copy, replaced: () => void): Promise<void> {
    try {
      this.#copyRest(copy)
      await copy.target.sync()
      this.#copyRest(copy)
      this.#files.renameUnsafe(this.newPathname, this.pathname)
    } catch (error) {
      await this.drop(copy)
      throw error
    }
    this.#file.close()
    this.#file = copy.target
    this.size = copy.copied + copy.shift
    this.#isNameNew = true
    replaced()
  }

  async drop(copy: Copy): Promise<void> {
    copy.target.close()
    await Effect.runPromise(this.#files.remove(this.newPathname))
  }

  close(): void {
    this.#file.close()
  }

  #copyRest(copy: Copy): void {
    const rest = new Uint8Array((copy.to ?? this.size) - copy.copied)
    this.#file.readUnsafe(rest, 0, rest.length, copy.copied)
    copy.target.writeUnsafe(rest, 0, rest.length, copy.copied + copy.shift)
    copy.copied += rest.length
  }
}

/** A file that is to take the place of another. */
export interface Copy {
  readonly target: OpenFile
  /** So far the other file is in this one. */
  copied: number
  readonly to: number | undefined
  /** What a position in the other file becomes in this one, less itself. */
  readonly shift: number
}

/** An error's first line. */
export function lineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? ""
}
