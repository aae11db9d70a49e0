/**
 * One client connection of the load driver: a raw socket, the frames that come in, the bytes that go out.
 *
 * Invariants
 *  - Incoming bytes are scanned where they lie; only a frame that is cut by the end of a chunk is copied (the carry).
 *  - At most one range is on its way to the socket. While it is (`blocked`), its bytes must not change: nothing is
 *    patched or written until `drain` has taken the rest.
 *  - Small answers (acknowledgements) are gathered and go out in one write per chunk, before any PUBLISH.
 */
import type { Socket } from "bun"
import { CONNACK, DISCONNECT, type ProtocolLevel, readU16, SUBACK } from "./frames.ts"

/** A frame longer than this is not one of ours. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024
/** Value of {@link frameEnd}: the bytes end before the frame's length is known. */
const UNKNOWN = -1
/** MQTT 5.0, section 2.2.2.2: Receive Maximum. */
const RECEIVE_MAXIMUM = 0x21
/** Bytes of a CONNACK property's value by identifier; -2: length-prefixed, -4: a pair of those. */
const CONNACK_PROPERTY_BYTES: Readonly<Record<number, number>> = {
  17: 4,
  18: -2,
  19: 2,
  21: -2,
  22: -2,
  26: -2,
  28: -2,
  31: -2,
  33: 2,
  34: 2,
  36: 1,
  37: 1,
  38: -4,
  39: 4,
  40: 1,
  41: 1,
  42: 1
}

export abstract class Peer {
  readonly level: ProtocolLevel
  /** The broker's Receive Maximum; 65,535 where it names none. */
  receiveMaximum = 65_535
  /** Reason Code of the CONNACK; -1 until it came. */
  connectCode = -1
  /** The version of TLS that the handshake ended with, and whether it resumed another; empty without TLS, and before. */
  handshake = ""
  /** Session Present of the CONNACK. */
  sessionPresent = false
  /** The last Reason Code of the last SUBACK; -1 until one came. */
  subscribeCode = -1
  /** The connection ended although the driver had not ended it. */
  isBroken = false
  isClosing = false
  /** The socket is closed, by whichever side. */
  isGone = false
  /** Frames that no broker should have sent here. */
  malformed = 0
  /** Called when something the set-up waits for has changed. */
  onChange: () => void = () => {}

  #socket: Socket<Peer> | undefined
  #carry = new Uint8Array(256)
  #carried = 0
  #pending: Uint8Array | undefined
  #pendingStart = 0
  #pendingEnd = 0
  /** Two buffers in turn: one may be on its way while the other is filled. */
  #answers = new Uint8Array(512)
  #answersOther = new Uint8Array(512)
  #answersEnd = 0

  constructor(level: ProtocolLevel) {
    this.level = level
  }

  /** Handles the frame `bytes[start, end)`, whose body begins at `body`. Not called for CONNACK and SUBACK. */
  protected abstract receive(bytes: Uint8Array, start: number, body: number, end: number): void
  /** The chunk is used up: time to answer and to go on. */
  protected abstract afterChunk(): void

  /** A SUBACK, `bytes[body, end)` without its header. */
  protected subscribed(bytes: Uint8Array, _body: number, end: number): void {
    this.subscribeCode = bytes[end - 1] as number
  }

  attach(socket: Socket<Peer>): void {
    this.#socket = socket
    socket.setNoDelay(true)
  }

  onHandshake(version: string, isResumed: boolean): void {
    this.handshake = isResumed ? `${version}, resumed` : version
    this.onChange()
  }

  get blocked(): boolean {
    return this.#pending !== undefined
  }

  /** Bytes that wait for the socket. */
  get pendingBytes(): number {
    return this.#pendingEnd - this.#pendingStart + this.#answersEnd
  }

  /** Hands `bytes[start, end)` to the socket; borrowed until no longer `blocked`. Only when not `blocked`. */
  write(bytes: Uint8Array, start: number, end: number): void {
    const taken = this.#socket?.write(bytes, start, end - start) ?? -1
    if (taken < 0) {
      this.fail()
    } else if (start + taken < end) {
      this.#pending = bytes
      this.#pendingStart = start + taken
      this.#pendingEnd = end
    }
  }

  /** Queues a four-byte acknowledgement: `firstByte`, length 2, Packet Identifier (success, in both protocol levels). */
  answer(firstByte: number, identifierHigh: number, identifierLow: number): void {
    if (this.#answersEnd + 4 > this.#answers.length) {
      const wider = new Uint8Array(this.#answers.length * 2)
      wider.set(this.#answers)
      this.#answers = wider
    }
    const at = this.#answersEnd
    this.#answers[at] = firstByte
    this.#answers[at + 1] = 2
    this.#answers[at + 2] = identifierHigh
    this.#answers[at + 3] = identifierLow
    this.#answersEnd = at + 4
  }

  /** Writes the queued acknowledgements, if the socket is free. */
  flushAnswers(): void {
    if (this.#answersEnd === 0 || this.#pending !== undefined) return
    const full = this.#answers
    const end = this.#answersEnd
    this.#answers = this.#answersOther
    this.#answersOther = full
    this.#answersEnd = 0
    this.write(full, 0, end)
  }

  onDrain(): void {
    const pending = this.#pending
    if (pending === undefined) return
    this.#pending = undefined
    this.write(pending, this.#pendingStart, this.#pendingEnd)
    if (this.#pending === undefined) this.afterChunk()
  }

  onData(chunk: Uint8Array): void {
    let start = 0
    if (this.#carried > 0) {
      start = this.#completeCarry(chunk)
      if (start < 0) {
        this.afterChunk()
        return
      }
    }
    const rest = this.#scan(chunk, start, chunk.length)
    if (rest < chunk.length) {
      this.#reserveCarry(chunk.length - rest)
      this.#carry.set(chunk.subarray(rest), 0)
      this.#carried = chunk.length - rest
    }
    this.afterChunk()
  }

  /** Ends the connection; what happens afterwards is not an error. */
  close(lastWords?: Uint8Array): void {
    this.isClosing = true
    if (lastWords !== undefined && !this.blocked) this.write(lastWords, 0, lastWords.length)
    this.#socket?.end()
  }

  /** The socket is closed. */
  onClose(): void {
    this.isGone = true
    this.fail()
    this.onChange()
  }

  /** The connection is gone or unusable. */
  fail(): void {
    if (this.isClosing || this.isBroken) return
    this.isBroken = true
    this.onChange()
  }

  /** Handles every whole frame in `bytes[start, end)`; returns the position of the first that is not whole. */
  #scan(bytes: Uint8Array, start: number, end: number): number {
    let position = start
    while (position + 2 <= end) {
      let body = position + 2
      let frameEndAt = body + (bytes[position + 1] as number)
      if (frameEndAt - body >= 128) {
        frameEndAt = frameEnd(bytes, position, end)
        if (frameEndAt === UNKNOWN) break
        body = bodyStart(bytes, position)
      }
      if (frameEndAt > end) break
      const type = (bytes[position] as number) >> 4
      if (type === CONNACK || type === SUBACK || type === DISCONNECT) this.#receiveSetUp(type, bytes, body, frameEndAt)
      else this.receive(bytes, position, body, frameEndAt)
      position = frameEndAt
    }
    return position
  }

  /** Fills the carry up to one whole frame and handles it; returns how much of `chunk` that took, -1 if all was not enough. */
  #completeCarry(chunk: Uint8Array): number {
    let used = 0
    while (used < chunk.length) {
      const end = this.#carried < 2 ? UNKNOWN : frameEnd(this.#carry, 0, this.#carried)
      if (end > FRAME_BYTES_MAX) {
        this.malformed++
        this.fail()
        return -1
      }
      // While the length itself is cut, one byte at a time; then all that the frame still needs.
      const wanted = end === UNKNOWN ? 1 : end - this.#carried
      const count = Math.min(wanted, chunk.length - used)
      this.#reserveCarry(this.#carried + count)
      this.#carry.set(chunk.subarray(used, used + count), this.#carried)
      this.#carried += count
      used += count
      if (this.#carried >= 2 && frameEnd(this.#carry, 0, this.#carried) === this.#carried) {
        const length = this.#carried
        this.#carried = 0
        this.#scan(this.#carry, 0, length)
        return used
      }
    }
    return -1
  }

  #reserveCarry(bytes: number): void {
    if (bytes <= this.#carry.length) return
    const wider = new Uint8Array(2 ** Math.ceil(Math.log2(bytes)))
    wider.set(this.#carry.subarray(0, this.#carried))
    this.#carry = wider
  }

  #receiveSetUp(type: number, bytes: Uint8Array, body: number, end: number): void {
    if (type === CONNACK) {
      this.sessionPresent = ((bytes[body] as number) & 1) === 1
      this.connectCode = bytes[body + 1] as number
      if (this.level === 5 && end > body + 2) this.receiveMaximum = receiveMaximumOf(bytes, body + 2, end)
    } else if (type === SUBACK) {
      this.subscribed(bytes, body, end)
    } else {
      this.fail()
    }
    this.onChange()
  }
}

/** Where the frame at `position` ends, or UNKNOWN while its Remaining Length is cut. A fifth length byte ends the run. */
function frameEnd(bytes: Uint8Array, position: number, end: number): number {
  let value = 0
  for (let index = 0; index < 4; index++) {
    const at = position + 1 + index
    if (at >= end) return UNKNOWN
    const byte = bytes[at] as number
    value += (byte & 127) * 2 ** (7 * index)
    if (byte < 128) return at + 1 + value
  }
  return FRAME_BYTES_MAX + 1 + position
}

function bodyStart(bytes: Uint8Array, position: number): number {
  let at = position + 1
  while ((bytes[at] as number) >= 128) at++
  return at + 1
}

/** The Receive Maximum among the properties of a CONNACK (MQTT 5.0, section 3.2.2.3.3); 65,535 where it is left out. */
function receiveMaximumOf(bytes: Uint8Array, start: number, end: number): number {
  let at = bodyStart(bytes, start - 1)
  while (at < end) {
    const identifier = bytes[at++] as number
    if (identifier === RECEIVE_MAXIMUM) return readU16(bytes, at)
    const size = CONNACK_PROPERTY_BYTES[identifier]
    if (size === undefined) return 65_535
    if (size > 0) at += size
    else for (let part = size; part < 0; part += 2) at += 2 + readU16(bytes, at)
  }
  return 65_535
}
