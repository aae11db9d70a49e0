/**
 * A file that a person wrote, as text: UTF-8, with or without a byte order mark, of a bounded size. Nothing is taken for text that
 * would be another text to the parser than to the person's editor.
 */
import { closeSync, openSync, readSync } from "node:fs"

/** Some thousand times the default manifest. */
export const FILE_BYTES_MAX = 1_048_576

const NEWLINE = 0x0a

/** It cannot be read as a text; the message says why. */
export class NoText extends Error {
  override readonly name = "NoText"
}

/** Throws {@link NoText}, or what node:fs throws. Devices and pipes are read too, up to the bound. */
export function readText(path: string): string {
  const bytes = new Uint8Array(FILE_BYTES_MAX + 1)
  const descriptor = openSync(path, "r")
  let length = 0
  try {
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(descriptor, bytes, length, bytes.length - length, null)
    }
  } finally {
    closeSync(descriptor)
  }
  if (length > FILE_BYTES_MAX) throw new NoText(`it is larger than ${FILE_BYTES_MAX} bytes`)
  return decode(bytes.subarray(0, length))
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw new NoText(`line ${firstBadLine(bytes)} is not UTF-8; save the file as UTF-8`)
  }
}

/** No character of more than one byte holds a newline: each line can be looked at by itself. */
function firstBadLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  let line = 1
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline + 1
    try {
      decoder.decode(bytes.subarray(start, end))
    } catch {
      return line
    }
    start = end
  }
  return line
}
