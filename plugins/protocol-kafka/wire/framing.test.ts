/** Frames out of chunks, whatever their borders; sizes that nobody may believe; header versions. */
import { deepStrictEqual, equal, ok, throws } from "node:assert"
import { describe, test } from "node:test"
import fc from "fast-check"
import { APIS, apiOf, apiVersions, fetch, metadata, produce } from "./apis.ts"
import { encodeResponse, MalformedMessage, Reader } from "./codec.ts"
import {
  beginResponse,
  decodeRequestHeader,
  endFrame,
  FrameReader,
  requestHeaderVersion,
  responseHeaderVersion
} from "./framing.ts"
import { Writer } from "./writer.ts"

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(" ", ""))

function framesOf(reader: FrameReader, chunk: Uint8Array): Array<string> {
  const found: Array<string> = []
  reader.push(chunk)
  while (reader.next()) found.push(reader.bytes.subarray(reader.start, reader.end).toHex())
  return found
}

describe("frames", () => {
  test("a frame within one chunk is a view of it", () => {
    const reader = new FrameReader(100)
    const chunk = hex("00000008 0001020304050607 00000009")
    reader.push(chunk)
    ok(reader.next())
    equal(reader.bytes, chunk)
    deepStrictEqual([reader.start, reader.end], [4, 12])
    equal(reader.next(), false)
  })
  test("any frames, cut anywhere, come out as they went in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 8, maxLength: 60 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (frames, cuts) => {
          const writer = new Writer()
          for (const frame of frames) {
            const start = writer.reserve(4)
            writer.bytes.set(frame, writer.reserve(frame.length))
            endFrame(writer, start)
          }
          const reader = new FrameReader(60)
          const found: Array<string> = []
          for (let position = 0, turn = 0; position < writer.position; turn++) {
            const size = cuts[turn % cuts.length] ?? 1
            const end = Math.min(position + size, writer.position)
            found.push(...framesOf(reader, writer.bytes.slice(position, end)))
            position = end
          }
          deepStrictEqual(
            found,
            frames.map((frame) => frame.toHex())
          )
          equal(reader.heldBytes, 0)
        }
      )
    )
  })
  test("a frame that spans chunks keeps no chunk alive and may be kept itself", () => {
    const reader = new FrameReader(100)
    deepStrictEqual(framesOf(reader, hex("0000000a 0011")), [])
    reader.push(hex("2233445566778899 00000008 ffffffff"))
    ok(reader.next())
    const { bytes, start, end } = reader
    equal(reader.next(), false)
    framesOf(reader, hex("eeeeeeee"))
    equal(bytes.subarray(start, end).toHex(), "00112233445566778899")
  })
  for (const [name, size] of [
    ["negative", "ffffffff"],
    ["zero", "00000000"],
    ["smaller than a header", "00000007"],
    ["above the bound", "00000065"],
    ["as large as can be", "7fffffff"]
  ] as const) {
    test(`a size that is ${name} ends the stream`, () => {
      throws(() => framesOf(new FrameReader(100), hex(size)), MalformedMessage)
      const byByte = new FrameReader(100)
      throws(() => {
        for (const byte of hex(size)) framesOf(byByte, new Uint8Array([byte]))
      }, MalformedMessage)
    })
  }
  test("what is held is bounded by what has come, not by what was declared", () => {
    const reader = new FrameReader(104_857_600)
    framesOf(reader, hex("06400000"))
    for (let sent = 1; sent <= 4096; sent++) {
      framesOf(reader, new Uint8Array(1))
      ok(reader.heldBytes <= 4 * sent, `${reader.heldBytes} bytes held for ${sent}`)
    }
  })
})

describe("headers", () => {
  test("which version precedes which request and response", () => {
    for (const api of APIS) {
      for (let version = api.versionMin; version <= api.versionMax; version++) {
        const flexible = version >= api.flexibleFrom
        equal(requestHeaderVersion(api.key, version, api), flexible ? 2 : 1)
        equal(responseHeaderVersion(api, version), api === apiVersions ? 0 : flexible ? 1 : 0)
      }
    }
    equal(requestHeaderVersion(7, 0, undefined), 0)
    equal(requestHeaderVersion(7, 1, undefined), 1)
    equal(requestHeaderVersion(18, 5, apiVersions), 2)
    equal(requestHeaderVersion(18, -1, apiVersions), 1)
  })
  const rows: ReadonlyArray<readonly [string, string, object]> = [
    [
      "version 1, client id",
      "0000 0007 00000005 0002 6964",
      { apiKey: 0, apiVersion: 7, correlationId: 5, clientId: "id" }
    ],
    [
      "version 1, null client id",
      "0003 0000 80000000 ffff",
      { apiKey: 3, apiVersion: 0, correlationId: -0x8000_0000, clientId: null }
    ],
    [
      "version 2, unknown tag",
      "0003 0009 00000001 0000 01 05 01 ff",
      { apiKey: 3, apiVersion: 9, correlationId: 1, clientId: "" }
    ],
    [
      "an unknown API key",
      "7fff 0000 00000001 0000",
      { apiKey: 32_767, apiVersion: 0, correlationId: 1, clientId: "" }
    ],
    ["version 0", "0007 0000 00000001", { apiKey: 7, apiVersion: 0, correlationId: 1, clientId: null }]
  ]
  for (const [name, bytes, expected] of rows) {
    test(name, () => {
      const source = hex(bytes)
      const reader = new Reader(source, 0, source.length)
      deepStrictEqual(decodeRequestHeader(reader, apiOf), expected)
      equal(reader.position, source.length)
    })
  }
  test("a header cut short", () => {
    const source = hex("0003 0009 00000001 0000 01 05 01 ff")
    for (let end = 0; end < source.length; end++) {
      throws(() => decodeRequestHeader(new Reader(source, 0, end), apiOf), MalformedMessage)
    }
  })
})

test("a response frame: size, header, body", () => {
  const writer = new Writer(1)
  writer.int8(1)
  const start = beginResponse(writer, produce, 9, 258)
  encodeResponse(produce, 9, writer, { responses: [], throttleTimeMs: 3 })
  endFrame(writer, start)
  equal(writer.bytes.subarray(1, writer.position).toHex(), "0000000b" + "00000102" + "00" + "01" + "00000003" + "00")
  const plain = new Writer()
  endFrame(plain, beginResponse(plain, metadata, 8, 1))
  equal(plain.bytes.subarray(0, plain.position).toHex(), "0000000400000001")
  equal(fetch.versionMin, 4)
})
