/**
 * What stands at the name of a retained message, and the key that it has in the store.
 *
 * Key: "retained", tenant (4 bytes, the first is the highest), topic name.
 */
import { RETAINED_PREFIX as PREFIX } from "../kv/key-prefixes.ts"
import type { TopicNameIndex } from "../router/TopicNameIndex.ts"

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const encoder = new TextEncoder()

/** What there is to know of a name with a retained message, or of one that is noted as cleared, beyond its size. */
export interface RetainedEntry {
  /** Its value while the journal has not applied it yet. */
  unapplied: Uint8Array | undefined
  /** Bytes that it counts for against the bounds: of topic name, payload and properties, with what a record costs beside them. */
  readonly size: number
  readonly isCleared: boolean
  /** It was found to be another shard's: what comes from there is not to give way to it. */
  isStray: boolean
  /** Someone may ask later whether the name still has this very entry. */
  isShown: boolean
}

/** What stands at a name. Of nearly all names there is nothing to know but the size: a million of them are a million numbers. */
export type RetainedValue = number | RetainedEntry

export function sizeOf(value: RetainedValue): number {
  return typeof value === "number" ? value : value.size
}

export function isClearing(value: RetainedValue): boolean {
  return typeof value !== "number" && value.isCleared
}

export function keyOf(tenant: number, name: Uint8Array, start: number, end: number): Uint8Array {
  const key = new Uint8Array(PREFIX.length + 4 + end - start)
  key.set(PREFIX, 0)
  // Byte by byte: a look at `key.buffer` would make an ArrayBuffer of each key.
  for (let at = 0; at < 4; at++) key[PREFIX.length + at] = tenant >>> (24 - 8 * at)
  key.set(name.subarray(start, end), PREFIX.length + 4)
  return key
}

export function keyOfName(tenant: number, name: string): Uint8Array {
  const bytes = encoder.encode(name)
  return keyOf(tenant, bytes, 0, bytes.length)
}

export function makeEntry(unapplied: Uint8Array | undefined, size: number, isCleared: boolean): RetainedEntry {
  return { unapplied, size, isCleared, isStray: false, isShown: false }
}

/** The entry of a name, made where there is none, for somebody who keeps it: from now on it stays what it is. */
export function showEntry(names: TopicNameIndex<RetainedValue>, name: string, value: RetainedValue): RetainedEntry {
  const entry = typeof value === "number" ? makeEntry(undefined, value, false) : value
  entry.isShown = true
  if (entry !== value) names.set(name, entry)
  return entry
}

export function tenantOfKey(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(PREFIX.length)
}

export function nameOfKey(key: Uint8Array): string {
  return decoder.decode(key.subarray(PREFIX.length + 4))
}
