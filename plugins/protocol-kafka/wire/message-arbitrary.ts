/**
 * Random messages made from the table of schemas, for properties and fuzzing: any value that a version can carry on the wire, with
 * the default in every field that the version lacks, so that a decoder must give back an equal value.
 */
import fc from "fast-check"
import { type Field, type Fields, type FieldType, inVersions, type RecordsView, UUID_ZERO } from "./schema.ts"

/** A message of any API, as the codec's inside sees it. */
export type Message = { readonly [name: string]: unknown }

/** A message of `fields` at `version`. */
export function messageArbitrary(fields: Fields, version: number): fc.Arbitrary<Message> {
  const parts: Record<string, fc.Arbitrary<unknown>> = {}
  for (const field of fields) {
    parts[field.name] = inVersions(field.versions, version)
      ? fieldArbitrary(field, version)
      : fc.constant(defaultOf(field))
  }
  return fc.record(parts, { noNullPrototype: true })
}

function fieldArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  const values = typeArbitrary(field.type, version)
  const options: Array<fc.Arbitrary<unknown>> = [values, values]
  if (inVersions(field.nullable, version)) options.push(fc.constant(null))
  if (field.tag !== undefined) options.push(fc.constant(defaultOf(field)))
  return fc.oneof(...options)
}

function typeArbitrary(type: FieldType, version: number): fc.Arbitrary<unknown> {
  if (typeof type !== "string") {
    if ("struct" in type) return messageArbitrary(type.struct, version)
    const element = type.array
    return fc.array(
      typeof element === "string" ? typeArbitrary(element, version) : messageArbitrary(element.struct, version),
      {
        maxLength: 4
      }
    )
  }
  switch (type) {
    case "int8":
      return fc.integer({ min: -128, max: 127 })
    case "int16":
      return fc.integer({ min: -32_768, max: 32_767 })
    case "uint16":
      return fc.integer({ min: 0, max: 65_535 })
    case "int32":
      return fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
    case "uint32":
      return fc.integer({ min: 0, max: 0xffff_ffff })
    case "int64":
      return fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, -1, 2 ** 32, -(2 ** 32), 2 ** 63, -(2 ** 63)))
    case "float64":
      return fc.double({ noNaN: true })
    case "bool":
      return fc.boolean()
    case "string":
      return fc.oneof(
        fc.string({ maxLength: 12 }),
        fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => text.isWellFormed()),
        fc.constantFrom("\ufeffmark", "x".repeat(127), "ü".repeat(200))
      )
    case "bytes":
      return fc.uint8Array({ maxLength: 40 })
    case "records":
      return fc
        .tuple(fc.uint8Array({ maxLength: 300 }), fc.nat(20))
        .map(([bytes, start]): RecordsView => ({ bytes, start: Math.min(start, bytes.length), end: bytes.length }))
    case "uuid":
      return fc.oneof(fc.uuid(), fc.constant(UUID_ZERO))
  }
}

function defaultOf(field: Field): unknown {
  if (field.default !== undefined) return field.default
  const type = field.type
  if (typeof type !== "string") {
    return "array" in type ? [] : Object.fromEntries(type.struct.map((part) => [part.name, defaultOf(part)]))
  }
  switch (type) {
    case "bool":
      return false
    case "string":
      return ""
    case "bytes":
      return new Uint8Array(0)
    case "records":
      return null
    case "uuid":
      return UUID_ZERO
    default:
      return 0
  }
}

/** The message with every view of records as its bytes, so that two messages can be compared by value. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.toHex()
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value
  if ("bytes" in value && "start" in value) {
    const view = value as RecordsView
    return view.bytes.subarray(view.start, view.end).toHex()
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, comparable(part)]))
}
