/** First in, first out, without moving what waits; the newest may be taken back. */

export class Line<Value extends { readonly index: number }> {
  #values: Array<Value | undefined> = []
  #head = 0

  get length(): number {
    return this.#values.length - this.#head
  }

  get first(): Value | undefined {
    return this.#values[this.#head]
  }

  push(value: Value): void {
    this.#values.push(value)
  }

  shift(): void {
    this.#values[this.#head] = undefined
    this.#head += 1
    if (this.#head === this.#values.length) {
      this.#values = []
      this.#head = 0
    } else if (this.#head > 4_096 && this.#head * 2 > this.#values.length) {
      this.#values = this.#values.slice(this.#head)
      this.#head = 0
    }
  }

  /** The first ones for which `holds`. */
  firstWhile(holds: (value: Value) => boolean): ReadonlyArray<Value> {
    const found: Array<Value> = []
    for (let at = this.#head; at < this.#values.length; at++) {
      const value = this.#values[at]
      if (value === undefined || !holds(value)) break
      found.push(value)
    }
    return found
  }

  /** Takes back those from `index` on for which `isMeant`, newest first. */
  removeFromEnd(index: number, isMeant: (value: Value) => boolean): ReadonlyArray<Value> {
    const kept: Array<Value> = []
    const removed: Array<Value> = []
    while (this.length > 0) {
      const last = this.#values.at(-1)
      if (last === undefined || last.index < index) break
      this.#values.pop()
      if (isMeant(last)) removed.push(last)
      else kept.push(last)
    }
    this.#values.push(...kept.reverse())
    return removed
  }
}
