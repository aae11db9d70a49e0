/** Work that must not overlap: each piece runs when those before it have ended. What it fails with becomes a `StorageError`. */
import { storageError } from "./errors.ts"

export class Serial {
  #last: Promise<void> = Promise.resolve()

  async run<Value>(work: () => Promise<Value>): Promise<Value> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    try {
      return await work()
    } catch (error) {
      throw storageError(error)
    } finally {
      resolve()
    }
  }
}
