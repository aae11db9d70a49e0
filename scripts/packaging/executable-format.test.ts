/** Headers as the specifications lay them out, byte by byte; then the same cut, changed and filled with chance. */
import assert from "node:assert"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { FormatError, formatOf, formatOfFile, targetOf } from "./executable-format.ts"
import { fileName, hostTarget, TARGETS } from "./targets.ts"

const X86_64 = "3e00"
const AARCH64 = "b700"

/** An ELF-64 file of two program headers, PT_PHDR and PT_INTERP, and the interpreter behind them. */
function elf(machine: string, interpreter: string): string {
  const path = Buffer.from(`${interpreter}\0`).toString("hex")
  const length = (path.length / 2).toString(16).padStart(2, "0")
  return [
    "7f454c46 02 01 01 00 0000000000000000", // magic, 64 bits, little-endian, version, ABI, padding
    `0200 ${machine} 01000000`, // e_type, e_machine, e_version
    "000da40100000000 4000000000000000 0000000000000000", // e_entry, e_phoff, e_shoff
    "00000000 4000 3800 0200 4000 0000 0000", // e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    "06000000 04000000 4000000000000000 4000200000000000 4000200000000000", // PT_PHDR: p_offset, p_vaddr, p_paddr
    "7000000000000000 7000000000000000 0800000000000000", // p_filesz, p_memsz, p_align
    "03000000 04000000 b000000000000000 b000200000000000 b000200000000000", // PT_INTERP
    `${length}00000000000000 ${length}00000000000000 0100000000000000`,
    path
  ].join("")
}

/** An MS-DOS header of 64 bytes, the PE signature, the COFF header, the beginning of the optional header. */
function portableExecutable(machine: string, magic = "0b02"): string {
  const dos = `4d5a${"00".repeat(58)}40000000`
  return `${dos} 50450000 ${machine} 0e00 00000000 00000000 00000000 f000 2200 ${magic}`
}

/** mach_header_64: magic, cputype, cpusubtype, filetype, ncmds, sizeofcmds, flags, reserved. */
function machO(cputype: string, filetype = "02000000"): string {
  return `cffaedfe ${cputype} 00000000 ${filetype} 15000000 f0090000 8500a100 00000000`
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"))

const golden: ReadonlyArray<readonly [string, string]> = [
  ["linux-x64", elf(X86_64, "/lib64/ld-linux-x86-64.so.2")],
  ["linux-arm64", elf(AARCH64, "/lib/ld-linux-aarch64.so.1")],
  ["linux-x64-musl", elf(X86_64, "/lib/ld-musl-x86_64.so.1")],
  ["linux-arm64-musl", elf(AARCH64, "/lib/ld-musl-aarch64.so.1")],
  ["linux-x64-android", elf(X86_64, "/system/bin/linker64")],
  ["linux-arm64-android", elf(AARCH64, "/system/bin/linker64")],
  ["freebsd-x64", elf(X86_64, "/libexec/ld-elf.so.1")],
  ["freebsd-arm64", elf(AARCH64, "/libexec/ld-elf.so.1")],
  ["windows-x64", portableExecutable("6486")],
  ["windows-arm64", portableExecutable("64aa")],
  ["darwin-x64", machO("07000001")],
  ["darwin-arm64", machO("0c000001")]
]

test("there is a golden header for every target", () => {
  assert.deepStrictEqual(golden.map(([target]) => target).toSorted(), [...TARGETS].toSorted())
})

for (const [target, hex] of golden) {
  test(`${target}: read; refused wherever it is cut`, () => {
    const bytes = bytesOf(hex)
    assert.strictEqual(targetOf(formatOf(bytes)), target)
    const needed = hex.startsWith("cffa") ? 16 : bytes.length
    for (let length = 0; length < needed; length++) {
      assert.throws(() => formatOf(bytes.subarray(0, length)), FormatError, `${length} bytes`)
    }
  })
}

test("bytes before and behind a header do not count", () => {
  const bytes = bytesOf(golden[0]?.[1] ?? "")
  const around = new Uint8Array(bytes.length + 20).fill(0xff)
  around.set(bytes, 7)
  assert.strictEqual(targetOf(formatOf(around.subarray(7))), "linux-x64")
})

const refused: ReadonlyArray<readonly [string, string, RegExp]> = [
  ["a script", "2321 2f62 696e", /begins with 0x622f2123/],
  ["ELF of 32 bits", `7f454c46 01 01${"00".repeat(58)}`, /not of 64 bits/],
  ["ELF, big-endian", `7f454c46 02 02${"00".repeat(58)}`, /little-endian/],
  ["ELF for RISC-V", elf("f300", "/lib/ld-linux-riscv64-lp64d.so.1"), /unknown ELF machine 0xf3/],
  ["ELF with another loader", elf(X86_64, "/lib/ld.so"), /unknown interpreter: \/lib\/ld\.so/],
  ["ELF without a loader", elf(X86_64, "").replace("03000000", "01000000"), /without an interpreter/],
  [
    "ELF with program headers far away",
    elf(X86_64, "x").replace("4000000000000000", "ffffffffffffffff"),
    /ends before/
  ],
  ["MS-DOS", `4d5a${"00".repeat(58)}40000000 4e450000`, /without a PE header/],
  ["PE32", portableExecutable("4c01", "0b01"), /unknown PE machine 0x14c/],
  ["PE32 by its optional header", portableExecutable("6486", "0b01"), /not PE32\+/],
  ["a Mach-O library", machO("0c000001", "06000000"), /no executable/],
  ["Mach-O for PowerPC", machO("12000001"), /unknown Mach-O cputype/],
  ["a universal Mach-O file", "cafebabe 00000002", /neither ELF, PE nor Mach-O/]
]
for (const [name, hex, message] of refused) {
  test(`refused: ${name}`, () => assert.throws(() => formatOf(bytesOf(hex)), { name: "FormatError", message }))
}

test("any change of any byte gives a format or a FormatError", () => {
  const property = fc.property(
    fc.constantFrom(...golden.map(([, hex]) => hex)),
    fc.array(fc.tuple(fc.nat(240), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    (hex, changes) => {
      const bytes = bytesOf(hex)
      for (const [position, value] of changes) bytes[position % bytes.length] = value
      assertReadOrRefused(bytes)
    }
  )
  fc.assert(property, { numRuns: 2_000 })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), assertReadOrRefused))
})

function assertReadOrRefused(bytes: Uint8Array): void {
  try {
    assert.ok(targetOf(formatOf(bytes)).includes("-"))
  } catch (error) {
    assert.ok(error instanceof FormatError, String(error))
  }
}

test("what runs this test is an executable for a target", () => {
  assert.ok(hostTarget().startsWith(process.platform === "win32" ? "windows" : process.platform), hostTarget())
  assert.ok(hostTarget().includes(process.arch))
})

test("a file that is shorter than a header", () => {
  const folder = mkdtempSync(join(tmpdir(), "manifold-format-"))
  try {
    const file = join(folder, "short")
    writeFileSync(file, bytesOf(machO("0c000001")).subarray(0, 10))
    assert.throws(() => formatOfFile(file), FormatError)
    writeFileSync(file, "")
    assert.throws(() => formatOfFile(file), FormatError)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("only for Windows a file has an extension", () => {
  assert.strictEqual(fileName("windows-arm64"), "manifold-windows-arm64.exe")
  assert.strictEqual(fileName("linux-x64-musl"), "manifold-linux-x64-musl")
})
