/** CRC-32C, the checksum of every stored batch, beside the runtime's built-in CRC-32 (another polynomial) as a yardstick. */
import { crc32c } from "../../core/log/mod.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const SIZES = [128, 1024, 16_384, 1_048_576]
/** Each call starts at another byte, so that neither alignment nor one cached line decides. */
const STARTS = 64
/** About so many bytes a sample. */
const SAMPLE_BYTES = 4 * 1024 * 1024

function cases(name: string, checksum: (bytes: Uint8Array, start: number, end: number) => number): MicroCase[] {
  return SIZES.map((size) => {
    const bytes = new Uint8Array(size + STARTS).map((_, index) => (index * 31) & 255)
    const operations = Math.max(4, Math.floor(SAMPLE_BYTES / size))
    return {
      name: `${name} ${size.toLocaleString("en-US")} B`,
      bytes: size,
      operations,
      run: () => {
        let check = 0
        for (let index = 0; index < operations; index++) {
          const start = index % STARTS
          check = (Math.imul(check, 31) + checksum(bytes, start, start + size)) >>> 0
        }
        return check
      }
    }
  })
}

export const suite: MicroSuite = {
  name: "crc32c",
  cases: [
    ...cases("crc32c", crc32c),
    ...cases("built-in CRC-32 (IEEE)", (bytes, start, end) => Bun.hash.crc32(bytes.subarray(start, end)))
  ]
}
