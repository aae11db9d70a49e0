/**
 * Size-prefixed frames out of a stream of chunks, the headers inside them, and frames for the way back.
 *
 * Invariants
 *  - Nothing is allocated by the declared size: at most four times what has come, until a quarter of the frame is there.
 *  - A frame that lies whole within one chunk is a view of it and is not copied.
 *  - A size that is negative or above the bound ends the stream: no later frame can be found.
 *
 * Source: the Kafka protocol guide, "Protocol Structure"; header versions: KIP-482, KIP-511.
 */
import { codecFor, isFlexible, MalformedMessage, type Reader } from "./codec.ts"
import {
  REQUEST_HEADER_FLEXIBLE_FROM,
  RESPONSE_HEADER_FLEXIBLE_FROM,
  requestHeader,
  responseHeader
} from "./messages/headers.ts"
import type { Api, Decoded } from "./schema.ts"
import type { Writer } from "./writer.ts"

/** Default of `request_size_max`, as Apache's socket.request.max.bytes. */
export const REQUEST_SIZE_MAX_DEFAULT = 104_857_600
const SIZE_BYTES = 4
/** API key, API version, correlation id. */
const HEADER_SIZE_MIN = 8
const API_VERSIONS = 18
const CONTROLLED_SHUTDOWN = 7

/** Cuts one connection's bytes into frames. */
export class FrameReader {
  /** The frame that {@link next} found: `bytes[start, end)`, without its size. Valid as long as its holder keeps `bytes`. */
  bytes: Uint8Array = NOTHING
  start = 0
  end = 0

  readonly #sizeMin: number
  readonly #sizeMax: number
  #chunk: Uint8Array = NOTHING
  #position = 0
  /** The frame that came in parts: its bytes so far, without the size. */
  #partial: Uint8Array | undefined
  #partialSize = 0
  #partialEnd = 0
  readonly #prefix = new Uint8Array(SIZE_BYTES)
  #prefixEnd = 0

  /** Frames of `sizeMin` to `requestSizeMax` bytes; the least is a request. */
  constructor(requestSizeMax: number, sizeMin = HEADER_SIZE_MIN) {
    this.#sizeMin = sizeMin
    this.#sizeMax = requestSizeMax
  }

  /** Bytes held for a frame that is not whole, and bytes of the current chunk not yet cut. */
  get heldBytes(): number {
    return (this.#partial?.length ?? 0) + this.#chunk.length - this.#position
  }

  /** Hands over the next chunk; the one before must be used up ({@link next} returned false). */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#position = 0
  }

  /** Whether another whole frame is there. Throws {@link MalformedMessage} at an impossible size. */
  next(): boolean {
    if (this.#partial !== undefined) return this.#resume()
    const available = this.#chunk.length - this.#position
    if (this.#prefixEnd === 0 && available >= SIZE_BYTES) {
      const size = this.#checked(readInt32(this.#chunk, this.#position))
      if (available - SIZE_BYTES >= size) {
        this.bytes = this.#chunk
        this.start = this.#position + SIZE_BYTES
        this.end = this.start + size
        this.#position = this.end
        return true
      }
      this.#position += SIZE_BYTES
      this.#begin(size)
      return this.#resume()
    }
    while (this.#prefixEnd < SIZE_BYTES && this.#position < this.#chunk.length) {
      this.#prefix[this.#prefixEnd++] = this.#chunk[this.#position++] as number
    }
    if (this.#prefixEnd < SIZE_BYTES) return this.#spent()
    this.#prefixEnd = 0
    this.#begin(this.#checked(readInt32(this.#prefix, 0)))
    return this.#resume()
  }

  #checked(size: number): number {
    if (size < this.#sizeMin || size > this.#sizeMax) throw new MalformedMessage("a frame of impossible size")
    return size
  }

  #begin(size: number): void {
    this.#partialSize = size
    this.#partialEnd = 0
    this.#partial = NOTHING
  }

  /** Adds what the chunk has to the partial frame. */
  #resume(): boolean {
    const partial = this.#partial ?? NOTHING
    const count = Math.min(this.#partialSize - this.#partialEnd, this.#chunk.length - this.#position)
    const end = this.#partialEnd + count
    let target = partial
    if (end > partial.length) {
      target = new Uint8Array(4 * end >= this.#partialSize ? this.#partialSize : 2 * end)
      target.set(partial.subarray(0, this.#partialEnd))
      this.#partial = target
    }
    target.set(this.#chunk.subarray(this.#position, this.#position + count), this.#partialEnd)
    this.#position += count
    this.#partialEnd = end
    if (end < this.#partialSize) return this.#spent()
    this.bytes = target
    this.start = 0
    this.end = end
    this.#partial = undefined
    return true
  }

  /** The chunk is used up: lets go of it and of the last frame, so that an idle connection holds neither. */
  #spent(): false {
    this.#chunk = NOTHING
    this.#position = 0
    this.bytes = NOTHING
    this.start = 0
    this.end = 0
    return false
  }
}

const NOTHING = new Uint8Array(0)

function readInt32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

export type RequestHeader = Decoded<typeof requestHeader>

/** Which request header precedes a request: 2 in flexible versions, 1 else, 0 for the first ControlledShutdown alone. */
export function requestHeaderVersion(apiKey: number, apiVersion: number, api: Api | undefined): number {
  if (apiKey === CONTROLLED_SHUTDOWN && apiVersion === 0) return 0
  return api !== undefined && isFlexible(api, apiVersion) ? 2 : 1
}

/** Which response header precedes a response: 1 in flexible versions, always 0 for ApiVersions. */
export function responseHeaderVersion(api: Api, apiVersion: number): number {
  return api.key !== API_VERSIONS && isFlexible(api, apiVersion) ? 1 : 0
}

/** Reads the request header; `lookUp` says whether the API key is known. Throws {@link MalformedMessage}. */
export function decodeRequestHeader(reader: Reader, lookUp: (apiKey: number) => Api | undefined): RequestHeader {
  const start = reader.position
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  reader.position = start
  const version = requestHeaderVersion(apiKey, apiVersion, lookUp(apiKey))
  return codecFor(requestHeader, version, version >= REQUEST_HEADER_FLEXIBLE_FROM).decode(reader)
}

/** Opens a frame in `writer`: room for the size and the response header. Returns where it begins, for {@link endFrame}. */
export function beginResponse(writer: Writer, api: Api, apiVersion: number, correlationId: number): number {
  const start = writer.reserve(SIZE_BYTES)
  const version = responseHeaderVersion(api, apiVersion)
  codecFor(responseHeader, version, version >= RESPONSE_HEADER_FLEXIBLE_FROM).encode(writer, { correlationId })
  return start
}

/** Fills in the size of the frame that was opened at `start`; `viewBytes` of it do not stand in the writer's own buffer. */
export function endFrame(writer: Writer, start: number, viewBytes = 0): void {
  writer.setInt32(start, writer.position - start - SIZE_BYTES + viewBytes)
}
