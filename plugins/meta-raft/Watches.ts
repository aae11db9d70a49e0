/**
 * Who is told of changes, and in which order.
 *
 * Invariants
 *  - A watcher is told what was there when it came, then every change since, each once, in the order of revisions; also where it, or
 *    another, writes while it is told.
 *  - Nobody is told in the middle of a command, nor after its watch has ended.
 */
import type { MetaChange, MetaEntry } from "../../core/mod.ts"

interface Watcher {
  readonly prefix: string
  readonly changed: (change: MetaChange) => void
}

interface Message {
  readonly watcher: Watcher
  readonly change: MetaChange
}

export class Watches {
  readonly #watchers = new Set<Watcher>()
  #messages: Array<Message> = []
  #isTelling = false

  /** Adds a watcher and tells it of `present`; the result ends the watch. */
  add(prefix: string, changed: (change: MetaChange) => void, present: ReadonlyArray<MetaEntry>): () => void {
    const watcher: Watcher = { prefix, changed }
    this.#watchers.add(watcher)
    for (const { key, value, version } of present) {
      this.#messages.push({ watcher, change: { key, value, revision: version } })
    }
    this.#tell()
    return () => void this.#watchers.delete(watcher)
  }

  /** Tells everybody of the changes of one command, which has been applied. */
  publish(changes: ReadonlyArray<MetaChange>): void {
    for (const { key, value, revision } of changes) {
      for (const watcher of this.#watchers) {
        if (!key.startsWith(watcher.prefix)) continue
        this.#messages.push({ watcher, change: { key, value: value?.slice(), revision } })
      }
    }
    this.#tell()
  }

  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      while (this.#messages.length > 0) {
        const messages = this.#messages
        this.#messages = []
        for (const { watcher, change } of messages) if (this.#watchers.has(watcher)) watcher.changed(change)
      }
    } finally {
      this.#isTelling = false
    }
  }
}
