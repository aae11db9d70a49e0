import assert from "node:assert/strict"
import { test } from "node:test"
import { headEnd, readHead } from "./websocket-handshake.ts"

const KEY = "dGhlIHNhbXBsZSBub25jZQ=="
const FIELDS = [
  "Host: a",
  "Upgrade: websocket",
  "Connection: keep-alive, Upgrade",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${KEY}`
]
const bytesOf = (line: string, fields: ReadonlyArray<string>): Uint8Array =>
  new Uint8Array(Buffer.from(`${[line, ...fields].join("\r\n")}\r\n\r\n`, "latin1"))
const read = (line: string, fields: ReadonlyArray<string> = FIELDS) => {
  const bytes = bytesOf(line, fields)
  return readHead(bytes, bytes.length)
}

test("a proper handshake: path without its query, headers by lower-case name, the key", () => {
  const head = read("GET /mqtt?a=b HTTP/1.1", [...FIELDS, "X-A:  1\t", "x-a: 2"])
  assert.equal(head?.pathname, "/mqtt")
  assert.equal(head?.key, KEY)
  assert.equal(head?.headers.get("x-a"), "1, 2")
})

test("the head ends with its empty line, wherever it is cut", () => {
  const bytes = bytesOf("GET / HTTP/1.1", FIELDS)
  const more = new Uint8Array([...bytes, 13, 10, 13, 10])
  assert.equal(headEnd(more, 0), bytes.length)
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(headEnd(bytes.subarray(0, length), 0), -1)
    assert.equal(headEnd(bytes, Math.max(0, length - 3)), bytes.length)
  }
})

for (const line of [
  "POST /mqtt HTTP/1.1",
  "GET mqtt HTTP/1.1",
  "GET /mqtt HTTP/1.0",
  "GET /mq tt HTTP/1.1",
  "GET  /mqtt HTTP/1.1",
  "GET /mqtt",
  "GET /\xe9 HTTP/1.1",
  ""
]) {
  test(`no request: ${JSON.stringify(line)}`, () => assert.equal(read(line), undefined))
}

for (const field of ["no colon", ": no name", "a b: c", " folded: a", "a\x00: b"]) {
  test(`no header: ${JSON.stringify(field)}`, () => assert.equal(read("GET / HTTP/1.1", [...FIELDS, field]), undefined))
}

test("without a host it is no request", () => {
  assert.equal(read("GET / HTTP/1.1", FIELDS.slice(1)), undefined)
})

for (const [name, without, instead] of [
  ["no upgrade among the connection's words", 2, "Connection: upgraded"],
  ["another version", 3, "Sec-WebSocket-Version: 8"],
  ["a short key", 4, "Sec-WebSocket-Key: dGhl"],
  ["a key that is no base64", 4, "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ=="],
  ["no key", 4, "X: 1"]
] as const) {
  test(`a request that is no handshake: ${name}`, () => {
    const fields = FIELDS.map((field, index) => (index === without ? instead : field))
    const head = read("GET / HTTP/1.1", fields)
    assert.ok(head !== undefined && head.key === undefined)
  })
}
