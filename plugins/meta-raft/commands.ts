/**
 * The commands of the meta store as bytes: the data of a log entry. docs/formats/meta.md describes them byte by byte.
 *
 * Invariants
 *  - A command holds everything that its outcome depends on, besides the state: no time, no chance.
 *  - The first byte is the version of the form; a reader refuses one that it does not know.
 */
import { ByteReader, ByteWriter, type MetaTransaction } from "../../core/mod.ts"

/** Raised by one when an older release cannot read what this one writes. */
export const COMMAND_VERSION = 1
/** Bytes of one command, at most. */
export const COMMAND_BYTES_MAX = 1_048_576

export type MetaCommand =
  | { readonly kind: "transact"; readonly transaction: MetaTransaction }
  | { readonly kind: "grant"; readonly ttlMs: number }
  | { readonly kind: "keep-alive"; readonly lease: number }
  | { readonly kind: "revoke"; readonly lease: number }
  /** The leader's clock says that these have ended. */
  | { readonly kind: "expire"; readonly leases: ReadonlyArray<number> }

/** Bytes that this release does not read, or that nobody wrote; a half sentence for a person. */
export class MetaFormatFault extends Error {
  override readonly name = "MetaFormatFault"
}

const TRANSACT = 1
const GRANT = 2
const KEEP_ALIVE = 3
const REVOKE = 4
const EXPIRE = 5

const HAS_VALUE = 1
const HAS_LEASE = 2

export function encodeCommand(command: MetaCommand): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(COMMAND_VERSION)
  switch (command.kind) {
    case "transact":
      writer.uint8(TRANSACT)
      writeTransaction(writer, command.transaction)
      break
    case "grant":
      writer.uint8(GRANT)
      writer.uint53(command.ttlMs)
      break
    case "keep-alive":
      writer.uint8(KEEP_ALIVE)
      writer.uint53(command.lease)
      break
    case "revoke":
      writer.uint8(REVOKE)
      writer.uint53(command.lease)
      break
    case "expire":
      writer.uint8(EXPIRE)
      writer.uint32(command.leases.length)
      for (const lease of command.leases) writer.uint53(lease)
  }
  return writer.bytes.slice(0, writer.length)
}

/** Throws {@link MetaFormatFault}. */
export function decodeCommand(bytes: Uint8Array): MetaCommand {
  const reader = new ByteReader().reset(bytes, 0, bytes.length)
  const version = reader.uint8()
  if (version !== COMMAND_VERSION) {
    throw new MetaFormatFault(`a command of version ${version}; this release reads ${COMMAND_VERSION}`)
  }
  const kind = reader.uint8()
  switch (kind) {
    case TRANSACT:
      return { kind: "transact", transaction: readTransaction(reader) }
    case GRANT:
      return { kind: "grant", ttlMs: reader.uint53() }
    case KEEP_ALIVE:
      return { kind: "keep-alive", lease: reader.uint53() }
    case REVOKE:
      return { kind: "revoke", lease: reader.uint53() }
    case EXPIRE:
      return { kind: "expire", leases: Array.from({ length: reader.uint32() }, () => reader.uint53()) }
    default:
      throw new MetaFormatFault(`a command of kind ${kind}, which this release does not know`)
  }
}

function writeTransaction(writer: ByteWriter, { compare, writes }: MetaTransaction): void {
  writer.uint32(compare.length)
  for (const { key, version } of compare) {
    writer.text(key)
    writer.uint53(version)
  }
  writer.uint32(writes.length)
  for (const { key, value, lease } of writes) {
    writer.text(key)
    writer.uint8((value === undefined ? 0 : HAS_VALUE) | (lease === undefined ? 0 : HAS_LEASE))
    if (value !== undefined) writer.block(value, 0, value.length)
    if (lease !== undefined) writer.uint53(lease)
  }
}

function readTransaction(reader: ByteReader): MetaTransaction {
  const compare = Array.from({ length: reader.uint32() }, () => ({ key: reader.text(), version: reader.uint53() }))
  const writes = Array.from({ length: reader.uint32() }, () => {
    const key = reader.text()
    const flags = reader.uint8()
    const value = (flags & HAS_VALUE) === 0 ? undefined : reader.blockCopy()
    return (flags & HAS_LEASE) === 0 ? { key, value } : { key, value, lease: reader.uint53() }
  })
  return { compare, writes }
}
