/** Ranges of keys, `[start, end)`: disjoint, in order; those that touch become one. */

export class KeyRanges {
  readonly starts: Array<string> = []
  readonly ends: Array<string> = []

  get size(): number {
    return this.starts.length
  }

  add(start: string, end: string): void {
    if (start >= end) return
    const { starts, ends } = this
    // Those that end before `start` stay; those that begin up to `end` are taken in.
    let from = 0
    while (from < ends.length && (ends[from] as string) < start) from += 1
    let to = from
    let low = start
    let high = end
    while (to < starts.length && (starts[to] as string) <= end) {
      const first = starts[to] as string
      const last = ends[to] as string
      if (first < low) low = first
      if (last > high) high = last
      to += 1
    }
    starts.splice(from, to - from, low)
    ends.splice(from, to - from, high)
  }

  covers(key: string): boolean {
    const { starts, ends } = this
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((starts[middle] as string) <= key) low = middle + 1
      else high = middle
    }
    return low > 0 && key < (ends[low - 1] as string)
  }
}
