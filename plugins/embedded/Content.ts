/**
 * What a message and a stored record have in common: a payload, a time, and headers that are decoded when somebody asks.
 *
 * Invariants
 *  - The bytes are the program's own: nobody else reads or writes them.
 *  - Of what our gatherer wrote, `mqtt.*` headers become the fields below and escaped names their own again; of what a Kafka client
 *    produced, every header is data.
 */
import { HeaderCursor } from "../../core/mod.ts"
import * as Name from "./properties.ts"

/** A header: its value is undefined where a Kafka client sent null. */
export type Header = readonly [name: string, value: Uint8Array | undefined]

interface Decoded {
  readonly headers: Array<Header>
  contentType: string | undefined
  responseTopic: string | undefined
  correlationData: Uint8Array | undefined
  isText: boolean
  expirySeconds: number | undefined
  qos: number
  retain: boolean
}

/** Record headers as they lie in bytes, without their count. */
export interface HeaderBytes {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly count: number
  /** Whether our own gatherer wrote them. */
  readonly gathered: boolean
}

export const NO_HEADERS: HeaderBytes = { bytes: new Uint8Array(0), start: 0, end: 0, count: 0, gathered: true }

const cursor = new HeaderCursor()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export abstract class Content {
  /** Empty also where the record's value is null. */
  readonly payload: Uint8Array
  /** Milliseconds since 1970: when the broker got it, or what its Kafka producer said. */
  readonly timestamp: number
  readonly #source: HeaderBytes
  #decoded: Decoded | undefined

  constructor(payload: Uint8Array, timestamp: number, source: HeaderBytes) {
    this.payload = payload
    this.timestamp = timestamp
    this.#source = source
  }

  /** The payload as UTF-8. */
  get text(): string {
    return decoder.decode(this.payload)
  }

  /** User properties and Kafka headers, in order. */
  get headers(): ReadonlyArray<Header> {
    return this.decoded.headers
  }

  /** The first header of this name as UTF-8. */
  header(name: string): string | undefined {
    const value = this.decoded.headers.find(([known]) => known === name)?.[1]
    return value === undefined ? undefined : decoder.decode(value)
  }

  get contentType(): string | undefined {
    return this.decoded.contentType
  }

  get responseTopic(): string | undefined {
    return this.decoded.responseTopic
  }

  get correlationData(): Uint8Array | undefined {
    return this.decoded.correlationData
  }

  /** Whether its publisher says that the payload is UTF-8 text. */
  get isText(): boolean {
    return this.decoded.isText
  }

  /** As it was published, seconds from {@link Content.timestamp}. */
  get expirySeconds(): number | undefined {
    return this.decoded.expirySeconds
  }

  protected get decoded(): Decoded {
    this.#decoded ??= decode(this.#source)
    return this.#decoded
  }
}

function decode({ bytes, start, end, count, gathered }: HeaderBytes): Decoded {
  const decoded: Decoded = {
    headers: [],
    contentType: undefined,
    responseTopic: undefined,
    correlationData: undefined,
    isText: false,
    expirySeconds: undefined,
    qos: 0,
    retain: false
  }
  cursor.reset(bytes, start, end, count)
  while (cursor.next()) {
    const name = decoder.decode(bytes.subarray(cursor.nameStart, cursor.nameEnd))
    const value = cursor.valueStart < 0 ? undefined : bytes.subarray(cursor.valueStart, cursor.valueEnd)
    if (!gathered) decoded.headers.push([name, value])
    else if (name.startsWith(Name.MQTT_PREFIX)) obey(decoded, name, value ?? NO_HEADERS.bytes)
    else if (name.startsWith(Name.ESCAPE_PREFIX)) decoded.headers.push([name.slice(Name.ESCAPE_PREFIX.length), value])
    else if (!name.startsWith(Name.OWN_PREFIX)) decoded.headers.push([name, value])
  }
  return decoded
}

function obey(decoded: Decoded, name: string, value: Uint8Array): void {
  if (name === Name.CORRELATION_DATA) {
    decoded.correlationData = value
    return
  }
  const text = decoder.decode(value)
  if (name === Name.CONTENT_TYPE) decoded.contentType = text
  else if (name === Name.RESPONSE_TOPIC) decoded.responseTopic = text
  else if (name === Name.PAYLOAD_FORMAT) decoded.isText = text === "1"
  else if (name === Name.MESSAGE_EXPIRY) decoded.expirySeconds = Number(text)
  else if (name === Name.QOS) decoded.qos = Number(text)
  else if (name === Name.RETAIN) decoded.retain = text === "1"
}
