/** One connection to a broker that speaks Kafka, by the product's own codec: a request, its answer, and how long that took. */
import { createConnection, type Socket } from "node:net"
import { codecFor, isFlexible, Reader } from "../../../plugins/protocol-kafka/wire/codec.ts"
import { endFrame, requestHeaderVersion, responseHeaderVersion } from "../../../plugins/protocol-kafka/wire/framing.ts"
import { requestHeader, responseHeader } from "../../../plugins/protocol-kafka/wire/messages/headers.ts"
import type { Api, Decoded, Encodable } from "../../../plugins/protocol-kafka/wire/schema.ts"
import { Writer } from "../../../plugins/protocol-kafka/wire/writer.ts"

export interface Answer<A extends Api> {
  readonly body: Decoded<A["response"]>
  readonly elapsedMs: number
}

export class KafkaConnection {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #waiting: ((frame: Buffer | undefined) => void) | undefined
  #correlation = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      if (this.#received.length < 4) return
      const end = 4 + this.#received.readInt32BE(0)
      if (this.#received.length < end) return
      const frame = Buffer.from(this.#received.subarray(4, end))
      this.#received = Buffer.from(this.#received.subarray(end))
      this.#take(frame)
    })
    for (const event of ["close", "error"]) socket.on(event, () => this.#take(undefined))
  }

  static open(port: number): Promise<KafkaConnection> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ host: "127.0.0.1", port, noDelay: true })
      socket.once("connect", () => resolve(new KafkaConnection(socket)))
      socket.once("error", reject)
    })
  }

  /** Sends a request and waits for its answer; one at a time. */
  async call<A extends Api>(api: A, version: number, request: Encodable<A["request"]>): Promise<Answer<A>> {
    const writer = new Writer()
    const start = writer.reserve(4)
    const headerVersion = requestHeaderVersion(api.key, version, api)
    const header = { apiKey: api.key, apiVersion: version, correlationId: ++this.#correlation, clientId: "differ" }
    codecFor(requestHeader, headerVersion, headerVersion === 2).encode(writer, header)
    codecFor(api.request, version, isFlexible(api, version)).encode(writer, request as never)
    endFrame(writer, start)
    const startMs = performance.now()
    const answered = new Promise<Buffer | undefined>((take) => {
      this.#waiting = take
    })
    this.#socket.write(writer.bytes.slice(0, writer.position))
    const frame = await answered
    const elapsedMs = performance.now() - startMs
    if (frame === undefined) throw new Error(`${api.name} ${version}: the connection was closed`)
    const reader = new Reader(frame, 0, frame.length)
    const answerVersion = responseHeaderVersion(api, version)
    codecFor(responseHeader, answerVersion, answerVersion === 1).decode(reader)
    const body = codecFor(api.response, version, isFlexible(api, version)).decode(reader) as Decoded<A["response"]>
    if (reader.position !== frame.length) throw new Error(`${api.name} ${version}: bytes are left in the answer`)
    return { body, elapsedMs }
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(frame: Buffer | undefined): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(frame)
  }
}
