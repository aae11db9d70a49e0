/**
 * Cutting a byte stream into MQTT packets.
 *
 * Source: MQTT 5.0, sections 2.1 and 3.1.2.11.4 (Maximum Packet Size counts the whole packet); 4.13.1 for the answers.
 * Invariants
 *  - A packet that lies whole in a chunk is handed on in that chunk, without a copy.
 *  - A packet split over chunks is gathered ({@link PartialPacket}); one over {@link PacketStream.maximumPacketSize} is refused at its
 *    header.
 *  - The first byte is judged as soon as it is there, and the first packet must be CONNECT.
 *  - Between packets nothing is held.
 */
import { PartialPacket } from "./PartialPacket.ts"
import { CONNECT, checkFirstByte, type ProtocolVersion, packetTypeOf } from "./packet-types.ts"
import { MALFORMED_PACKET, PACKET_TOO_LARGE, PROTOCOL_ERROR } from "./reason-codes.ts"
import { decode, MALFORMED, NEED_MORE, size } from "./variable-byte-integer.ts"

/** From a handler: this packet is taken, stop before the next. From feed and resume: stopped that way. */
export const PAUSED = -1
/** From a handler: as {@link PAUSED}, but this packet is not taken: it comes again first. */
export const NOT_TAKEN = -3
/** Nothing behind a packet that comes again. */
const NOTHING = new Uint8Array(0)
/** From feed and resume after {@link PacketStream.clear}. */
export const CLEARED = -2
/** Bytes of a whole packet that a peer may send before its CONNECT was accepted. */
export const PACKET_SIZE_MAX_BEFORE_CONNECT = 65_536

/** Takes the packets of one stream, in order. */
export interface PacketHandler {
  /**
   * One packet; `bytes[start, end)` follows the fixed header and may be kept. Returns 0 to go on, {@link PAUSED}, {@link NOT_TAKEN}, or
   * a Reason Code, which ends the stream. Must not call feed or resume.
   */
  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number
}

/** PUBREL, SUBSCRIBE and UNSUBSCRIBE with the DUP flag that MQTT 3.1 has for them (its section 2.1), and 3.1.1 has not. */
function isSentAgain(firstByte: number): boolean {
  return firstByte === 0x6a || firstByte === 0x8a || firstByte === 0xaa
}

/** One direction of one connection. */
export class PacketStream {
  /** Bytes of a whole packet, fixed header included. Raise it when CONNECT is accepted; holds from the next packet. */
  maximumPacketSize = PACKET_SIZE_MAX_BEFORE_CONNECT
  private isVersion3 = false
  private awaitsConnect = true
  /** Not 0: over, for this reason. */
  private verdict = 0
  // Of what comes seldom there is one field each: idle connections are many.
  private partial: PartialPacket | null = null
  /** While paused: what waits. */
  private waiting: Array<Uint8Array> | null = null

  /** Bytes held back: of an incomplete packet, and those that wait while paused. For the connection's budget. */
  get bufferedSize(): number {
    let held = this.partial === null ? 0 : this.partial.bytes.length
    for (const chunk of this.waiting ?? []) held += chunk.length
    return held
  }

  /** Whether the peer has sent a part of a packet only. */
  get midPacket(): boolean {
    return this.partial !== null
  }

  /**
   * Takes the next bytes of the stream. The chunk must not be written to afterwards: packets in it may be kept by the
   * handler. Returns 0, or {@link PAUSED} (while paused the chunk is kept and nothing handled), or the Reason Code
   * that ended the stream: 0x81, 0x82 or 0x95 from here, or the handler's own. An ended stream takes nothing more.
   */
  feed(chunk: Uint8Array, handler: PacketHandler): number {
    if (this.verdict !== 0) return this.verdict
    if (this.waiting !== null) {
      if (chunk.length !== 0) this.keepWaiting(chunk, 0)
      return PAUSED
    }
    return this.handle(chunk, handler)
  }

  /** Goes on after {@link PAUSED} with what has waited; returns as {@link feed} does. */
  resume(handler: PacketHandler): number {
    if (this.verdict !== 0) return this.verdict
    const chunks = this.waiting
    if (chunks === null) return 0
    this.waiting = null
    for (let index = 0; index < chunks.length; index++) {
      const code = this.handle(chunks[index] as Uint8Array, handler)
      if (code === 0) continue
      // What handle kept of this chunk stands first in the line; the chunks after it follow.
      if (code === PAUSED)
        for (let rest = index + 1; rest < chunks.length; rest++) this.keepWaiting(chunks[rest] as Uint8Array, 0)
      return code
    }
    return 0
  }

  /** The CONNECT was accepted: packets may be larger, and those of version 3.1 have a flag more. */
  accepted(maximumPacketSize: number, version: ProtocolVersion): void {
    this.maximumPacketSize = maximumPacketSize
    this.isVersion3 = version === 3
  }

  /** Ends the stream and lets go of everything; also from inside a handler. */
  clear(): void {
    if (this.verdict === 0) this.verdict = CLEARED
    this.release()
  }

  private handle(chunk: Uint8Array, handler: PacketHandler): number {
    const chunkEnd = chunk.length
    let position = 0
    const { partial } = this
    if (partial !== null) {
      position = this.gather(partial, chunk)
      if (this.verdict !== 0) return this.verdict
      if (!partial.isWhole) return 0
      const code = this.handOn(partial, handler)
      if (code === NOT_TAKEN) {
        this.keepWaiting(position < chunk.length ? chunk : NOTHING, position)
        return PAUSED
      }
      this.partial = null
      if (code !== 0) return this.stop(code, chunk, position)
    }
    while (position < chunkEnd) {
      const firstByte = chunk[position] as number
      const refusal = this.judgeFirstByte(firstByte)
      if (refusal !== 0) return this.end(refusal)
      const remaining = decode(chunk, position + 1, chunkEnd)
      if (remaining === MALFORMED) return this.end(MALFORMED_PACKET)
      if (remaining === NEED_MORE) {
        this.partial = new PartialPacket(chunk, position, 0)
        return 0
      }
      const bodyStart = position + 1 + size(remaining)
      const bodyEnd = bodyStart + remaining
      if (bodyEnd - position > this.maximumPacketSize) return this.end(PACKET_TOO_LARGE)
      if (bodyEnd > chunkEnd) {
        this.partial = new PartialPacket(chunk, position, bodyEnd - position)
        return 0
      }
      this.awaitsConnect = false
      const code = handler.packet(chunk, firstByte, bodyStart, bodyEnd)
      if (code === NOT_TAKEN && this.verdict === 0) return this.stop(PAUSED, chunk, position)
      position = bodyEnd
      if (code !== 0 || this.verdict !== 0) return this.stop(code, chunk, position)
    }
    return 0
  }

  private judgeFirstByte(firstByte: number): number {
    const refusal = checkFirstByte(firstByte)
    if (refusal !== 0 && !(this.isVersion3 && isSentAgain(firstByte))) return refusal
    // [MQTT-3.1.0-1]
    return this.awaitsConnect && packetTypeOf(firstByte) !== CONNECT ? PROTOCOL_ERROR : 0
  }

  /** Adds bytes of the chunk to the partial packet, no more than it needs; returns the position after them. */
  private gather(partial: PartialPacket, chunk: Uint8Array): number {
    let position = 0
    while (partial.total === 0) {
      if (position === chunk.length) return position
      partial.append(chunk, position, position + 1)
      position++
      const remaining = decode(partial.bytes, 1, partial.length)
      if (remaining === NEED_MORE) continue
      const total = partial.length + remaining
      if (remaining === MALFORMED) this.end(MALFORMED_PACKET)
      else if (total > this.maximumPacketSize) this.end(PACKET_TOO_LARGE)
      else partial.total = total
      if (this.verdict !== 0) return position
    }
    const taken = Math.min(partial.total - partial.length, chunk.length - position)
    partial.append(chunk, position, position + taken)
    return position + taken
  }

  private handOn({ bytes, total }: PartialPacket, handler: PacketHandler): number {
    let start = 2
    while ((bytes[start - 1] as number) > 127) start++
    this.awaitsConnect = false
    const code = handler.packet(bytes, bytes[0] as number, start, total)
    return this.verdict === 0 ? code : this.verdict
  }

  private stop(code: number, chunk: Uint8Array, position: number): number {
    if (this.verdict !== 0) return this.verdict
    if (code !== PAUSED) return this.end(code)
    this.waiting ??= []
    if (position < chunk.length) this.keepWaiting(chunk, position)
    return PAUSED
  }

  private keepWaiting(chunk: Uint8Array, from: number): void {
    this.waiting ??= []
    this.waiting.push(from === 0 || chunk === NOTHING ? chunk : chunk.subarray(from))
  }

  private end(reasonCode: number): number {
    this.verdict = reasonCode
    this.release()
    return reasonCode
  }

  private release(): void {
    this.partial = null
    this.waiting = null
  }
}
