import assert from "node:assert"
import { createRequire } from "node:module"
import { test } from "node:test"
import { constants, zstdCompressSync } from "node:zlib"
import fc from "fast-check"
import {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  codecNames,
  compress,
  decompress
} from "./compression.ts"
import { BATCH_CODEC, COMPRESSION_CORRUPT, COMPRESSION_TOO_LARGE } from "./refusals.ts"
import { xxhash32 } from "./xxhash32.ts"

const codecs = [CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]
const load = createRequire(import.meta.url)
const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const same = (result: Uint8Array | number, expected: Uint8Array): void => {
  assert.ok(typeof result !== "number", `refused: ${result}`)
  assert.strictEqual(Buffer.compare(result, expected), 0)
}

/** Compressible and not, short and longer than any block. */
const payloads: ReadonlyArray<readonly [name: string, bytes: Uint8Array]> = [
  ["nothing", new Uint8Array(0)],
  ["one byte", Uint8Array.of(7)],
  ["thirteen bytes", new TextEncoder().encode("abcabcabcabca")],
  ["a run of 300,000", new Uint8Array(300_000).fill(65)],
  ["words", new TextEncoder().encode("temperature 21.5 humidity 40 ".repeat(8_000))],
  [
    "noise",
    Uint8Array.from({ length: 200_000 }, (_, index) => (Math.imul(index + 1, 2654435761) ^ (index * index)) >>> 13)
  ]
]
for (const codec of codecs) {
  for (const [name, bytes] of payloads) {
    test(`${codecNames[codec]}: ${name} survives, exactly within the bound`, () => {
      const packed = compress(codec, bytes)
      const framed = new Uint8Array(packed.length + 8).fill(0xee)
      framed.set(packed, 5)
      same(decompress(codec, framed, 5, 5 + packed.length, bytes.length), bytes)
      if (bytes.length > 0) {
        assert.strictEqual(decompress(codec, packed, 0, packed.length, bytes.length - 1), COMPRESSION_TOO_LARGE)
      }
    })
  }

  test(`${codecNames[codec]}: any bytes survive; any cut and any bytes after the end are refused`, () => {
    const chunks = fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(new Uint8Array(90))), {
      maxLength: 9
    })
    fc.assert(
      fc.property(chunks, (parts) => {
        const bytes = Uint8Array.from(Buffer.concat(parts))
        const packed = compress(codec, bytes)
        same(decompress(codec, packed, 0, packed.length, 4096), bytes)
        for (let cut = 0; cut < packed.length; cut++) {
          assert.strictEqual(decompress(codec, packed, 0, cut, 4096), COMPRESSION_CORRUPT, `cut at ${cut}`)
        }
        const longer = Buffer.concat([packed, Buffer.from("junk")])
        assert.strictEqual(decompress(codec, longer, 0, longer.length, 4096), COMPRESSION_CORRUPT)
      }),
      { numRuns: 30 }
    )
  })
}

test("snappy and lz4 agree with snappyjs and lz4js, both ways", () => {
  const snappyjs = load("snappyjs") as Record<"compress" | "uncompress", (bytes: Uint8Array) => Uint8Array>
  const lz4js = load("lz4js") as Record<"compress" | "decompress", (bytes: Uint8Array) => Uint8Array>
  for (const [, bytes] of payloads) {
    if (bytes.length === 0) continue
    const theirs = snappyjs.compress(bytes)
    same(decompress(CODEC_SNAPPY, theirs, 0, theirs.length, bytes.length), bytes)
    same(snappyjs.uncompress(compress(CODEC_SNAPPY, bytes)), bytes)
    const frame = lz4js.compress(bytes)
    same(decompress(CODEC_LZ4, frame, 0, frame.length, bytes.length), bytes)
    same(lz4js.decompress(compress(CODEC_LZ4, bytes)), bytes)
  }
})

test("snappy: xerial framing with two chunks", () => {
  const header = hex("82534e41505059000000000100000001")
  const chunk = (text: string): Uint8Array => {
    const packed = compress(CODEC_SNAPPY, new TextEncoder().encode(text))
    return Uint8Array.of(0, 0, 0, packed.length, ...packed)
  }
  const framed = Buffer.concat([header, chunk("hello hello hello "), chunk("hello again")])
  same(
    decompress(CODEC_SNAPPY, framed, 0, framed.length, 29),
    new TextEncoder().encode("hello hello hello hello again")
  )
  assert.strictEqual(decompress(CODEC_SNAPPY, framed, 0, framed.length, 28), COMPRESSION_TOO_LARGE)
  for (let cut = header.length + 1; cut < framed.length; cut++) {
    if (cut === header.length + chunk("hello hello hello ").length) continue // a shorter stream, but a whole one
    assert.strictEqual(decompress(CODEC_SNAPPY, framed, 0, cut, 99), COMPRESSION_CORRUPT, `cut at ${cut}`)
  }
})

/** XXH32 with seed 0: the reference implementation's well-known values. */
for (const [input, hash] of [
  ["", 0x02cc5d05],
  ["a", 0x550d7456],
  ["abc", 0x32d153ff],
  ["Nobody inspects the spammish repetition", 0xe2293b2f]
] as const) {
  test(`xxhash32 of "${input}"`, () => {
    const bytes = new TextEncoder().encode(input)
    assert.strictEqual(xxhash32(bytes, 0, bytes.length), hash)
  })
}

const bad: ReadonlyArray<readonly [name: string, codec: number, bytes: string, refusal: number]> = [
  ["snappy: declares 4 GiB", CODEC_SNAPPY, "ffffffff0f00", COMPRESSION_TOO_LARGE],
  ["snappy: declares more than it holds", CODEC_SNAPPY, "050061", COMPRESSION_CORRUPT],
  ["snappy: declares less than it holds", CODEC_SNAPPY, "01046162", COMPRESSION_CORRUPT],
  ["snappy: copies from before the first byte", CODEC_SNAPPY, "050061010200", COMPRESSION_CORRUPT],
  ["snappy: copies from nowhere", CODEC_SNAPPY, "0500610100", COMPRESSION_CORRUPT],
  ["snappy: literal of 2^32 bytes (snappyjs steps backwards)", CODEC_SNAPPY, "05fcfbffffff", COMPRESSION_CORRUPT],
  [
    "snappy: xerial chunk of negative length",
    CODEC_SNAPPY,
    "82534e41505059000000000100000001ffffffff",
    COMPRESSION_CORRUPT
  ],
  ["lz4: wrong magic", CODEC_LZ4, "04224d1960408200000000", COMPRESSION_CORRUPT],
  ["lz4: wrong header checksum", CODEC_LZ4, "04224d1860408300000000", COMPRESSION_CORRUPT],
  ["lz4: no end mark", CODEC_LZ4, "04224d18604082", COMPRESSION_CORRUPT],
  ["lz4: match before the first byte", CODEC_LZ4, "04224d186040820500000010610200000000000000", COMPRESSION_CORRUPT],
  ["lz4: block ends with a match", CODEC_LZ4, "04224d1860408204000000106101000000000000", COMPRESSION_CORRUPT],
  ["lz4: block of 2 GiB", CODEC_LZ4, "04224d18604082ffffff7f00", COMPRESSION_CORRUPT],
  ["zstd: reserved block type", CODEC_ZSTD, "28b52ffd2000070000", COMPRESSION_CORRUPT],
  ["zstd: frame that declares a window of 2 TiB", CODEC_ZSTD, "28b52ffd00f8190000616263", COMPRESSION_CORRUPT],
  ["gzip: not gzip", CODEC_GZIP, "00112233445566778899", COMPRESSION_CORRUPT],
  ["codec 5", 5, "00", BATCH_CODEC]
]
for (const [name, codec, bytes, refusal] of bad) {
  test(name, () => assert.strictEqual(decompress(codec, hex(bytes), 0, bytes.length / 2, 65_536), refusal))
}

test("lz4: the empty frame, a true and a false content size, a content checksum", () => {
  same(decompress(CODEC_LZ4, hex("04224d1860408200000000"), 0, 11, 10), new Uint8Array(0))
  const frame = (flags: number, size: number, tail: string): Uint8Array => {
    const descriptor = Uint8Array.of(flags, 0x40, ...(flags & 8 ? [size, 0, 0, 0, 0, 0, 0, 0] : []))
    const check = (xxhash32(descriptor, 0, descriptor.length) >>> 8) & 255
    return Uint8Array.of(0x04, 0x22, 0x4d, 0x18, ...descriptor, check, ...hex(`03000080616263${tail}`))
  }
  const abc = new TextEncoder().encode("abc")
  const refused = (bytes: Uint8Array): void =>
    assert.strictEqual(decompress(CODEC_LZ4, bytes, 0, bytes.length, 10), COMPRESSION_CORRUPT)
  const good = (bytes: Uint8Array): void => same(decompress(CODEC_LZ4, bytes, 0, bytes.length, 10), abc)
  good(frame(0x60, 0, "00000000"))
  good(frame(0x68, 3, "00000000"))
  refused(frame(0x68, 4, "00000000"))
  refused(frame(0x61, 0, "00000000"))
  good(frame(0x64, 0, "00000000ff53d132"))
  refused(frame(0x64, 0, "00000000ff53d133"))
  good(frame(0x70, 0, "ff53d13200000000"))
  refused(frame(0x70, 0, "ff53d13300000000"))
})

/** A frame of 64 KiB blocks with these flags, descriptor checksum made right. */
function lz4Frame(flags: number, blocks: Uint8Array): Uint8Array {
  const descriptor = Uint8Array.of(flags, 0x40)
  const check = (xxhash32(descriptor, 0, 2) >>> 8) & 255
  return Uint8Array.of(0x04, 0x22, 0x4d, 0x18, ...descriptor, check, ...blocks, 0, 0, 0, 0)
}

test("lz4: a block reaches into the one before only where the frame links them", () => {
  // "abcd" stored, then a match of 4 bytes 4 before, then 5 literals.
  const blocks = hex("0400008061626364090000000004005065666768" + "69")
  const linked = lz4Frame(0x40, blocks)
  same(decompress(CODEC_LZ4, linked, 0, linked.length, 99), new TextEncoder().encode("abcdabcdefghi"))
  const independent = lz4Frame(0x60, blocks)
  assert.strictEqual(decompress(CODEC_LZ4, independent, 0, independent.length, 99), COMPRESSION_CORRUPT)
})

test("lz4: a block holds no more than its frame says, stored or compressed", () => {
  const stored = (size: number): Uint8Array => {
    const block = new Uint8Array(4 + size)
    block.set([size, size >>> 8, size >>> 16, 0x80])
    return lz4Frame(0x60, block)
  }
  same(decompress(CODEC_LZ4, stored(65_536), 0, 65_536 + 15, 1e6), new Uint8Array(65_536))
  assert.strictEqual(decompress(CODEC_LZ4, stored(65_537), 0, 65_537 + 15, 1e6), COMPRESSION_CORRUPT)
  /** One literal, a run of `length` bytes, five literals. */
  const run = (length: number): Uint8Array => {
    const rest = length - 19
    const lengthBytes = [...new Uint8Array(Math.floor(rest / 255)).fill(255), rest % 255]
    const block = [0x1f, 97, 1, 0, ...lengthBytes, 0x50, 97, 97, 97, 97, 97]
    return lz4Frame(0x60, Uint8Array.of(block.length, block.length >>> 8, 0, 0, ...block))
  }
  const inflate = (bytes: Uint8Array): Uint8Array | number => decompress(CODEC_LZ4, bytes, 0, bytes.length, 1e6)
  same(inflate(run(65_530)), new Uint8Array(65_536).fill(97))
  assert.strictEqual(inflate(run(65_531)), COMPRESSION_CORRUPT, "the last literals are too many")
  assert.strictEqual(inflate(run(65_536)), COMPRESSION_CORRUPT, "the run is too long")
})

test("snappy: a chunk does not reach into the one before, a copy not past the declared length", () => {
  const header = "82534e41505059000000000100000001"
  const reaching = hex(`${header}00000006040c6162636400000004040e0400`)
  assert.strictEqual(decompress(CODEC_SNAPPY, reaching, 0, reaching.length, 99), COMPRESSION_CORRUPT)
  assert.strictEqual(decompress(CODEC_SNAPPY, hex("0300610101"), 0, 5, 3), COMPRESSION_CORRUPT)
})

test("zstd: a frame with a checksum is whole only with all of it, also after a skippable frame", () => {
  const text = new TextEncoder().encode("checked checked checked")
  const frame = zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
  const skippable = hex("5f2a4d1803000000aabbcc")
  const bytes = Uint8Array.of(...skippable, ...frame)
  same(decompress(CODEC_ZSTD, bytes, 0, bytes.length, 99), text)
  for (let cut = 1; cut < frame.length; cut++) {
    assert.strictEqual(decompress(CODEC_ZSTD, bytes, 0, bytes.length - cut, 99), COMPRESSION_CORRUPT)
  }
})

test("no codec is a view within the bound", () => {
  same(decompress(CODEC_NONE, hex("00010203"), 1, 3, 2), Uint8Array.of(1, 2))
  assert.strictEqual(decompress(CODEC_NONE, hex("00010203"), 0, 4, 3), COMPRESSION_TOO_LARGE)
})

/** Inflates to 512 MiB; made from one compressed mebibyte, so that making it costs nothing. */
function bomb(codec: number): Uint8Array {
  const mebibyte = compress(codec, new Uint8Array(1024 * 1024))
  const repeated = (part: Uint8Array): Array<Uint8Array> => Array.from({ length: 512 }, () => part)
  if (codec === CODEC_SNAPPY) {
    const chunk = Buffer.alloc(4)
    chunk.writeInt32BE(mebibyte.length)
    return Buffer.concat([hex("82534e41505059000000000100000001"), ...repeated(Buffer.concat([chunk, mebibyte]))])
  }
  if (codec === CODEC_LZ4) {
    const blocks = mebibyte.subarray(7, mebibyte.length - 4)
    return Buffer.concat([mebibyte.subarray(0, 7), ...repeated(blocks), new Uint8Array(4)])
  }
  return Buffer.concat(repeated(mebibyte))
}
for (const codec of codecs) {
  test(`${codecNames[codec]}: a bomb costs about the bound, not what it inflates to`, () => {
    const bytes = bomb(codec)
    const before = process.memoryUsage().rss
    assert.strictEqual(decompress(codec, bytes, 0, bytes.length, 1024 * 1024), COMPRESSION_TOO_LARGE)
    const grown = process.memoryUsage().rss - before
    assert.ok(grown < 32 * 1024 * 1024, `resident memory grew by ${grown} bytes`)
  })
}
