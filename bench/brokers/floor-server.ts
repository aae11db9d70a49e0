/**
 * The floor: not a broker, but the least that can stand between driver and driver. It answers handshakes and copies
 * PUBLISH frames to the subscribers of that topic name: no sessions, no access, no checks, and of wildcards only what a scenario
 * needs (`floor-routes.ts`).
 *
 * It shows what the machine, the runtime and the driver can do at most, and tests the driver itself: with
 * `--fault drop:N` (or duplicate:N, swap:N, close:N, mute:N) every Nth message is treated that badly, and the driver must say so;
 * `unflagged:N`: every Nth retained message comes without its flag; `refuse:N`: every Nth topic filter, and every Nth CONNECT, is
 * refused; `pause:N`: at every Nth SUBSCRIBE and every Nth CONNECT all stands still for 200 ms.
 * Flow control is the client's: output is not bounded. For measurements on loopback only.
 *
 * `bun bench/brokers/floor-server.ts [--port N] [--fault KIND:N] [--certificate FILE --key FILE]` prints `ready PORT`.
 */
import { parseArgs } from "node:util"
import type { Socket } from "bun"
import { FloorRoutes } from "./floor-routes.ts"

/** Per subscriber the out-buffer begins with this and doubles. */
const OUT_BYTES = 4096
/** How long a planted pause is. */
const PAUSE_MS = 200

class Connection {
  socket: Socket<Connection> | undefined
  level = 4
  carry: Uint8Array = new Uint8Array(0)
  out = new Uint8Array(OUT_BYTES)
  outStart = 0
  outEnd = 0
  isDirty = false
  identifier = 0

  reserve(bytes: number): void {
    if (this.outEnd + bytes <= this.out.length) return
    const length = this.outEnd - this.outStart
    const next = length + bytes > this.out.length ? new Uint8Array(2 ** Math.ceil(Math.log2(length + bytes))) : this.out
    next.set(this.out.subarray(this.outStart, this.outEnd), 0)
    this.out = next
    this.outStart = 0
    this.outEnd = length
  }

  push(...bytes: readonly number[]): void {
    this.reserve(bytes.length)
    for (const byte of bytes) this.out[this.outEnd++] = byte
    markDirty(this)
  }

  /** Four bytes: an acknowledgement in its short form. */
  acknowledge(first: number, high: number, low: number): void {
    this.reserve(4)
    this.out[this.outEnd] = first
    this.out[this.outEnd + 1] = 2
    this.out[this.outEnd + 2] = high
    this.out[this.outEnd + 3] = low
    this.outEnd += 4
    markDirty(this)
  }

  flush(): void {
    this.isDirty = false
    if (this.outStart === this.outEnd) return
    const taken = this.socket?.write(this.out, this.outStart, this.outEnd - this.outStart) ?? -1
    this.outStart = taken < 0 ? this.outEnd : this.outStart + taken
    if (this.outStart === this.outEnd) this.outStart = this.outEnd = 0
  }
}

type Fault = "none" | "drop" | "duplicate" | "swap" | "close" | "mute" | "unflagged" | "refuse" | "pause"

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    fault: { type: "string", default: "none:0" },
    certificate: { type: "string" },
    key: { type: "string" }
  }
})
const [fault, every] = ((kind: string, count: string | undefined): [Fault, number] => [kind as Fault, Number(count)])(
  ...(values.fault.split(":") as [string, string | undefined])
)
const routes = new FloorRoutes<Connection>()
/** The last frame with the RETAIN flag by topic name. */
const retained = new Map<string, Uint8Array>()
const dirty: Connection[] = []
let published = 0
let answers = 0
let filters = 0
let visits = 0
/** The frame a swap holds back until the next one of its topic name has gone. */
const heldBack = new Map<string, Uint8Array>()

function markDirty(connection: Connection): void {
  if (connection.isDirty) return
  connection.isDirty = true
  dirty.push(connection)
}

function flushDirty(): void {
  for (const connection of dirty) connection.flush()
  dirty.length = 0
}

/** Whether this PUBLISH gets no acknowledgement. */
function isMute(): boolean {
  return fault === "mute" && ++answers % every === 0
}

function onData(connection: Connection, chunk: Buffer): void {
  let bytes = chunk
  if (connection.carry.length > 0) bytes = Buffer.concat([connection.carry, chunk])
  let position = 0
  while (position < bytes.length) {
    const end = frameEnd(bytes, position)
    if (end > bytes.length) break
    if ((bytes[position] as number) >> 4 === 3) position = publishRun(connection, bytes, position, end)
    else {
      control(connection, bytes, position, end)
      position = end
    }
  }
  connection.carry = bytes.subarray(position)
  flushDirty()
}

/** Copies the frame at `start` and all that follow with the same first byte, length and topic name; returns their end. */
function publishRun(from: Connection, bytes: Buffer, start: number, firstEnd: number): number {
  const frameBytes = firstEnd - start
  const body = bodyStart(bytes, start)
  const topicEnd = body + 2 + (((bytes[body] as number) << 8) | (bytes[body + 1] as number))
  const topicName = bytes.toString("latin1", body + 2, topicEnd)
  let end = firstEnd
  if (fault === "none") {
    const head = topicEnd - start
    while (end + frameBytes <= bytes.length && isSameHead(bytes, start, end, head)) end += frameBytes
  }
  const qos = ((bytes[start] as number) >> 1) & 3
  const identifierAt = topicEnd - start
  if (qos > 0 && !isMute()) {
    for (let at = start + identifierAt; at < end; at += frameBytes) {
      from.acknowledge(qos === 1 ? 0x40 : 0x50, bytes[at] as number, bytes[at + 1] as number)
    }
  }
  if (((bytes[start] as number) & 1) === 1) {
    retained.set(topicName, bytes.slice(start, firstEnd))
    return end
  }
  const subscribers = routes.to(topicName)
  if (subscribers.length === 0) return end
  if (fault === "none") deliver(subscribers, bytes, start, end, frameBytes, qos, identifierAt)
  else deliverBadly(from, topicName, subscribers, bytes, start, end, qos, identifierAt)
  return end
}

function deliver(
  to: readonly Connection[],
  bytes: Uint8Array,
  start: number,
  end: number,
  frameBytes: number,
  qos: number,
  identifierAt: number
): void {
  for (const connection of to) {
    connection.reserve(end - start)
    const at = connection.outEnd
    connection.out.set(bytes.subarray(start, end), at)
    connection.outEnd += end - start
    if (qos > 0) {
      for (let frame = at + identifierAt; frame < connection.outEnd; frame += frameBytes) {
        const identifier = connection.identifier === 65_535 ? 1 : connection.identifier + 1
        connection.identifier = identifier
        connection.out[frame] = identifier >> 8
        connection.out[frame + 1] = identifier
      }
    }
    markDirty(connection)
  }
}

function deliverBadly(
  from: Connection,
  topicName: string,
  to: readonly Connection[],
  bytes: Uint8Array,
  start: number,
  end: number,
  qos: number,
  identifierAt: number
): void {
  const isHit = ++published % every === 0
  if (isHit && fault === "drop") return
  if (isHit && fault === "close") from.socket?.terminate()
  const held = heldBack.get(topicName)
  if (isHit && fault === "swap" && held === undefined) {
    heldBack.set(topicName, bytes.slice(start, end))
    return
  }
  deliver(to, bytes, start, end, end - start, qos, identifierAt)
  // The second copy of a shared message goes to the member whose turn is next.
  if (isHit && fault === "duplicate") deliver(routes.to(topicName), bytes, start, end, end - start, qos, identifierAt)
  if (held === undefined) return
  heldBack.delete(topicName)
  deliver(to, held, 0, held.length, held.length, qos, identifierAt)
}

/** Gives a new subscription what was retained below its filter; nobody has subscribed to it before. */
function replay(to: Connection, filter: string): void {
  if (!filter.endsWith("#")) return
  const prefix = filter.slice(0, -1)
  for (const [topicName, frame] of retained) {
    if (!topicName.startsWith(prefix)) continue
    const isHit = ++published % every === 0
    if (isHit && fault === "drop") continue
    const qos = ((frame[0] as number) >> 1) & 3
    const identifierAt = bodyStart(frame, 0) + 2 + topicName.length
    const copy = frame.slice()
    if (isHit && fault === "unflagged") copy[0] = (copy[0] as number) & 0xfe
    deliver([to], copy, 0, copy.length, copy.length, qos, identifierAt)
    if (isHit && fault === "duplicate") deliver([to], copy, 0, copy.length, copy.length, qos, identifierAt)
  }
}

/** Answers SUBSCRIBE and UNSUBSCRIBE: `firstByte`, the Packet Identifier, a Reason Code for each filter where they are due. */
function answerFilters(to: Connection, firstByte: number, high: number, low: number, codes: readonly number[]): void {
  const hasCodes = firstByte === 0x90 || to.level === 5
  const body = [high, low, ...(to.level === 5 ? [0] : []), ...(hasCodes ? codes : [])]
  const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7]
  to.push(firstByte, ...length, ...body)
}

function subscribe(connection: Connection, bytes: Buffer, body: number, end: number): void {
  if (fault === "pause" && ++visits % every === 0) Bun.sleepSync(PAUSE_MS)
  const codes: number[] = []
  const wide: string[] = []
  for (let at = body + 2 + (connection.level === 5 ? 1 : 0); at < end; ) {
    const optionsAt = at + 2 + bytes.readUInt16BE(at)
    const filter = bytes.toString("latin1", at + 2, optionsAt)
    const isRefused = fault === "refuse" && ++filters % every === 0
    if (!isRefused) routes.add(connection, filter)
    codes.push(isRefused ? 0x80 : (bytes[optionsAt] as number))
    wide.push(filter)
    at = optionsAt + 1
  }
  answerFilters(connection, 0x90, bytes[body] ?? 0, bytes[body + 1] ?? 0, codes)
  for (const filter of wide) replay(connection, filter)
}

function unsubscribe(connection: Connection, bytes: Buffer, body: number, end: number): void {
  const codes: number[] = []
  for (let at = body + 2 + (connection.level === 5 ? 1 : 0); at < end; ) {
    const filterEnd = at + 2 + bytes.readUInt16BE(at)
    routes.remove(connection, bytes.toString("latin1", at + 2, filterEnd))
    codes.push(0)
    at = filterEnd
  }
  answerFilters(connection, 0xb0, bytes[body] ?? 0, bytes[body + 1] ?? 0, codes)
}

/** Everything but PUBLISH. What needs no answer gets none. */
function control(connection: Connection, bytes: Buffer, start: number, end: number): void {
  const body = bodyStart(bytes, start)
  const high = bytes[body] ?? 0
  const low = bytes[body + 1] ?? 0
  switch ((bytes[start] as number) >> 4) {
    case 1: // CONNECT: the protocol level stands behind the protocol name.
      connection.level = bytes[body + 6] as number
      welcome(connection)
      return
    case 5: // PUBREC
      connection.acknowledge(0x62, high, low)
      return
    case 6: // PUBREL
      connection.acknowledge(0x70, high, low)
      return
    case 8:
      subscribe(connection, bytes, body, end)
      return
    case 10:
      unsubscribe(connection, bytes, body, end)
      return
    case 12:
      connection.push(0xd0, 0)
      return
    case 14:
      connection.socket?.end()
  }
}

function welcome(connection: Connection): void {
  const isHit = (fault === "refuse" || fault === "pause") && ++visits % every === 0
  if (isHit && fault === "pause") Bun.sleepSync(PAUSE_MS)
  // Server unavailable: 0x88, and 3 before version 5.
  const code = isHit && fault === "refuse" ? (connection.level === 5 ? 0x88 : 3) : 0
  if (connection.level === 5) connection.push(0x20, 3, 0, code, 0)
  else connection.push(0x20, 2, 0, code)
}

/** Where the frame at `position` ends; beyond the bytes where it is cut. */
function frameEnd(bytes: Uint8Array, position: number): number {
  let value = 0
  for (let index = 1; index <= 4; index++) {
    const byte = bytes[position + index]
    if (byte === undefined) return Number.POSITIVE_INFINITY
    value += (byte & 127) * 128 ** (index - 1)
    if (byte < 128) return position + index + 1 + value
  }
  return Number.POSITIVE_INFINITY
}

function bodyStart(bytes: Uint8Array, position: number): number {
  let at = position + 1
  while ((bytes[at] as number) >= 128) at++
  return at + 1
}

function isSameHead(bytes: Uint8Array, one: number, other: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (bytes[one + index] !== bytes[other + index]) return false
  return true
}

const server = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: Number(values.port),
  ...(values.certificate === undefined || values.key === undefined
    ? {}
    : { tls: { cert: Bun.file(values.certificate), key: Bun.file(values.key) } }),
  socket: {
    open(socket) {
      socket.data = new Connection()
      socket.data.socket = socket
      socket.setNoDelay(true)
    },
    data: (socket, chunk) => onData(socket.data, chunk),
    drain: (socket) => socket.data.flush(),
    close: (socket) => routes.removeAll(socket.data)
  }
})
console.log(`ready ${server.port}`)
