/**
 * Properties of a control packet that we send, gathered in one reused buffer, then written behind their length.
 *
 * Source: MQTT 5.0, sections 1.5 and 2.2.2. For packets sent once a connection or a request, not once a message.
 * Invariant: one encoder is filled and written before it is filled again; it never leaves the file that owns it.
 */
import { copyBytes } from "../../../core/log/mod.ts"
import type { UserProperties } from "./properties.ts"
import { USER_PROPERTY } from "./property-table.ts"
import { writeByteProperty, writeFourByteProperty, writeTwoByteProperty, writeTwoBytes } from "./property-writers.ts"
import { encode, size } from "./variable-byte-integer.ts"

const STRING_SIZE_MAX = 65_535
const INITIAL_CAPACITY = 256
/** Above it the buffer is given back after use: one long Reason String must not stay with us. */
const KEPT_CAPACITY_MAX = 16_384

const encoder = new TextEncoder()

export class PropertyEncoder {
  private bytes = new Uint8Array(INITIAL_CAPACITY)
  private length = 0

  /** Empties it. Returns itself, to begin a packet with. */
  begin(): this {
    if (this.bytes.length > KEPT_CAPACITY_MAX) this.bytes = new Uint8Array(INITIAL_CAPACITY)
    this.length = 0
    return this
  }

  /** Bytes that {@link write} takes: the length field and the properties. */
  get size(): number {
    return size(this.length) + this.length
  }

  get isEmpty(): boolean {
    return this.length === 0
  }

  /** Writes length and properties; returns the position after them. */
  write(target: Uint8Array, position: number): number {
    return copyBytes(this.bytes, 0, this.length, target, encode(this.length, target, position))
  }

  byte(identifier: number, value: number | undefined): void {
    if (value === undefined) return
    this.reserve(2)
    this.length = writeByteProperty(this.bytes, this.length, identifier, value)
  }

  flag(identifier: number, value: boolean | undefined): void {
    if (value !== undefined) this.byte(identifier, value ? 1 : 0)
  }

  twoBytes(identifier: number, value: number | undefined): void {
    if (value === undefined) return
    this.reserve(3)
    this.length = writeTwoByteProperty(this.bytes, this.length, identifier, value)
  }

  fourBytes(identifier: number, value: number | undefined): void {
    if (value === undefined) return
    this.reserve(5)
    this.length = writeFourByteProperty(this.bytes, this.length, identifier, value)
  }

  /** A string longer than 65,535 bytes in UTF-8 is a defect of the caller. */
  string(identifier: number, value: string | undefined): void {
    if (value === undefined) return
    this.reserve(1)
    this.bytes[this.length++] = identifier
    this.block(encoder.encode(value))
  }

  binary(identifier: number, value: Uint8Array | undefined): void {
    if (value === undefined) return
    this.reserve(1)
    this.bytes[this.length++] = identifier
    this.block(value)
  }

  userProperties(list: UserProperties | undefined): void {
    if (list === undefined) return
    for (const [name, value] of list) {
      this.string(USER_PROPERTY, name)
      this.block(encoder.encode(value))
    }
  }

  private block(value: Uint8Array): void {
    if (value.length > STRING_SIZE_MAX) throw new RangeError("an MQTT string holds 65,535 bytes at most")
    this.reserve(2 + value.length)
    const start = writeTwoBytes(this.bytes, this.length, value.length)
    this.length = copyBytes(value, 0, value.length, this.bytes, start)
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more))
    copyBytes(this.bytes, 0, this.length, grown, 0)
    this.bytes = grown
  }
}
