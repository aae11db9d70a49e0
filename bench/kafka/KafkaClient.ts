/**
 * A Kafka connection of the driver: requests go out as they are given, answers come in their order. As little as can be between socket and
 * figures, for what the driver takes the broker cannot have.
 */
import { codecFor, isFlexible, Reader } from "../../plugins/protocol-kafka/wire/codec.ts"
import { endFrame, requestHeaderVersion, responseHeaderVersion } from "../../plugins/protocol-kafka/wire/framing.ts"
import { requestHeader, responseHeader } from "../../plugins/protocol-kafka/wire/messages/headers.ts"
import type { Api, Decoded, Encodable } from "../../plugins/protocol-kafka/wire/schema.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"

type Taker = (reader: Reader) => void

export class KafkaClient {
  #socket: import("bun").Socket | undefined
  readonly #takers: Array<Taker> = []
  #writer = new Writer(65_536)
  /** What the socket did not take. */
  #unsent: Uint8Array | undefined
  /** The answer that is coming, with its size; `#filled` bytes of it are there. */
  #answer = new Uint8Array(1_048_576)
  #filled = 0
  #correlation = 0
  failed: (reason: string) => void = () => {}

  static async open(port: number): Promise<KafkaClient> {
    const client = new KafkaClient()
    client.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        binaryType: "uint8array",
        data: (_socket, bytes) => client.#data(bytes),
        drain: () => client.#drain(),
        close: () => client.failed("the broker closed a connection")
      }
    })
    client.#socket.setNoDelay(true)
    return client
  }

  /** Sends a request; `taken` is given its answer, whose bytes are borrowed until it returns. */
  send<A extends Api>(
    api: A,
    version: number,
    request: Encodable<A["request"]>,
    taken: (answer: Decoded<A["response"]>) => void
  ): void {
    const writer = this.#writer
    writer.position = 0
    const start = writer.reserve(4)
    const headerVersion = requestHeaderVersion(api.key, version, api)
    const header = { apiKey: api.key, apiVersion: version, correlationId: ++this.#correlation, clientId: "bench" }
    codecFor(requestHeader, headerVersion, headerVersion === 2).encode(writer, header)
    codecFor(api.request, version, isFlexible(api, version)).encode(writer, request as never)
    endFrame(writer, start)
    const answerVersion = responseHeaderVersion(api, version)
    const head = codecFor(responseHeader, answerVersion, answerVersion === 1)
    const body = codecFor(api.response, version, isFlexible(api, version))
    this.#takers.push((reader) => {
      head.decode(reader)
      taken(body.decode(reader) as Decoded<A["response"]>)
    })
    this.#write(writer.bytes.subarray(0, writer.position))
  }

  call<A extends Api>(api: A, version: number, request: Encodable<A["request"]>): Promise<Decoded<A["response"]>> {
    return new Promise((resolve) => this.send(api, version, request, resolve))
  }

  close(): void {
    this.failed = () => {}
    this.#socket?.terminate()
  }

  #write(bytes: Uint8Array): void {
    if (this.#unsent !== undefined) {
      this.#unsent = new Uint8Array(Buffer.concat([this.#unsent, bytes]))
      return
    }
    const taken = Math.max(0, this.#socket?.write(bytes) ?? 0)
    if (taken < bytes.length) this.#unsent = bytes.slice(taken)
  }

  #drain(): void {
    const bytes = this.#unsent
    this.#unsent = undefined
    if (bytes !== undefined) this.#write(bytes)
  }

  #data(bytes: Uint8Array): void {
    for (let position = 0; position < bytes.length; ) {
      const wanted = this.#filled < 4 ? 4 : 4 + sizeOf(this.#answer)
      if (wanted > this.#answer.length) {
        const grown = new Uint8Array(wanted * 2)
        grown.set(this.#answer.subarray(0, this.#filled))
        this.#answer = grown
      }
      const count = Math.min(wanted - this.#filled, bytes.length - position)
      this.#answer.set(bytes.subarray(position, position + count), this.#filled)
      this.#filled += count
      position += count
      if (this.#filled < 4 || this.#filled < 4 + sizeOf(this.#answer)) continue
      const end = this.#filled
      this.#filled = 0
      this.#takers.shift()?.(new Reader(this.#answer, 4, end))
    }
  }
}

function sizeOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0)
}
