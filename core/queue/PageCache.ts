/**
 * Pages of rows that were read from a store, kept for the readers that follow and shared by those who ask while one is on its way.
 *
 * A page says everything about the offsets from its start on and below its end. The first that is read of a block, the offsets from one
 * multiple of the alignment to the next, begins at that multiple, so that readers at different positions meet. Where it ends before the
 * position that was asked for, its rows are large: what is read then begins at the position, for to get there page by page is to read
 * what nobody asked for, once more with every position.
 *
 * Invariants
 *  - What is kept stays below the bound, but for one page; a failure is not kept.
 *  - To answer takes two readings at most, however large the rows are.
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

/** A page that is kept, or on its way. */
interface Slot<Item> {
  readonly block: string
  readonly start: number
  page: Page<Item> | Promise<Page<Item>>
}

export class PageCache<Item> {
  readonly #alignment: number
  readonly #bytesMax: number
  /** By the series and the first offset of a block: the pages that begin in it, in no order. */
  readonly #blocks = new Map<string, Array<Slot<Item>>>()
  /** Those that are kept, in the order of their last use. */
  readonly #kept = new Set<Slot<Item>>()
  #bytes = 0

  constructor(alignment: number, bytesMax: number) {
    this.#alignment = alignment
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The page of `series` that says something about `position`; `load` reads one that is not there, never at or above `end`. */
  async at(series: string, position: number, end: number, load: PageLoader<Item>): Promise<Page<Item>> {
    const aligned = position - (position % this.#alignment)
    const block = `${series}${aligned}`
    const near = this.#near(block, position)
    const first = await (near === undefined ? this.#load(block, aligned, end, load) : near.page)
    if (first.next > position) return first
    const own = this.#near(block, position)
    if (own !== undefined && (own.start === position || covers(own, position))) return own.page
    return this.#load(block, position, end, load)
  }

  /** A kept page of the block that has the position; else the last one that begins before it, kept or on its way. */
  #near(block: string, position: number): Slot<Item> | undefined {
    let near: Slot<Item> | undefined
    for (const slot of this.#blocks.get(block) ?? []) {
      if (slot.start > position) continue
      if (covers(slot, position)) {
        this.#kept.delete(slot)
        this.#kept.add(slot)
        return slot
      }
      if (near === undefined || slot.start > near.start) near = slot
    }
    return near
  }

  #load(block: string, start: number, end: number, load: PageLoader<Item>): Promise<Page<Item>> {
    const loading = load(start, end).then(
      (page) => {
        this.#keep(slot, page)
        return page
      },
      (error: unknown) => {
        this.#drop(slot)
        throw error
      }
    )
    const slot: Slot<Item> = { block, start, page: loading }
    const slots = this.#blocks.get(block)
    if (slots === undefined) this.#blocks.set(block, [slot])
    else slots.push(slot)
    return loading
  }

  #keep(slot: Slot<Item>, page: Page<Item>): void {
    slot.page = page
    this.#kept.add(slot)
    this.#bytes += page.bytes
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#bytesMax || oldest === slot) break
      this.#kept.delete(oldest)
      this.#drop(oldest)
      if (!(oldest.page instanceof Promise)) this.#bytes -= oldest.page.bytes
    }
  }

  #drop(slot: Slot<Item>): void {
    const slots = this.#blocks.get(slot.block)
    if (slots === undefined) return
    if (slots.length === 1) this.#blocks.delete(slot.block)
    else slots.splice(slots.indexOf(slot), 1)
  }
}

function covers({ page }: Slot<unknown>, position: number): boolean {
  return !(page instanceof Promise) && page.next > position
}
