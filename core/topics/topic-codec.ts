/**
 * Topics as the meta store holds them. docs/formats/meta.md describes them byte by byte.
 *
 * What many topics have alike is one object in memory, and is parsed once: a million topics are read at a start.
 */
import { textOfBytes } from "../text-of-bytes.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import { isPlain, type OwnOfTopic, type TopicKind } from "./TopicKinds.ts"
import { putUuid, UUID_BYTES, uuidAt } from "./topic-uuid.ts"

/** Where topics stand in the meta store: `topics/<tenant>/<name>`. */
export const META_PREFIX = "topics/"
/** Where logs of topics that were removed, or moved, stand until they are forgotten: `removed-topics/<log id>`. */
export const REMOVED_PREFIX = "removed-topics/"
/** Where moves stand until nothing is left of what they leave behind: `topic-moves/<id>`. */
export const MOVES_PREFIX = "topic-moves/"

/** First byte of a value; one that is whole JSON, as older releases wrote it, begins with "{". */
const FORM = 1
/** Where a value of {@link FORM} has the topic's id. */
export const ID_AT = 1
const HEAD_BYTES = ID_AT + UUID_BYTES
/** Kinds of topics that are remembered. */
const KINDS_MAX = 4_096

/** All of a topic but its tenant, name and id, as a value of {@link FORM} has it behind the id. */
export type StoredKind = TopicKind & OwnOfTopic

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const kinds = new Map<string, StoredKind>()
/** The last one, and the value that it was in. */
let last: { readonly bytes: Uint8Array; readonly kind: StoredKind | undefined } = {
  bytes: new Uint8Array(0),
  kind: undefined
}
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
  const text = encoder.encode(JSON.stringify(kind))
  const bytes = new Uint8Array(HEAD_BYTES + text.length)
  if (!putUuid(id, bytes, ID_AT)) return encodeRemoved(topic)
  bytes[0] = FORM
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
  const id = uuidAt(value, ID_AT)
  const kind = kindOf(value, 0, value.length)
  const { partitions, engine, mode, origin, retention, compression, configs, partitionBy } = kind
  // Objects of one shape and without room to grow: the usual ones.
  const isUsual = retention !== undefined && configs === undefined && partitionBy === undefined
  if (!isUsual || !isPlain(kind)) return { tenant, name, id, ...kind }
  if (compression === undefined) return { tenant, name, id, partitions, engine, mode, origin, retention }
  return { tenant, name, id, partitions, engine, mode, origin, retention, compression }
}

/** The kind that the value `bytes[start, end)` says; undefined where it is of the older form, whole JSON. One object for those alike. */
export function storedKind(bytes: Uint8Array, start: number, end: number): StoredKind | undefined {
  return bytes[start] === FORM ? kindOf(bytes, start, end) : undefined
}

function kindOf(bytes: Uint8Array, start: number, end: number): StoredKind {
  // Mostly that of the topic before.
  if (last.kind !== undefined && end - start === last.bytes.length && isAlike(bytes, start, last.bytes))
    return last.kind
  const text = textOfBytes(bytes, start + HEAD_BYTES, end)
  let kind = kinds.get(text)
  if (kind === undefined) {
    if (kinds.size >= KINDS_MAX) kinds.clear()
    kind = JSON.parse(text) as StoredKind
    kinds.set(text, kind)
  }
  last = { bytes: bytes.slice(start, end), kind }
  return kind
}

function isAlike(bytes: Uint8Array, start: number, other: Uint8Array): boolean {
  for (let at = HEAD_BYTES; at < other.length; at++) if (bytes[start + at] !== other[at]) return false
  return true
}

/** The same text with memory of its own: a part of a text keeps the whole of it. */
function ownText(text: string): string {
  const { written } = encoder.encodeInto(text, nameText)
  return written === text.length ? textOfBytes(nameText, 0, written) : text
}
