/**
 * The fields of Kafka requests and responses, written and read strictly, for tests.
 *
 * Source: Kafka protocol guide, "Protocol Primitive Types".
 */

/** Writes the fields of a request. */
export class Writer {
  #parts: Array<Buffer> = []
  int8(value: number): this {
    return this.#add(1, (buffer) => buffer.writeInt8(value))
  }
  int16(value: number): this {
    return this.#add(2, (buffer) => buffer.writeInt16BE(value))
  }
  int32(value: number): this {
    return this.#add(4, (buffer) => buffer.writeInt32BE(value))
  }
  int64(value: number): this {
    return this.#add(8, (buffer) => buffer.writeBigInt64BE(BigInt(value)))
  }
  text(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = Buffer.from(value)
    return this.int16(bytes.length).raw(bytes)
  }
  bytes(value: Uint8Array | null): this {
    return value === null ? this.int32(-1) : this.int32(value.length).raw(value)
  }
  raw(value: Uint8Array): this {
    this.#parts.push(Buffer.from(value))
    return this
  }
  array<T>(entries: ReadonlyArray<T> | null, each: (entry: T) => void): this {
    this.int32(entries === null ? -1 : entries.length)
    for (const entry of entries ?? []) each(entry)
    return this
  }
  #add(size: number, write: (buffer: Buffer) => void): this {
    const buffer = Buffer.alloc(size)
    write(buffer)
    this.#parts.push(buffer)
    return this
  }
  end(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Reads the fields of a response. */
export class Reader {
  position = 0
  readonly buffer: Buffer
  constructor(buffer: Buffer) {
    this.buffer = buffer
  }
  int8(): number {
    return this.buffer.readInt8(this.#skip(1))
  }
  int16(): number {
    return this.buffer.readInt16BE(this.#skip(2))
  }
  int32(): number {
    return this.buffer.readInt32BE(this.#skip(4))
  }
  int64(): number {
    return Number(this.buffer.readBigInt64BE(this.#skip(8)))
  }
  text(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.raw(length).toString("utf8")
  }
  bytes(): Buffer | null {
    const length = this.int32()
    return length < 0 ? null : this.raw(length)
  }
  array<T>(each: () => T): Array<T> {
    return Array.from({ length: Math.max(0, this.int32()) }, each)
  }
  unsigned(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.buffer.readUInt8(this.#skip(1))
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  raw(length: number): Buffer {
    return this.buffer.subarray(this.#skip(length), this.position)
  }
  /** The response must end here. */
  end(): void {
    if (this.position !== this.buffer.length)
      throw new Error(`${this.buffer.length - this.position} bytes are left in a response`)
  }
  #skip(length: number): number {
    if (this.position + length > this.buffer.length) throw new Error("a response ends early")
    this.position += length
    return this.position - length
  }
}
