/** zstd as gathered batches are compressed with it: how long one call holds up the loop, and what reading costs. */
import { CODEC_ZSTD, compress, decompress } from "../../core/log/mod.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const SAMPLE_BYTES = 1_048_576

/** Random numbers below `below`, the same at every run. */
function makeRandom(): (below: number) => number {
  let state = 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % below
  }
}

type Text = (next: (below: number) => number) => string

const readings: Text = (next) =>
  JSON.stringify({
    device: `sensor-${next(50)}`,
    temperature: next(1_500) / 100,
    battery: next(1_000) / 1_000,
    state: "ok"
  })
/** What zstd takes longest for, of what was tried: much to find and little to gain. */
const digits: Text = (next) => `${(next(100_000) / 100).toFixed(2)},`

function bytesOf(text: Text, size: number): Uint8Array {
  const next = makeRandom()
  let all = ""
  while (all.length < size) all += text(next)
  return new TextEncoder().encode(all.slice(0, size))
}

function packing(name: string, text: Text, size: number): MicroCase {
  const bytes = bytesOf(text, size)
  const operations = Math.max(1, Math.floor(SAMPLE_BYTES / size))
  const run = (): number => {
    let check = 0
    for (let each = 0; each < operations; each++) check += compress(CODEC_ZSTD, bytes).length
    return check
  }
  return { name: `compress ${name}`, bytes: size, operations, run }
}

function unpacking(name: string, text: Text, size: number): MicroCase {
  const packed = compress(CODEC_ZSTD, bytesOf(text, size))
  const operations = Math.max(1, Math.floor(SAMPLE_BYTES / size))
  const run = (): number => {
    let check = 0
    for (let each = 0; each < operations; each++) {
      const inflated = decompress(CODEC_ZSTD, packed, 0, packed.length, size)
      check += typeof inflated === "number" ? inflated : inflated.length
    }
    return check
  }
  return { name: `inflate ${name}`, bytes: size, operations, run }
}

export const suite: MicroSuite = {
  name: "compression (zstd, one call)",
  cases: [
    packing("JSON, 1 KiB", readings, 1_024),
    packing("JSON, 32 KiB", readings, 32_768),
    packing("JSON, 128 KiB", readings, 131_072),
    packing("digits, 32 KiB", digits, 32_768),
    packing("digits, 128 KiB", digits, 131_072),
    unpacking("JSON, 1 KiB", readings, 1_024),
    unpacking("JSON, 32 KiB", readings, 32_768),
    unpacking("digits, 128 KiB", digits, 131_072)
  ]
}
