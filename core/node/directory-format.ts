/**
 * The file `format` of a data directory: five lines that say what the directory is, and one with their checksum. What each holds
 * stands in docs/formats/data-directory.md.
 *
 * Invariant: the first two lines and the last one mean the same in every format there will be, so that any release can tell a
 * directory of a newer one from one that is damaged.
 */
import { crc32c } from "../log/crc32c.ts"

/** Raised by one when a release cannot read what this one writes. */
export const DIRECTORY_FORMAT = 1
/** Bytes of the file, at most. */
export const FORMAT_SIZE_MAX = 4_096
/** Stores of a directory, at most: slots are dealt to them. */
export const STORES_MAX = 1_024

const CHECKSUM_LINE_LENGTH = "crc32c 00000000\n".length
const TITLE = "manifold data directory"
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface DirectoryFormat {
  /** A UUID, made once: two directories with one id are copies. */
  readonly id: string
  /** 1 to {@link STORES_MAX}; never changed. */
  readonly stores: number
  /** The release that made the directory. */
  readonly createdBy: string
}

/** Why a file is not taken for a format of ours; a half sentence for a person. */
export class FormatFault extends Error {
  override readonly name = "FormatFault"
}

export function encodeFormat({ id, stores, createdBy }: DirectoryFormat): Uint8Array<ArrayBuffer> {
  const body = [TITLE, `format ${DIRECTORY_FORMAT}`, `id ${id}`, `stores ${stores}`, `created-by ${createdBy}`, ""]
  const bytes = new TextEncoder().encode(body.join("\n"))
  const checksum = crc32c(bytes, 0, bytes.length).toString(16).padStart(8, "0")
  return new Uint8Array([...bytes, ...new TextEncoder().encode(`crc32c ${checksum}\n`)])
}

/** What the bytes say. Throws {@link FormatFault}. */
export function decodeFormat(bytes: Uint8Array): DirectoryFormat {
  const end = Math.max(0, bytes.length - CHECKSUM_LINE_LENGTH)
  const decoder = new TextDecoder()
  const checksum = /^crc32c ([0-9a-f]{8})\n$/.exec(decoder.decode(bytes.subarray(end)))?.[1]
  if (checksum === undefined) throw new FormatFault("it is damaged: its last line is no checksum")
  if (crc32c(bytes, 0, end) !== Number.parseInt(checksum, 16)) {
    throw new FormatFault("it is damaged: its checksum is that of other content")
  }
  const [title, format = "", id = "", stores = "", createdBy = ""] = decoder.decode(bytes.subarray(0, end)).split("\n")
  const version = Number(/^format ([1-9][0-9]{0,8})$/.exec(format)?.[1])
  if (title !== TITLE || Number.isNaN(version))
    throw new FormatFault("it is damaged: it does not say which format it is")
  if (version > DIRECTORY_FORMAT) {
    throw new FormatFault(
      `it is of format ${version}, made by a newer release; this one reads ${DIRECTORY_FORMAT}: start the newer release`
    )
  }
  const found = {
    id: id.slice("id ".length),
    stores: Number(/^stores ([1-9][0-9]{0,3})$/.exec(stores)?.[1]),
    createdBy: createdBy.slice("created-by ".length)
  }
  const isWhole = id.startsWith("id ") && UUID.test(found.id) && createdBy.startsWith("created-by ")
  if (!isWhole || !(found.stores <= STORES_MAX))
    throw new FormatFault("it is damaged: its lines are not those of its format")
  return found
}
