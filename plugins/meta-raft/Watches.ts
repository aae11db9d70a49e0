/**
 * Who is told of changes, and in which order.
 *
 * Invariants
 *  - A watcher is told what was there when it came, then every change since, each once, in the order of revisions; also where it, or
 *    another, writes while it is told.
 *  - Nobody is told in the middle of a command, nor after its watch has ended.
 */
import type { MetaChange, MetaEntry, MetaFound } from "../../core/mod.ts"

/** Entries that a new watcher is told of at a time, so that many never lie in memory twice. */
const PAGE_LENGTH = 1_000

/** What is there. */
export interface WatchedState {
  readonly revision: number
  range(prefix: string, cursor: string, limit: number): ReadonlyArray<MetaEntry>
  visit(prefix: string, found: MetaFound): void
}

interface Watcher {
  readonly prefix: string
  readonly changed: (change: MetaChange) => void
  /** What has changed while it is told what is there. */
  waiting: Array<MetaChange> | undefined
}

interface Message {
  readonly watcher: Watcher
  readonly change: MetaChange
}

export class Watches {
  readonly #watchers = new Set<Watcher>()
  #messages: Array<Message> = []
  #isTelling = false

  /** Adds a watcher and tells it, or `found`, of what is there; the result ends the watch. */
  add(prefix: string, changed: (change: MetaChange) => void, state: WatchedState, found?: MetaFound): () => void {
    const watcher: Watcher = { prefix, changed, waiting: [] }
    this.#watchers.add(watcher)
    if (found === undefined) this.#tellAll(watcher, state)
    else state.visit(prefix, found)
    for (const change of watcher.waiting ?? []) this.#messages.push({ watcher, change })
    watcher.waiting = undefined
    this.#tell()
    return () => void this.#watchers.delete(watcher)
  }

  /** Tells a watcher of what is there; it may write meanwhile. */
  #tellAll(watcher: Watcher, state: WatchedState): void {
    const { prefix, changed } = watcher
    const { revision: until } = state
    for (let cursor = ""; this.#watchers.has(watcher); ) {
      const page = state.range(prefix, cursor, PAGE_LENGTH)
      for (const { key, value, version } of page) {
        // What somebody wrote while this was told comes as a change.
        if (version <= until) changed({ key, value, revision: version })
      }
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE_LENGTH) break
      cursor = last.key
    }
  }

  /** Tells everybody of the changes of one command, which has been applied. */
  publish(changes: ReadonlyArray<MetaChange>): void {
    for (const { key, value, revision } of changes) {
      for (const watcher of this.#watchers) {
        if (!key.startsWith(watcher.prefix)) continue
        const change = { key, value: value?.slice(), revision }
        if (watcher.waiting === undefined) this.#messages.push({ watcher, change })
        else watcher.waiting.push(change)
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
