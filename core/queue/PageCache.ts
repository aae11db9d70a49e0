/**
 * Pages of rows that were read from a store, kept for the readers that follow and shared by those who ask while one is on its way.
 *
 * A page says everything about the offsets from its start on and below its end; it begins where the one before it ended, the first
 * of a row of pages at a multiple of the alignment, so that readers at different positions meet.
 *
 * Invariants: what is kept stays below the bound, but for one page; a failure is not kept.
 */
export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  /** One past the last offset that it says everything about. */
  readonly next: number
  /** What it takes in memory. */
  readonly bytes: number
}

/** Reads the page that begins at `start`; `next` of it is above `start`. */
export type PageLoader<Item> = (start: number, end: number) => Promise<Page<Item>>

export class PageCache<Item> {
  readonly #alignment: number
  readonly #bytesMax: number
  /** In the order of their last use. */
  readonly #pages = new Map<string, Page<Item>>()
  readonly #loading = new Map<string, Promise<Page<Item>>>()
  #bytes = 0

  constructor(alignment: number, bytesMax: number) {
    this.#alignment = alignment
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The page of `series` that says something about `position`; `load` reads those that are not there, never at or above `end`. */
  async at(series: string, position: number, end: number, load: PageLoader<Item>): Promise<Page<Item>> {
    let start = position - (position % this.#alignment)
    for (;;) {
      const page = await this.#page(`${series}${start}`, start, end, load)
      if (page.next > position) return page
      start = page.next
    }
  }

  #page(key: string, start: number, end: number, load: PageLoader<Item>): Page<Item> | Promise<Page<Item>> {
    const page = this.#pages.get(key)
    if (page !== undefined) {
      this.#pages.delete(key)
      this.#pages.set(key, page)
      return page
    }
    const loading = this.#loading.get(key)
    if (loading !== undefined) return loading
    const made = load(start, end).then(
      (loaded) => {
        this.#loading.delete(key)
        this.#keep(key, loaded)
        return loaded
      },
      (error: unknown) => {
        this.#loading.delete(key)
        throw error
      }
    )
    this.#loading.set(key, made)
    return made
  }

  #keep(key: string, page: Page<Item>): void {
    this.#pages.set(key, page)
    this.#bytes += page.bytes
    for (const [oldest, { bytes }] of this.#pages) {
      if (this.#bytes <= this.#bytesMax || oldest === key) break
      this.#pages.delete(oldest)
      this.#bytes -= bytes
    }
  }
}
