/** The codec built from the table of schemas: hand-computed bytes, round trips at every version, what must be refused. */
import { deepStrictEqual, equal, ok, throws } from "node:assert"
import { describe, test } from "node:test"
import fc from "fast-check"
import { APIS } from "./apis.ts"
import { codecFor, isFlexible, MalformedMessage } from "./codec.ts"
import { comparable, messageArbitrary } from "./message-arbitrary.ts"
import { requestHeader, responseHeader } from "./messages/headers.ts"
import { ELEMENTS_MAX, Reader } from "./reader.ts"
import { type Fields, inVersions, UUID_ZERO, type Versions } from "./schema.ts"
import { Writer } from "./writer.ts"

const readerOf = (hex: string): Reader => {
  const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""))
  return new Reader(bytes, 0, bytes.length)
}

function encodeHex(fields: Fields, version: number, flexible: boolean, message: object): string {
  const writer = new Writer(1)
  codecFor(fields, version, flexible).encode(writer, message as never)
  return writer.bytes.subarray(0, writer.position).toHex()
}

/** Every field form once: versions 0 (plain) and 1 (flexible). */
const every = [
  { name: "int8", type: "int8", versions: "0+" },
  { name: "uint16", type: "uint16", versions: "0+" },
  { name: "uint32", type: "uint32", versions: "0+" },
  { name: "int64", type: "int64", versions: "0+" },
  { name: "float64", type: "float64", versions: "0+" },
  { name: "bool", type: "bool", versions: "0+" },
  { name: "text", type: "string", versions: "0+" },
  { name: "textOrNull", type: "string", versions: "0+", nullable: "0+" },
  { name: "legacy", type: "string", versions: "0+", nullable: "0+", neverCompact: true },
  { name: "bytes", type: "bytes", versions: "0+" },
  { name: "records", type: "records", versions: "0+", nullable: "1+" },
  { name: "id", type: "uuid", versions: "0+" },
  { name: "numbers", type: { array: "int32" }, versions: "0+", nullable: "0+" },
  { name: "only0", type: "int16", versions: "0", default: 7 },
  { name: "late", type: "int16", versions: "1+" },
  { name: "tagged", type: "string", versions: "1+", tag: 3, default: "d" },
  {
    name: "taggedStruct",
    type: { struct: [{ name: "n", type: "int32", versions: "0+", default: -1 }] },
    versions: "1+",
    tag: 1
  }
] as const satisfies Fields

const value = {
  int8: -2,
  uint16: 65_535,
  uint32: 4_294_967_295,
  int64: -1,
  float64: 1.5,
  bool: true,
  text: "né",
  textOrNull: null,
  legacy: "id",
  bytes: new Uint8Array([1, 2]),
  records: { bytes: new Uint8Array([9, 8, 7]), start: 1, end: 3 },
  id: "00112233-4455-6677-8899-aabbccddeeff",
  numbers: [1, -1],
  only0: 258,
  late: 772,
  tagged: "t",
  taggedStruct: { n: 5 }
}

describe("hand-computed bytes", () => {
  test("a version without compact forms", () => {
    const hex =
      "fe ffff ffffffff ffffffffffffffff 3ff8000000000000 01 0003 6ec3a9 ffff 0002 6964 00000002 0102 00000002 0807" +
      "00112233445566778899aabbccddeeff 00000002 00000001 ffffffff 0102"
    equal(encodeHex(every, 0, false, value), hex.replaceAll(" ", ""))
    const expected = { ...value, late: 0, tagged: "d", taggedStruct: { n: -1 } }
    deepStrictEqual(comparable(codecFor(every, 0, false).decode(readerOf(hex))), comparable(expected))
  })
  test("a flexible version, tags in rising order whatever the order in the table", () => {
    const hex =
      "fe ffff ffffffff ffffffffffffffff 3ff8000000000000 01 04 6ec3a9 00 0002 6964 03 0102 03 0807" +
      "00112233445566778899aabbccddeeff 03 00000001 ffffffff 0304 02 01 05 00000005 00 03 02 02 74"
    equal(encodeHex(every, 1, true, value), hex.replaceAll(" ", ""))
    deepStrictEqual(comparable(codecFor(every, 1, true).decode(readerOf(hex))), comparable({ ...value, only0: 7 }))
  })
  test("unknown tags are skipped, a field left out stands at its default", () => {
    const fields = [
      { name: "a", type: "int8", versions: "0+" },
      { name: "b", type: "int8", versions: "0+", tag: 2, default: 9 }
    ] as const satisfies Fields
    const codec = codecFor(fields, 0, true)
    deepStrictEqual(codec.decode(readerOf("01 00")), { a: 1, b: 9 })
    deepStrictEqual(codec.decode(readerOf("01 03 00 02 ffff 02 01 04 7f 00")), { a: 1, b: 4 })
    equal(encodeHex(fields, 0, true, { a: 1, b: 9 }), "0100")
    equal(encodeHex(fields, 0, true, { a: 1, b: 8 }), "0101020108")
  })
  test("a tagged field of more than 127 bytes has a size of two bytes", () => {
    const fields = [{ name: "a", type: "string", versions: "0+", tag: 0 }] as const satisfies Fields
    const a = "x".repeat(200)
    const hex = encodeHex(fields, 0, true, { a })
    equal(hex, `0100ca01c901${"78".repeat(200)}`)
    deepStrictEqual(codecFor(fields, 0, true).decode(readerOf(hex)), { a })
  })
  test("records written from several views stand one after the other", () => {
    const fields = [{ name: "a", type: "records", versions: "0+" }] as const satisfies Fields
    const bytes = new Uint8Array([1, 2, 3, 4])
    const a = [
      { bytes, start: 0, end: 1 },
      { bytes, start: 2, end: 4 }
    ]
    equal(encodeHex(fields, 0, false, { a }), "00000003010304")
    equal(encodeHex(fields, 0, true, { a: [] }), "0100")
  })
  test("int64: exact within 2^53, the nearest end beyond int64", () => {
    const fields = [{ name: "n", type: "int64", versions: "0+" }] as const satisfies Fields
    for (const [n, hex] of [
      [9_007_199_254_740_991, "001fffffffffffff"],
      [-9_007_199_254_740_991, "ffe0000000000001"],
      [4_294_967_296, "0000000100000000"],
      [-4_294_967_297, "fffffffeffffffff"],
      [2 ** 63, "7fffffffffffffff"],
      [-(2 ** 63), "8000000000000000"],
      [Infinity, "7fffffffffffffff"]
    ] as const) {
      equal(encodeHex(fields, 0, false, { n }), hex)
      if (Number.isFinite(n)) equal(codecFor(fields, 0, false).decode(readerOf(hex)).n, n)
    }
  })
})

describe("what is refused", () => {
  const one = (type: Fields[number]["type"], nullable?: Versions): Fields => [
    { name: "a", type, versions: "0+", ...(nullable === undefined ? {} : { nullable }) }
  ]
  const malformed: ReadonlyArray<readonly [string, Fields, boolean, string]> = [
    ["an int32 cut short", one("int32"), false, "000000"],
    ["a string cut short", one("string"), false, "0003 6161"],
    ["a compact string cut short", one("string"), true, "04 6161"],
    ["a null string", one("string"), false, "ffff"],
    ["a null compact string", one("string"), true, "00 00"],
    ["a string of size -2", one("string", "0+"), false, "fffe"],
    ["a compact string above 32,767 bytes", one("string"), true, "81 80 02"],
    ["null bytes", one("bytes"), false, "ffffffff"],
    ["bytes of a negative size", one("bytes", "0+"), false, "80000000"],
    ["records longer than the message", one("records"), false, "7fffffff 00"],
    ["a null array", one({ array: "int32" }), false, "ffffffff"],
    ["an array of 2^31 - 1 elements", one({ array: "int32" }), false, "7fffffff 00000001"],
    ["an array of 2^32 - 2 elements, compact", one({ array: "int8" }), true, "ffffffff0f 01 00"],
    ["an array with one element too few", one({ array: "int32" }), false, "00000002 00000001 000000"],
    ["a varint of 33 bits", one("string"), true, "ffffffff1f"],
    ["a varint of 2^32, which is not 0", one("string", "0+"), true, "8080808010 00"],
    ["a varint of six bytes", one("string"), true, "ffffffffff01"],
    ["a tag section cut short", one("int8"), true, "01 02 00"],
    ["tags in falling order", one("int8"), true, "01 02 01 00 00 00"],
    ["the same tag twice", one("int8"), true, "01 02 01 00 01 00"],
    ["more tags than bytes", one("int8"), true, "01 ff7f 00 00"]
  ]
  for (const [name, fields, flexible, hex] of malformed) {
    test(name, () => throws(() => codecFor(fields, 0, flexible).decode(readerOf(hex)), MalformedMessage))
  }
  const taggedByte = [{ name: "a", type: "int8", versions: "0+", tag: 0 }] as const satisfies Fields
  test("a tagged field shorter or longer than its size", () => {
    throws(() => codecFor(taggedByte, 0, true).decode(readerOf("01 00 02 01 01")), MalformedMessage)
    throws(() => codecFor(taggedByte, 0, true).decode(readerOf("01 00 00 01 01")), MalformedMessage)
  })
  test("a text that is not UTF-8 and would be too long once it is", () => {
    const text = (size: number): Uint8Array => new Uint8Array(size).fill(0xff)
    equal(new Reader(text(10_922), 0, 10_922).text(10_922).length, 10_922)
    throws(() => new Reader(text(10_923), 0, 10_923).text(10_923), MalformedMessage)
    equal(new Reader(new Uint8Array(32_767).fill(0x61), 0, 32_767).text(32_767).length, 32_767)
  })
  test("more array elements than a message may have, each well within its bytes", () => {
    const fields = [
      {
        name: "a",
        type: { array: { struct: [{ name: "b", type: { array: "int8" }, versions: "0+" }] } },
        versions: "0+"
      }
    ] as const satisfies Fields
    const writer = new Writer()
    const b = Array.from({ length: ELEMENTS_MAX / 2 }, () => 1)
    const codec = codecFor(fields, 0, false)
    codec.encode(writer, { a: [{ b }, { b }] })
    throws(() => codec.decode(new Reader(writer.bytes, 0, writer.position)), MalformedMessage)
    writer.position = 0
    codec.encode(writer, { a: [{ b }, { b: b.slice(2) }] })
    equal(codec.decode(new Reader(writer.bytes, 0, writer.position)).a.length, 2)
  })
  test("null where the version has no null is our own fault", () => {
    for (const type of ["string", "bytes", "records", { array: "int8" }] as const) {
      throws(() => encodeHex(one(type, "1+"), 0, false, { a: null }), RangeError)
      throws(() => encodeHex(one(type), 0, true, { a: null }), RangeError)
    }
  })
  test("a string too long, a UUID that is none", () => {
    throws(() => encodeHex(one("string"), 0, false, { a: "x".repeat(32_768) }), RangeError)
    throws(() => encodeHex(one("uuid"), 0, false, { a: "00112233" }), RangeError)
  })
})

test("version ranges", () => {
  const rows: ReadonlyArray<readonly [Versions | undefined, number, boolean]> = [
    ["3+", 2, false],
    ["3+", 3, true],
    ["3+", 99, true],
    ["0-12", 12, true],
    ["0-12", 13, false],
    ["8-10", 7, false],
    ["1", 1, true],
    ["1", 2, false],
    [undefined, 0, false]
  ]
  for (const [versions, version, expected] of rows)
    equal(inVersions(versions, version), expected, `${versions} ${version}`)
})

test("text that is not UTF-8 becomes U+FFFD, a byte order mark stays", () => {
  const fields = [{ name: "a", type: "string", versions: "0+" }] as const satisfies Fields
  equal(codecFor(fields, 0, false).decode(readerOf("0002 61ff")).a, "a\ufffd")
  equal(codecFor(fields, 0, false).decode(readerOf("0004 efbbbf61")).a, "\ufeffa")
  equal(encodeHex(fields, 0, false, { a: "a\ud800" }), "000461efbfbd")
})

test("bytes that do not fit into what a writer has are written all the same", () => {
  const writer = new Writer(1)
  writer.bytesSized(new Uint8Array(300).fill(7), false)
  equal(writer.bytes.subarray(0, writer.position).toHex(), `0000012c${"07".repeat(300)}`)
})

describe("round trips at every version of every message", () => {
  const messages = [
    ...APIS.flatMap((api) =>
      Array.from({ length: api.versionMax - api.versionMin + 1 }, (_, index) => api.versionMin + index).flatMap(
        (version) => [
          { name: `${api.name} request ${version}`, fields: api.request, version, flexible: isFlexible(api, version) },
          { name: `${api.name} response ${version}`, fields: api.response, version, flexible: isFlexible(api, version) }
        ]
      )
    ),
    ...[0, 1, 2].map((version) => ({
      name: `request header ${version}`,
      fields: requestHeader,
      version,
      flexible: version >= 2
    })),
    ...[0, 1].map((version) => ({
      name: `response header ${version}`,
      fields: responseHeader,
      version,
      flexible: version >= 1
    }))
  ]
  test("there are all of them", () => {
    const versions = APIS.reduce((count, { versionMin, versionMax }) => count + versionMax - versionMin + 1, 0)
    equal(messages.length, 2 * versions + 5)
  })
  for (const { name, fields, version, flexible } of messages) {
    test(name, () => {
      const codec = codecFor<Fields>(fields, version, flexible)
      fc.assert(
        fc.property(messageArbitrary(fields, version), fc.nat(3), (message, offset) => {
          const writer = new Writer(1)
          for (let index = 0; index < offset; index++) writer.int8(0x55)
          codec.encode(writer, message as never)
          const end = writer.position
          writer.int32(0x5555_5555)
          const reader = new Reader(writer.bytes, offset, end)
          const decoded = codec.decode(reader)
          equal(reader.position, end)
          deepStrictEqual(comparable(decoded), comparable(message))
          const again = new Writer()
          codec.encode(again, decoded as never)
          equal(again.bytes.subarray(0, again.position).toHex(), writer.bytes.subarray(offset, end).toHex())
        }),
        { numRuns: 25 }
      )
    })
    test(`${name}: any cut is refused`, () => {
      const codec = codecFor<Fields>(fields, version, flexible)
      fc.assert(
        fc.property(messageArbitrary(fields, version), (message) => {
          const writer = new Writer()
          codec.encode(writer, message as never)
          const step = Math.max(1, Math.floor(writer.position / 40))
          for (let end = 0; end < writer.position; end += step) {
            throws(() => codec.decode(new Reader(writer.bytes, 0, end)), MalformedMessage)
          }
        }),
        { numRuns: 5 }
      )
    })
  }
})

test("no field of the table is misspelt in its versions", () => {
  const check = (fields: Fields, versionMax: number, path: string): void => {
    const names = new Set(fields.map((field) => field.name))
    equal(names.size, fields.length, path)
    for (const field of fields) {
      const some = Array.from({ length: versionMax + 1 }, (_, version) => version).some((version) =>
        inVersions(field.versions, version)
      )
      ok(some, `${path}.${field.name} is in no version`)
      if (typeof field.type === "string") continue
      const inner = "struct" in field.type ? field.type : field.type.array
      if (typeof inner !== "string") check(inner.struct, versionMax, `${path}.${field.name}`)
    }
  }
  for (const api of APIS) {
    check(api.request, api.versionMax, `${api.name} request`)
    check(api.response, api.versionMax, `${api.name} response`)
  }
  equal(UUID_ZERO.length, 36)
})
