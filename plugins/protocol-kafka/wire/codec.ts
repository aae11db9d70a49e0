/**
 * Builds decoders and encoders from the table of schemas: closures made once per message and version, kept for ever.
 *
 * Invariants
 *  - decode(encode(x)) = x for every value that a version can carry; encode(decode(b)) = b for what a client's own encoder wrote.
 *  - A decoder reads exactly the fields of its version; unknown tagged fields are skipped, tags stand in rising order.
 *  - Null is accepted and written only where the schema allows it in that version.
 *  - A tagged field at its default is not written.
 */
import { MalformedMessage, Reader } from "./reader.ts"
import {
  type Api,
  type ArrayType,
  type Decoded,
  type Encodable,
  type Field,
  type Fields,
  type FieldType,
  inVersions,
  type Primitive,
  type RecordsSource,
  type RequestOf,
  type ResponseOf,
  type StructType,
  UUID_ZERO
} from "./schema.ts"
import type { Writer } from "./writer.ts"

export { MalformedMessage, Reader }

export interface Codec<F extends Fields> {
  /** Reads one message from where `reader` stands. Throws {@link MalformedMessage}. */
  readonly decode: (reader: Reader) => Decoded<F>
  /** Appends one message to `writer`. */
  readonly encode: (writer: Writer, message: Encodable<F>) => void
}

type Read = (reader: Reader) => unknown
/** `unknown` inside, where one closure type serves every field; the public face is typed by the schema. */
type Write = (writer: Writer, value: unknown) => void
type Struct = Record<string, unknown>
interface Pair {
  readonly read: Read
  readonly write: Write
  /** The fewest bytes that a value takes. */
  readonly sizeMin: number
}

const built = new WeakMap<Fields, Map<number, Codec<Fields>>>()

/** The codec of a message's `fields` at one version; `flexible` says whether that version has compact forms and tagged fields. */
export function codecFor<const F extends Fields>(fields: F, version: number, flexible: boolean): Codec<F> {
  let versions = built.get(fields)
  if (versions === undefined) {
    versions = new Map()
    built.set(fields, versions)
  }
  const key = 2 * version + (flexible ? 1 : 0)
  let codec = versions.get(key)
  if (codec === undefined) {
    const { read, write } = structPair(fields, version, flexible)
    codec = { decode: read as Codec<Fields>["decode"], encode: write as Codec<Fields>["encode"] }
    versions.set(key, codec)
  }
  return codec as unknown as Codec<F>
}

export function isFlexible(api: Api, version: number): boolean {
  return version >= api.flexibleFrom
}

/** Reads the body of a request that stands between `reader`'s position and its end. Throws {@link MalformedMessage}. */
export function decodeRequest<A extends Api>(api: A, version: number, reader: Reader): RequestOf<A> {
  return codecFor(api.request, version, isFlexible(api, version)).decode(reader) as RequestOf<A>
}

/** Appends the body of a response to `writer`. */
export function encodeResponse<A extends Api>(api: A, version: number, writer: Writer, response: ResponseOf<A>): void {
  codecFor(api.response, version, isFlexible(api, version)).encode(writer, response as Encodable<Fields>)
}

function structPair(fields: Fields, version: number, flexible: boolean): Pair {
  const plain: Array<{ name: string; pair: Pair; initial: unknown }> = []
  const tagged: Array<TaggedField> = []
  const absent: Array<{ name: string; initial: unknown }> = []
  let sizeMin = flexible ? 1 : 0
  for (const field of fields) {
    const initial = initialValue(field, version)
    if (!inVersions(field.versions, version)) {
      absent.push({ name: field.name, initial })
      continue
    }
    const pair = fieldPair(field, version, flexible)
    if (field.tag === undefined) {
      plain.push({ name: field.name, pair, initial })
      sizeMin += pair.sizeMin
    } else {
      tagged.push({ name: field.name, tag: field.tag, pair, initial })
      absent.push({ name: field.name, initial })
    }
  }
  tagged.sort((left, right) => left.tag - right.tag)
  const read = (reader: Reader): Struct => {
    const struct: Struct = {}
    for (const { name, pair } of plain) struct[name] = pair.read(reader)
    for (const { name, initial } of absent) struct[name] = initial
    if (flexible) readTagged(reader, tagged, struct)
    return struct
  }
  const write = (writer: Writer, value: unknown): void => {
    const struct = value as Struct
    for (const { name, pair, initial } of plain) {
      const given = struct[name]
      pair.write(writer, given === undefined ? initial : given)
    }
    if (flexible) writeTagged(writer, tagged, struct)
  }
  return { read, write, sizeMin }
}

interface TaggedField {
  readonly name: string
  readonly tag: number
  readonly pair: Pair
  readonly initial: unknown
}

function readTagged(reader: Reader, tagged: ReadonlyArray<TaggedField>, struct: Struct): void {
  const count = reader.unsignedVarint()
  if (count === 0) return
  reader.checkElements(count, 2)
  let previous = -1
  const end = reader.end
  for (let index = 0; index < count; index++) {
    const tag = reader.unsignedVarint()
    if (tag <= previous) throw new MalformedMessage("tagged fields out of order")
    previous = tag
    const size = reader.unsignedVarint()
    const fieldEnd = reader.take(size) + size
    const field = tagged.find((candidate) => candidate.tag === tag)
    if (field === undefined) continue
    reader.position = fieldEnd - size
    reader.end = fieldEnd
    struct[field.name] = field.pair.read(reader)
    if (reader.position !== fieldEnd) throw new MalformedMessage("a tagged field of the wrong size")
    reader.end = end
  }
}

function writeTagged(writer: Writer, tagged: ReadonlyArray<TaggedField>, struct: Struct): void {
  let count = 0
  for (const field of tagged) if (!isInitial(struct[field.name], field.initial)) count++
  writer.unsignedVarint(count)
  if (count === 0) return
  for (const { name, tag, pair, initial } of tagged) {
    const given = struct[name]
    if (isInitial(given, initial)) continue
    writer.unsignedVarint(tag)
    const start = writer.position
    pair.write(writer, given)
    writer.insertSize(start)
  }
}

/** Whether a tagged field's value is its default, field by field for a struct. */
function isInitial(value: unknown, initial: unknown): boolean {
  if (value === undefined || value === initial) return true
  if (typeof value !== "object" || value === null || typeof initial !== "object" || initial === null) return false
  if (Array.isArray(value)) return value.length === 0 && Array.isArray(initial)
  if (value instanceof Uint8Array) return value.length === 0
  return Object.entries(initial).every(([name, part]) => isInitial((value as Struct)[name], part))
}

function fieldPair(field: Field, version: number, flexible: boolean): Pair {
  const nullable = inVersions(field.nullable, version)
  const compact = flexible && field.neverCompact !== true
  const type: FieldType = field.type
  if (typeof type === "string") return primitivePair(type, compact, nullable)
  if ("array" in type) return arrayPair(type, version, flexible, nullable)
  const pair = structPair(type.struct, version, flexible)
  return nullable ? nullablePair(pair) : pair
}

/** A struct that may be null: a byte of 1 before it, or of -1 instead of it. */
function nullablePair(pair: Pair): Pair {
  return {
    read: (reader) => (reader.int8() < 0 ? null : pair.read(reader)),
    write: (writer, value) => {
      writer.int8(value === null ? -1 : 1)
      if (value !== null) pair.write(writer, value)
    },
    sizeMin: 1
  }
}

function arrayPair(type: ArrayType, version: number, flexible: boolean, nullable: boolean): Pair {
  const element: Primitive | StructType = type.array
  const pair =
    typeof element === "string"
      ? primitivePair(element, flexible, false)
      : structPair(element.struct, version, flexible)
  const elementSizeMin = Math.max(pair.sizeMin, 1)
  const read = (reader: Reader): unknown => {
    const count = reader.size(flexible)
    if (count === -1) return nullOr(nullable)
    reader.checkElements(count, elementSizeMin)
    const elements: Array<unknown> = []
    for (let index = 0; index < count; index++) elements.push(pair.read(reader))
    return elements
  }
  const write = (writer: Writer, value: unknown): void => {
    if (value === null) {
      writeNullSize(writer, flexible, nullable)
      return
    }
    const elements = value as ReadonlyArray<unknown>
    writer.size(elements.length, flexible)
    for (const one of elements) pair.write(writer, one)
  }
  return { read, write, sizeMin: flexible ? 1 : 4 }
}

function primitivePair(type: Primitive, compact: boolean, nullable: boolean): Pair {
  switch (type) {
    case "int8":
      return { read: (reader) => reader.int8(), write: (writer, value) => writer.int8(value as number), sizeMin: 1 }
    case "bool":
      return { read: (reader) => reader.bool(), write: (writer, value) => writer.bool(value as boolean), sizeMin: 1 }
    case "int16":
      return { read: (reader) => reader.int16(), write: (writer, value) => writer.int16(value as number), sizeMin: 2 }
    case "uint16":
      return { read: (reader) => reader.uint16(), write: (writer, value) => writer.int16(value as number), sizeMin: 2 }
    case "int32":
      return { read: (reader) => reader.int32(), write: (writer, value) => writer.int32(value as number), sizeMin: 4 }
    case "uint32":
      return { read: (reader) => reader.uint32(), write: (writer, value) => writer.int32(value as number), sizeMin: 4 }
    case "int64":
      return { read: (reader) => reader.int64(), write: (writer, value) => writer.int64(value as number), sizeMin: 8 }
    case "float64":
      return {
        read: (reader) => reader.float64(),
        write: (writer, value) => writer.float64(value as number),
        sizeMin: 8
      }
    case "uuid":
      return { read: (reader) => reader.uuid(), write: (writer, value) => writer.uuid(value as string), sizeMin: 16 }
    case "string":
      return {
        read: (reader) => {
          const size = reader.stringSize(compact)
          return size === -1 ? nullOr(nullable) : reader.text(size)
        },
        write: (writer, value) => {
          if (value !== null) writer.string(value as string, compact)
          else if (!nullable) refuseNull()
          else if (compact) writer.unsignedVarint(0)
          else writer.int16(-1)
        },
        sizeMin: compact ? 1 : 2
      }
    case "bytes":
      return {
        read: (reader) => {
          const size = reader.size(compact)
          return size === -1 ? nullOr(nullable) : reader.bytesView(size)
        },
        write: (writer, value) => {
          if (value === null) writeNullSize(writer, compact, nullable)
          else writer.bytesSized(value as Uint8Array, compact)
        },
        sizeMin: compact ? 1 : 4
      }
    case "records":
      return {
        read: (reader) => {
          const size = reader.size(compact)
          return size === -1 ? nullOr(nullable) : reader.recordsView(size)
        },
        write: (writer, value) => {
          if (value === null) writeNullSize(writer, compact, nullable)
          else writer.recordsSized(value as RecordsSource, compact)
        },
        sizeMin: compact ? 1 : 4
      }
  }
}

function nullOr(nullable: boolean): null {
  if (!nullable) throw new MalformedMessage("null where a value must be")
  return null
}

function writeNullSize(writer: Writer, compact: boolean, nullable: boolean): void {
  if (!nullable) refuseNull()
  writer.size(-1, compact)
}

function refuseNull(): never {
  throw new RangeError("null has no place in this field and version")
}

const NO_ELEMENTS: ReadonlyArray<never> = Object.freeze([])
const NO_BYTES = new Uint8Array(0)

/** What stands for a field that is not on the wire. */
function initialValue(field: Field, version: number): unknown {
  if (field.default !== undefined) return field.default
  const type: FieldType = field.type
  if (typeof type !== "string") {
    if ("array" in type) return NO_ELEMENTS
    return Object.freeze(Object.fromEntries(type.struct.map((part) => [part.name, initialValue(part, version)])))
  }
  switch (type) {
    case "bool":
      return false
    case "string":
      return ""
    case "bytes":
      return NO_BYTES
    case "records":
      return null
    case "uuid":
      return UUID_ZERO
    default:
      return 0
  }
}
