/**
 * What a Kafka message is, as data: fields with type, versions, nullability, tag and default. The codec, the TypeScript types and
 * the test arbitraries are all made from this one description, so a later API is one more table and no more code.
 *
 * Invariants
 *  - Field names and versions are those of Apache Kafka 4.3 (clients/src/main/resources/common/message), in its order on the wire.
 *  - A tagged field is tagged in every version that has it (true of every Kafka message so far), and only in flexible versions.
 *  - Structs nest as deep as the table is written, never deeper: no input chooses the depth.
 *
 * Source: the Kafka protocol guide; KIP-482 (flexible versions, tagged fields).
 */

/** `"3+"` from 3 on, `"0-12"` both ends included, `"1"` that one alone. */
export type Versions = `${number}+` | `${number}-${number}` | `${number}`

export type Primitive =
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "float64"
  | "bool"
  | "string"
  | "bytes"
  | "records"
  | "uuid"

export interface StructType {
  readonly struct: Fields
}
export interface ArrayType {
  readonly array: Primitive | StructType
}
export type FieldType = Primitive | StructType | ArrayType

export interface Field {
  readonly name: string
  readonly type: FieldType
  readonly versions: Versions
  /** Versions in which null may stand on the wire. */
  readonly nullable?: Versions
  /** The tag number; absent for a field with a place of its own. */
  readonly tag?: number
  /** What stands for the field where it is not on the wire; else zero, false, "", no bytes, no elements, the zero UUID. */
  readonly default?: number | string | boolean | null
  /** Keeps the old two-byte length in flexible versions too: the client id of the request header alone. */
  readonly neverCompact?: true
}
export type Fields = ReadonlyArray<Field>

/** One API: its key, the versions this broker speaks, and both messages. */
export interface Api {
  readonly key: number
  readonly name: string
  readonly versionMin: number
  readonly versionMax: number
  /** The first version with compact forms and tagged fields; Infinity where there is none. */
  readonly flexibleFrom: number
  readonly request: Fields
  readonly response: Fields
}

/** Stored record batches within `bytes[start, end)`: borrowed for as long as `bytes` is. */
export interface RecordsView {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

/** What a records field is written from: one view, or several that follow each other. */
export type RecordsSource = RecordsView | ReadonlyArray<RecordsView>

type PrimitiveValue<T> = T extends "bool"
  ? boolean
  : T extends "string" | "uuid"
    ? string
    : T extends "bytes"
      ? Uint8Array
      : T extends "records"
        ? RecordsView
        : T extends Primitive
          ? number
          : never
type NullOf<F> = F extends { readonly nullable: string } ? null : F extends { readonly default: null } ? null : never

type DecodedValue<T> = T extends { readonly struct: infer F extends Fields }
  ? Decoded<F>
  : T extends { readonly array: infer E }
    ? ReadonlyArray<DecodedValue<E>>
    : PrimitiveValue<T>
/** A decoded message: every field is there, with its default where the version does not carry it. */
export type Decoded<F extends Fields> = {
  readonly [P in F[number] as P["name"]]: DecodedValue<P["type"]> | NullOf<P>
}

type EncodableValue<T> = T extends { readonly struct: infer F extends Fields }
  ? Encodable<F>
  : T extends { readonly array: infer E }
    ? ReadonlyArray<EncodableValue<E>>
    : T extends "records"
      ? RecordsSource
      : PrimitiveValue<T>
/** May be left out: what has a default of its own, a tag, or is not in every version. */
type Optional<P> = P extends { readonly default: unknown } | { readonly tag: number }
  ? true
  : P extends { readonly versions: "0+" }
    ? false
    : true
/** A message to encode; a field left out stands at its default, a field that the version lacks is not looked at. */
export type Encodable<F extends Fields> = {
  readonly [P in F[number] as Optional<P> extends true ? never : P["name"]]: EncodableValue<P["type"]> | NullOf<P>
} & {
  readonly [P in F[number] as Optional<P> extends true ? P["name"] : never]?:
    | EncodableValue<P["type"]>
    | NullOf<P>
    | undefined
}

export type RequestOf<A extends Api> = Decoded<A["request"]>
export type ResponseOf<A extends Api> = Encodable<A["response"]>
/** One element of an array field of a message to encode. */
export type ElementOf<M, Name extends keyof M> = NonNullable<M[Name]> extends ReadonlyArray<infer E> ? E : never

export const UUID_ZERO = "00000000-0000-0000-0000-000000000000"

/** Whether `versions` holds `version`; undefined holds none. */
export function inVersions(versions: Versions | undefined, version: number): boolean {
  if (versions === undefined) return false
  if (versions.endsWith("+")) return version >= Number(versions.slice(0, -1))
  const dash = versions.indexOf("-")
  if (dash === -1) return version === Number(versions)
  return version >= Number(versions.slice(0, dash)) && version <= Number(versions.slice(dash + 1))
}
