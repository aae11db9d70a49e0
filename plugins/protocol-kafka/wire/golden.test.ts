/**
 * Bytes that are not ours: requests recorded from real clients (tests/support/record-kafka-requests.ts, record-group-requests.ts), and every
 * message at every version as Apache's own classes read it (tests/support/record-kafka-schemas.ts).
 */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { APIS, apiOf } from "./apis.ts"
import { codecFor, isFlexible } from "./codec.ts"
import { decodeRequestHeader, requestHeaderVersion } from "./framing.ts"
import schemas from "./golden/apache-classes.golden.json" with { type: "json" }
import groupClients from "./golden/group-clients.golden.json" with { type: "json" }
import clients from "./golden/real-clients.golden.json" with { type: "json" }
import { comparable } from "./message-arbitrary.ts"
import { requestHeader } from "./messages/headers.ts"
import { Reader } from "./reader.ts"
import type { Fields } from "./schema.ts"
import { Writer } from "./writer.ts"

interface Row {
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly value: unknown
}

describe("requests of real clients", () => {
  const rows: ReadonlyArray<Row & { readonly client: string }> = [...clients, ...groupClients]
  rows.forEach((row, index) => {
    test(`${index}: ${row.client} ${row.message} ${row.version}`, () => {
      const bytes = Uint8Array.fromHex(row.hex)
      const reader = new Reader(bytes, 0, bytes.length)
      const header = decodeRequestHeader(reader, apiOf)
      const api = apiOf(header.apiKey)
      ok(api !== undefined)
      equal(`${api.name}Request`, row.message)
      equal(header.apiVersion, row.version)
      const codec = codecFor<Fields>(api.request, row.version, isFlexible(api, row.version))
      const request = codec.decode(reader)
      equal(reader.position, bytes.length)
      deepStrictEqual(comparable(request), row.value)
      const writer = new Writer()
      const headerVersion = requestHeaderVersion(api.key, row.version, api)
      codecFor(requestHeader, headerVersion, headerVersion === 2).encode(writer, header)
      codec.encode(writer, request as never)
      equal(writer.bytes.subarray(0, writer.position).toHex(), row.hex)
    })
  })
  test("three clients, six APIs", () => {
    equal(new Set(clients.map((row) => row.client)).size, 3)
    equal(new Set(clients.map((row) => row.message)).size, 6)
  })
})

describe("requests of groups", () => {
  test("three clients, ten APIs", () => {
    equal(new Set(groupClients.map((row) => row.client)).size, 3)
    equal(new Set(groupClients.map((row) => row.message)).size, 10)
  })
})

describe("messages as Apache describes them", () => {
  const rows: ReadonlyArray<Row> = schemas
  for (const api of APIS) {
    for (const side of ["request", "response"] as const) {
      const name = `${api.name}${side === "request" ? "Request" : "Response"}`
      for (let version = api.versionMin; version <= api.versionMax; version++) {
        test(`${name} ${version}`, () => {
          const own = rows.filter((row) => row.message === name && row.version === version)
          equal(own.length, 2)
          for (const row of own) {
            const codec = codecFor<Fields>(api[side], version, isFlexible(api, version))
            const bytes = Uint8Array.fromHex(row.hex)
            const message = codec.decode(new Reader(bytes, 0, bytes.length))
            deepStrictEqual(comparable(message), row.value)
            const writer = new Writer()
            codec.encode(writer, message as never)
            equal(writer.bytes.subarray(0, writer.position).toHex(), row.hex)
          }
        })
      }
    }
  }
})
