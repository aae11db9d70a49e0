import assert from "node:assert"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { FILE_BYTES_MAX, NoText, readText } from "./read-text.ts"

const folder = mkdtempSync(join(tmpdir(), "manifold-text-"))
after(() => rmSync(folder, { recursive: true, force: true }))

/** What is read of these bytes, or why they are no text. */
function read(bytes: Uint8Array | string): string {
  const path = join(folder, "manifold.toml")
  writeFileSync(path, bytes)
  try {
    return readText(path)
  } catch (error) {
    assert.ok(error instanceof NoText)
    return `refused: ${error.message}`
  }
}

const BOM = [0xef, 0xbb, 0xbf]
const bytes = (...parts: ReadonlyArray<string | ReadonlyArray<number>>): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Uint8Array.from(part))))

const rows: ReadonlyArray<readonly [string, Uint8Array, string]> = [
  ["nothing", bytes(), ""],
  ["UTF-8", bytes('id = "ä€𝄞"\r\n'), 'id = "ä€𝄞"\r\n'],
  ["a byte order mark is no part of the text", bytes(BOM, "[node]\n"), "[node]\n"],
  ["Latin-1", bytes('a = 1\r\nb = "', [0xe4], '"\n'), "refused: line 2 is not UTF-8; save the file as UTF-8"],
  [
    "a character cut off by the end",
    bytes("a = 1\n# ", [0xe2, 0x82]),
    "refused: line 2 is not UTF-8; save the file as UTF-8"
  ],
  ["a surrogate", bytes("# ", [0xed, 0xa0, 0x80], "\n"), "refused: line 1 is not UTF-8; save the file as UTF-8"],
  ["UTF-16", bytes([0xff, 0xfe, 0x61, 0]), "refused: line 1 is not UTF-8; save the file as UTF-8"]
]
for (const [name, content, expected] of rows) test(name, () => assert.equal(read(content), expected))

test("the bound is the largest size that is read", () => {
  const largest = "#".repeat(FILE_BYTES_MAX)
  assert.equal(read(largest), largest)
  assert.equal(read(`${largest}\n`), "refused: it is larger than 1048576 bytes")
})

test("a device without end is not read to its end", { skip: process.platform === "win32" }, () => {
  assert.throws(() => readText("/dev/zero"), /larger than 1048576 bytes/)
})

test("what is no file says so itself", () => {
  assert.throws(() => readText(folder), { code: "EISDIR" })
  assert.throws(() => readText(join(folder, "nothing")), { code: "ENOENT" })
})
