/**
 * What a sync costs on the file system of the broker's data, measured beside the run: 4 KiB are appended to a file, then the
 * data is synced by the runtime's thread pool, one at a time, as a broker does at low load. The sync alone is timed.
 */
import { fdatasync, rmSync, writeSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { type Percentiles, percentilesOf } from "./report.ts"

const APPEND_BYTES = 4096

/** Syncs that were timed so far; call {@link SyncProbe.run} before and after what it is compared with. */
export class SyncProbe {
  readonly #folder: string
  readonly #latencies: Float64Array
  #count = 0

  /** Appends to a file of its own in `folder`; keeps at most `samplesMax` latencies. */
  constructor(folder: string, samplesMax: number) {
    this.#folder = folder
    this.#latencies = new Float64Array(samplesMax)
  }

  /** Times `samples` syncs, or fewer where `secondsMax` is over before. */
  async run(samples: number, secondsMax: number): Promise<void> {
    const path = join(this.#folder, "sync-probe")
    const file = await open(path, "w")
    const block = new Uint8Array(APPEND_BYTES).fill(0x2e)
    const endMs = performance.now() + secondsMax * 1000
    try {
      for (let sample = 0; sample < samples && performance.now() < endMs; sample++) {
        writeSync(file.fd, block)
        const startMs = performance.now()
        await new Promise<void>((resolve, reject) => {
          fdatasync(file.fd, (error) => (error === null || error === undefined ? resolve() : reject(error)))
        })
        if (this.#count < this.#latencies.length) this.#latencies[this.#count++] = performance.now() - startMs
      }
    } finally {
      await file.close()
      rmSync(path, { force: true })
    }
  }

  percentiles(): Percentiles {
    return percentilesOf(this.#latencies, this.#count)
  }
}
