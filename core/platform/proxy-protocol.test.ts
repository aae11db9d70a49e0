import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Socket, SocketReceiver } from "./Net.ts"
import { behindProxy, HEADER_BYTES_MAX, HEADER_MS, readProxyHeader } from "./proxy-protocol.ts"
import { Simulation } from "./simulated.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const binary = (command: number, family: number, body: ReadonlyArray<number>): Uint8Array =>
  Uint8Array.from([...SIGNATURE, command, family, body.length >> 8, body.length & 255, ...body])
const V6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

const RIGHT: ReadonlyArray<readonly [what: string, header: Uint8Array, address: string | undefined]> = [
  ["1, TCP4", bytesOf("PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n"), "192.0.2.7"],
  ["1, TCP6", bytesOf("PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\n"), "2001:db8::7"],
  ["1, unknown", bytesOf("PROXY UNKNOWN\r\n"), undefined],
  ["1, unknown with more", bytesOf("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), undefined],
  ["2, TCP over IPv4", binary(0x21, 0x11, [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 7, 0x5b]), "192.0.2.7"],
  ["2, TCP over IPv6", binary(0x21, 0x21, [...V6, ...V6, 0xdc, 4, 7, 0x5b]), "2001:db8::1"],
  ["2, with more behind", binary(0x21, 0x11, [10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 4, 0, 1, 0]), "10.0.0.1"],
  ["2, local", binary(0x20, 0x00, []), undefined],
  ["2, unspecified", binary(0x21, 0x00, []), undefined],
  [
    "2, a unix socket",
    binary(
      0x21,
      0x31,
      Array.from({ length: 216 }, () => 47)
    ),
    undefined
  ]
]

const WRONG: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
  ["a CONNECT", Uint8Array.of(0x10, 0x0c, 0, 4)],
  ["another word", bytesOf("PROXZ TCP4")],
  ["an address that is none", bytesOf("PROXY TCP4 300.0.0.1 1.1.1.1 1 2\r\n")],
  ["an address with a leading zero", bytesOf("PROXY TCP4 01.0.0.1 1.1.1.1 1 2\r\n")],
  ["an address of the other family", bytesOf("PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n")],
  ["a port that is none", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 70000 2\r\n")],
  ["no CR", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 1 2\n")],
  ["two blanks", bytesOf("PROXY  TCP4 1.1.1.1 1.1.1.1 1 2\r\n")],
  ["a line without an end", bytesOf(`PROXY TCP4 ${"1".repeat(120)}`)],
  ["a line that is too long", bytesOf(`PROXY UNKNOWN ${"1".repeat(120)}\r\n`)],
  ["another version", binary(0x31, 0x11, [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 2])],
  ["another command", binary(0x22, 0x11, [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 2])],
  ["addresses that are cut", binary(0x21, 0x11, [1, 1, 1, 1])],
  ["a header that is too long", Uint8Array.from([...SIGNATURE, 0x21, 0x11, 0xff, 0xff])]
]

for (const [what, header, address] of RIGHT) {
  test(`a header of version ${what}, in any pieces`, () => {
    assert.deepEqual(readProxyHeader(header), { length: header.length, address })
    const rest = Uint8Array.of(0x10, 0x00)
    assert.deepEqual(readProxyHeader(Buffer.concat([header, rest])), { length: header.length, address })
    for (let length = 0; length < header.length; length++) {
      assert.equal(readProxyHeader(header.subarray(0, length)), "more", `${length} bytes`)
    }
  })
}

for (const [what, bytes] of WRONG) test(`refused: ${what}`, () => assert.equal(readProxyHeader(bytes), "wrong"))

test("any bytes: an answer, and never a wait for more than the bound", () => {
  const start = fc.constantFrom(new Uint8Array(0), bytesOf("PROXY "), Uint8Array.from(SIGNATURE))
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (first, rest) => {
      const bytes = Buffer.concat([first, rest])
      const header = readProxyHeader(bytes)
      if (typeof header !== "string") assert.ok(header.length <= bytes.length)
    }),
    { numRuns: 2_000 }
  )
  const endless = new Uint8Array(HEADER_BYTES_MAX + 1)
  endless.set(SIGNATURE)
  endless.set([0x21, 0x11, 0x0f, 0xf1], 12)
  assert.equal(readProxyHeader(endless), "wrong")
})

/** A connection with what its owner got. */
function connect(simulation: Simulation) {
  const calls: Array<string> = []
  let isCut = false
  const socket: Socket = {
    peerAddress: "10.9.9.9",
    write: (_bytes, start, end) => end - start,
    pause: () => calls.push("pause"),
    resume: () => calls.push("resume"),
    end: () => calls.push("end"),
    terminate: () => {
      isCut = true
    }
  }
  const owners: Array<Socket> = []
  const receiver: SocketReceiver = {
    data: (bytes) => calls.push(`data ${Buffer.from(bytes).toString()}`),
    drain: () => calls.push("drain"),
    closed: () => calls.push("closed")
  }
  const accept = behindProxy((from) => {
    owners.push(from)
    return receiver
  }, simulation.clock)
  return { calls, owners, through: accept(socket), isCut: () => isCut }
}

test("the owner sees the client's address and what follows the header, as it comes", () => {
  const simulation = new Simulation(1)
  const { calls, owners, through, isCut } = connect(simulation)
  for (const piece of ["PROXY TCP4 192.0.2.7 ", "198.51.100.1 1 2\r", "\nfirst", "second"]) through.data(bytesOf(piece))
  through.drain()
  owners[0]?.pause()
  owners[0]?.end()
  simulation.run()
  assert.equal(owners[0]?.peerAddress, "192.0.2.7")
  assert.equal(owners[0]?.write(new Uint8Array(4), 1, 3), 2)
  through.closed()
  assert.deepEqual(calls, ["data first", "data second", "drain", "pause", "end", "closed"])
  assert.equal(isCut(), false)
})

test("a proxy that speaks for itself has its own address", () => {
  const { owners, through } = connect(new Simulation(1))
  through.data(binary(0x20, 0, []))
  assert.deepEqual(
    owners.map(({ peerAddress }) => peerAddress),
    ["10.9.9.9"]
  )
})

test("who brings no header, a wrong one, or takes too long, is cut, and nobody is told", () => {
  const simulation = new Simulation(1)
  const wrong = connect(simulation)
  wrong.through.data(Uint8Array.of(0x10, 0x0c))
  assert.ok(wrong.isCut())
  const slow = connect(simulation)
  slow.through.data(bytesOf("PROXY"))
  simulation.run(simulation.clock.monotonicMs() + HEADER_MS - 1)
  assert.ok(!slow.isCut())
  simulation.run(simulation.clock.monotonicMs() + 1)
  assert.ok(slow.isCut())
  for (const { through, calls, owners } of [wrong, slow]) {
    through.closed()
    assert.deepEqual([calls, owners], [[], []])
  }
})
