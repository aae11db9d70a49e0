/** Topic aliases that a client has set on one connection. Source: MQTT 5.0 section 3.3.2.3.4. */
export class TopicAliases {
  readonly #topics = new Map<number, Uint8Array>()

  get count(): number {
    return this.#topics.size
  }

  /** Sets or replaces an alias; the name is copied. */
  set(alias: number, bytes: Uint8Array, start: number, end: number): void {
    this.#topics.set(alias, bytes.slice(start, end))
  }

  get(alias: number): Uint8Array | undefined {
    return this.#topics.get(alias)
  }
}
