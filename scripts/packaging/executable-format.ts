/**
 * What an executable is for, read from its header: operating system, architecture, C library. `compile` checks with it that it
 * built what it was asked for; on the machine that builds, most of what it builds cannot be run.
 *
 * Sources: ELF-64 object file format 1.5 (file header, program headers), System V ABI supplements for x86-64 and AArch64; Microsoft
 * "PE Format" (MS-DOS stub, COFF file header, optional header); Apple <mach-o/loader.h>, <mach/machine.h>.
 * Invariant: any bytes give a format or a {@link FormatError}, never another throw.
 */
import { closeSync, openSync, readSync } from "node:fs"

export interface ExecutableFormat {
  readonly system: "linux" | "android" | "freebsd" | "darwin" | "windows"
  readonly architecture: "x64" | "arm64"
  /** Of linux; elsewhere there is only one. */
  readonly libc: "glibc" | "musl" | undefined
}

/** These bytes are no executable that can be told apart; the message says why. */
export class FormatError extends Error {
  override readonly name = "FormatError"
}

/** Headers end long before. */
const HEADER_BYTES_MAX = 65_536

const ELF_MACHINES: ReadonlyMap<number, ExecutableFormat["architecture"]> = new Map([
  [62, "x64"],
  [183, "arm64"]
])
const PT_INTERP = 3
const PE_MACHINES: ReadonlyMap<number, ExecutableFormat["architecture"]> = new Map([
  [0x8664, "x64"],
  [0xaa64, "arm64"]
])
const PE32_PLUS = 0x20b
const MACH_O_MACHINES: ReadonlyMap<number, ExecutableFormat["architecture"]> = new Map([
  [0x0100_0007, "x64"],
  [0x0100_000c, "arm64"]
])
const MH_EXECUTE = 2

/** The loaders that stand in an ELF file as its interpreter. */
const INTERPRETERS: ReadonlyArray<readonly [RegExp, ExecutableFormat["system"], ExecutableFormat["libc"]]> = [
  [/\/ld-linux-[a-z0-9-]+\.so\.\d$/, "linux", "glibc"],
  [/\/ld-musl-[a-z0-9_]+\.so\.\d$/, "linux", "musl"],
  [/^\/system\/bin\/linker64$/, "android", undefined],
  [/^\/libexec\/ld-elf\.so\.\d$/, "freebsd", undefined]
]

/** `linux-x64-musl`: as the targets of `compile` are called. */
export function targetOf({ system, architecture, libc }: ExecutableFormat): string {
  const suffix = system === "android" ? "-android" : libc === "musl" ? "-musl" : ""
  return `${system === "android" ? "linux" : system}-${architecture}${suffix}`
}

/** Reads the header of `file`. Throws {@link FormatError}, or what the file system says. */
export function formatOfFile(file: string): ExecutableFormat {
  const bytes = new Uint8Array(HEADER_BYTES_MAX)
  const descriptor = openSync(file, "r")
  try {
    return formatOf(bytes.subarray(0, readSync(descriptor, bytes)))
  } finally {
    closeSync(descriptor)
  }
}

/** Reads the beginning of an executable. Throws {@link FormatError}. */
export function formatOf(bytes: Uint8Array): ExecutableFormat {
  const header = new Header(bytes)
  const magic = header.u32(0, "a magic number")
  if (magic === 0x464c_457f) return elf(header)
  if ((magic & 0xffff) === 0x5a4d) return portableExecutable(header)
  if (magic === 0xfeed_facf) return machO(header)
  throw new FormatError(`neither ELF, PE nor Mach-O of 64 bits: it begins with ${hex(magic)}`)
}

function elf(header: Header): ExecutableFormat {
  const place = header.u16(4, "the ELF identification")
  if (place !== 0x0102) throw new FormatError(`an ELF file, but not of 64 bits and little-endian: ${hex(place)}`)
  const architecture = known(ELF_MACHINES, header.u16(18, "the ELF machine"), "ELF machine")
  const tablePosition = header.u64(32, "the position of the program headers")
  const entrySize = header.u16(54, "the size of a program header")
  const entryCount = header.u16(56, "the number of program headers")
  for (let index = 0; index < entryCount; index++) {
    const position = tablePosition + index * entrySize
    if (header.u32(position, "a program header") !== PT_INTERP) continue
    const start = header.u64(position + 8, "the position of the interpreter")
    const path = header.text(start, header.u64(position + 32, "the length of the interpreter"), "the interpreter")
    const found = INTERPRETERS.find(([pattern]) => pattern.test(path))
    if (found === undefined) throw new FormatError(`an ELF file with an unknown interpreter: ${path}`)
    return { system: found[1], architecture, libc: found[2] }
  }
  throw new FormatError("an ELF file without an interpreter")
}

function portableExecutable(header: Header): ExecutableFormat {
  const position = header.u32(0x3c, "the position of the PE header")
  const signature = header.u32(position, "the PE signature")
  if (signature !== 0x0000_4550) throw new FormatError(`an MS-DOS program without a PE header: ${hex(signature)}`)
  const architecture = known(PE_MACHINES, header.u16(position + 4, "the PE machine"), "PE machine")
  const magic = header.u16(position + 24, "the PE optional header")
  if (magic !== PE32_PLUS) throw new FormatError(`a PE file, but not PE32+: ${hex(magic)}`)
  return { system: "windows", architecture, libc: undefined }
}

function machO(header: Header): ExecutableFormat {
  const architecture = known(MACH_O_MACHINES, header.u32(4, "the Mach-O cputype"), "Mach-O cputype")
  const type = header.u32(12, "the Mach-O filetype")
  if (type !== MH_EXECUTE) throw new FormatError(`a Mach-O file, but no executable: filetype ${type}`)
  return { system: "darwin", architecture, libc: undefined }
}

function known<Value>(table: ReadonlyMap<number, Value>, found: number, name: string): Value {
  const value = table.get(found)
  if (value === undefined) throw new FormatError(`unknown ${name} ${hex(found)}`)
  return value
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}

/** Little-endian fields of a header that may be cut anywhere. */
class Header {
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u16(position: number, what: string): number {
    this.#check(position, 2, what)
    return this.#view.getUint16(position, true)
  }

  u32(position: number, what: string): number {
    this.#check(position, 4, what)
    return this.#view.getUint32(position, true)
  }

  /** Inexact beyond 2^53, which lies beyond every file. */
  u64(position: number, what: string): number {
    return this.u32(position, what) + this.u32(position + 4, what) * 2 ** 32
  }

  /** Text with a zero at its end. */
  text(position: number, length: number, what: string): string {
    this.#check(position, length, what)
    let text = ""
    for (let index = position; index < position + length; index++) {
      const byte = this.#view.getUint8(index)
      if (byte === 0) break
      text += String.fromCharCode(byte)
    }
    return text
  }

  #check(position: number, length: number, what: string): void {
    if (position + length <= this.#view.byteLength) return
    throw new FormatError(`it ends before ${what}: ${this.#view.byteLength} bytes, ${position + length} needed`)
  }
}
