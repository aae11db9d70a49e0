/**
 * Topics as the meta store holds them. docs/formats/meta.md describes them byte by byte.
 *
 * What many topics have alike is one object in memory, and is parsed once: a million topics are read at a start.
 */
import { textOfBytes } from "../text-of-bytes.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"

/** Where topics stand in the meta store: `topics/<tenant>/<name>`. */
export const META_PREFIX = "topics/"
/** Where logs of topics that were removed, or moved, stand until they are forgotten: `removed-topics/<log id>`. */
export const REMOVED_PREFIX = "removed-topics/"
/** Where moves stand until nothing is left of what they leave behind: `topic-moves/<id>`. */
export const MOVES_PREFIX = "topic-moves/"

/** First byte of a value; one that is whole JSON, as older releases wrote it, begins with "{". */
const FORM = 1
const UUID_BYTES = 16
const HEAD_BYTES = 1 + UUID_BYTES
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
/** Kinds of topics that are remembered. */
const KINDS_MAX = 4_096

/** All of a topic but what is its own. */
type TopicKind = Omit<TopicInfo, "tenant" | "name" | "id">

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const kinds = new Map<string, TopicKind>()
/** The last one, and the value that it was in. */
let last: { readonly bytes: Uint8Array; readonly kind: TopicKind | undefined } = {
  bytes: new Uint8Array(0),
  kind: undefined
}
const DIGITS = encoder.encode("0123456789abcdef")
const uuidText = new Uint8Array(36)
const nameText = new Uint8Array(249)

export function topicKey(topic: { readonly tenant: number; readonly name: string }): string {
  return `${META_PREFIX}${topic.tenant}/${topic.name}`
}

export function removedKey(topic: Pick<TopicInfo, "id" | "logId">): string {
  return `${REMOVED_PREFIX}${logIdOf(topic)}`
}

export function moveKey(topic: { readonly id: string }): string {
  return `${MOVES_PREFIX}${topic.id}`
}

/** A topic as it was, and as it is to be. */
export interface AgreedMove {
  readonly from: TopicInfo
  readonly to: TopicInfo
}

/** The value of {@link moveKey}. */
export function encodeMove(move: AgreedMove): Uint8Array {
  return encoder.encode(JSON.stringify(move))
}

export function decodeMove(value: Uint8Array): AgreedMove {
  return JSON.parse(decoder.decode(value)) as AgreedMove
}

/** What {@link topicKey} was made of. */
export function topicOfKey(key: string): { readonly tenant: number; readonly name: string } {
  const slash = key.indexOf("/", META_PREFIX.length)
  return { tenant: Number(key.slice(META_PREFIX.length, slash)), name: key.slice(slash + 1) }
}

/** The value of {@link topicKey}: without what the key says. */
export function encodeTopic(topic: TopicInfo): Uint8Array {
  const { tenant: _tenant, name: _name, id, ...kind } = topic
  if (!UUID.test(id)) return encodeRemoved(topic)
  const text = encoder.encode(JSON.stringify(kind))
  const bytes = new Uint8Array(HEAD_BYTES + text.length)
  bytes[0] = FORM
  const digits = id.replaceAll("-", "")
  for (let at = 0; at < UUID_BYTES; at++) bytes[1 + at] = Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16)
  bytes.set(text, HEAD_BYTES)
  return bytes
}

/** The value of {@link removedKey}. */
export function encodeRemoved(topic: TopicInfo): Uint8Array {
  return encoder.encode(JSON.stringify(topic))
}

/** What stands under a topic's key, or under that of a removed one. */
export function decodeTopic(key: string, value: Uint8Array): TopicInfo {
  if (value[0] !== FORM) return JSON.parse(decoder.decode(value)) as TopicInfo
  const { tenant, name: keyed } = topicOfKey(key)
  const name = ownText(keyed)
  const id = uuidAt(value, 1)
  const kind = kindOf(value)
  const { partitions, engine, mode, origin, retention, compression, configs, filter, boundFrom, partitionBy, logId } =
    kind
  // Objects of one shape and without room to grow: the usual ones.
  const isBound = filter !== undefined || boundFrom !== undefined || partitionBy !== undefined
  const isUsual = retention !== undefined && configs === undefined && !isBound && logId === undefined
  if (!isUsual) return { tenant, name, id, ...kind }
  if (compression === undefined) return { tenant, name, id, partitions, engine, mode, origin, retention }
  return { tenant, name, id, partitions, engine, mode, origin, retention, compression }
}

function kindOf(value: Uint8Array): TopicKind {
  // Mostly that of the topic before.
  if (last.kind !== undefined && value.length === last.bytes.length && isAlike(value, last.bytes)) return last.kind
  const text = textOfBytes(value, HEAD_BYTES, value.length)
  let kind = kinds.get(text)
  if (kind === undefined) {
    if (kinds.size >= KINDS_MAX) kinds.clear()
    kind = JSON.parse(text) as TopicKind
    kinds.set(text, kind)
  }
  last = { bytes: value.slice(), kind }
  return kind
}

function isAlike(left: Uint8Array, right: Uint8Array): boolean {
  for (let at = HEAD_BYTES; at < left.length; at++) if (left[at] !== right[at]) return false
  return true
}

/** Flat text, as {@link ownText}: one that is put together piece by piece is kept as its pieces. */
function uuidAt(bytes: Uint8Array, start: number): string {
  let position = 0
  for (let at = 0; at < UUID_BYTES; at++) {
    if (at === 4 || at === 6 || at === 8 || at === 10) uuidText[position++] = 0x2d
    const byte = bytes[start + at] ?? 0
    uuidText[position++] = DIGITS[byte >>> 4] ?? 0
    uuidText[position++] = DIGITS[byte & 15] ?? 0
  }
  return textOfBytes(uuidText, 0, uuidText.length)
}

/** The same text with memory of its own: a part of a text keeps the whole of it. */
function ownText(text: string): string {
  const { written } = encoder.encodeInto(text, nameText)
  return written === text.length ? textOfBytes(nameText, 0, written) : text
}
