/** The packet identifiers of one client: few, so that they come again soon. */
const IDENTIFIER_MAX = 120

export class PacketIdentifiers {
  readonly #inUse = new Set<number>()
  #next = 1

  take(): number {
    if (this.#inUse.size === IDENTIFIER_MAX) throw new Error("a simulated client has no packet identifier left")
    while (this.#inUse.has(this.#next)) this.#step()
    const identifier = this.#next
    this.#inUse.add(identifier)
    this.#step()
    return identifier
  }

  free(identifier: number): void {
    this.#inUse.delete(identifier)
  }

  #step(): void {
    this.#next = (this.#next % IDENTIFIER_MAX) + 1
  }
}
