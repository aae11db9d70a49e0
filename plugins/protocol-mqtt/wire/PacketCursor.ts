/**
 * A reader of control packets that stops at the end of its packet: fields in order, the first fault sticks.
 *
 * Source: MQTT 5.0, section 1.5 (data types) and 2.2.2 (properties).
 * Invariants: nothing at or beyond the end is read; after a fault every read gives an empty value and `reasonCode`
 * stays, so that a decoder may read on and look once. For packets that come once a connection or a request.
 */
import { blockEnd, PropertyView, readTwoBytes, scanProperties } from "./properties.ts"
import { MALFORMED_PACKET } from "./reason-codes.ts"
import { decodeString, isMqttString } from "./utf8.ts"
import { decode, size } from "./variable-byte-integer.ts"

const NOTHING = new Uint8Array(0)
/** One for all cursors: packets are decoded one at a time, and sixty fields for every CONNECT are a lot of garbage. */
const sharedProperties = new PropertyView()

export class PacketCursor {
  readonly bytes: Uint8Array
  readonly end: number
  position: number
  /** 0, or the first fault. */
  reasonCode = 0
  /** Of the last {@link readProperties}; all absent before. Holds until the next cursor is made. */
  readonly properties = sharedProperties
  propertiesStart = 0
  propertiesEnd = 0
  /** Where the last string or binary value lay. */
  blockStart = 0
  blockEnd = 0

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes
    this.position = start
    this.end = end
    sharedProperties.reset()
  }

  get atEnd(): boolean {
    return this.position === this.end
  }

  /** Notes a fault, unless there was one. */
  fail(reasonCode: number): void {
    if (this.reasonCode === 0) this.reasonCode = reasonCode
    this.position = this.end
  }

  readByte(): number {
    if (this.position + 1 > this.end) {
      this.fail(MALFORMED_PACKET)
      return 0
    }
    return this.bytes[this.position++] as number
  }

  readTwoBytes(): number {
    if (this.position + 2 > this.end) {
      this.fail(MALFORMED_PACKET)
      return 0
    }
    const value = readTwoBytes(this.bytes, this.position)
    this.position += 2
    return value
  }

  /** A UTF-8 Encoded String. */
  readString(): string {
    if (!this.takeBlock()) return ""
    if (!isMqttString(this.bytes, this.blockStart, this.blockEnd)) {
      this.fail(MALFORMED_PACKET)
      return ""
    }
    return decodeString(this.bytes, this.blockStart, this.blockEnd)
  }

  /** Binary Data, as a copy. */
  readBinary(): Uint8Array {
    return this.takeBlock() ? this.bytes.slice(this.blockStart, this.blockEnd) : NOTHING
  }

  /** Property Length and properties, by the rules of `packetType`. */
  readProperties(packetType: number): void {
    this.properties.reset()
    const length = decode(this.bytes, this.position, this.end)
    const start = this.position + size(length)
    if (length < 0 || start + length > this.end) {
      this.fail(MALFORMED_PACKET)
      return
    }
    this.propertiesStart = start
    this.propertiesEnd = start + length
    const reasonCode = scanProperties(this.bytes, start, this.propertiesEnd, packetType, this.properties)
    if (reasonCode === 0) this.position = this.propertiesEnd
    else this.fail(reasonCode)
  }

  /** The string of a property that was found, or undefined. */
  propertyString(start: number, end: number): string | undefined {
    return start < 0 ? undefined : decodeString(this.bytes, start, end)
  }

  /** A copy of a binary property that was found, or undefined. */
  propertyBinary(start: number, end: number): Uint8Array | undefined {
    return start < 0 ? undefined : this.bytes.slice(start, end)
  }

  private takeBlock(): boolean {
    const last = blockEnd(this.bytes, this.position, this.end)
    if (last < 0) {
      this.fail(MALFORMED_PACKET)
      return false
    }
    this.blockStart = this.position + 2
    this.blockEnd = last
    this.position = last
    return true
  }
}
