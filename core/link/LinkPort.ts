/**
 * A shard's end of all its links: frames on numbered channels, gathered per neighbour and sent once a turn; calls with an answer
 * for what happens at human pace or once per request.
 *
 * Frame: channel (1 byte), length (4 bytes, big-endian), body. Many frames travel in one piece.
 */
import { assert, InvariantViolation } from "../assert.ts"
import type { TurnShape, TurnTask } from "../platform/Turn.ts"
import { ByteReader, ByteWriter } from "./bytes.ts"
import type { Link } from "./Link.ts"

export const CHANNEL_CALL = 1
export const CHANNEL_ANSWER = 2
export const CHANNEL_PUBLISH = 3
export const CHANNEL_PUBLISHED = 4
export const CHANNEL_DELIVER = 5
export const CHANNEL_ROUTE = 6
export const CHANNEL_ROUTED = 7
export const CHANNEL_TOPIC = 8
export const CHANNEL_CONNECTION = 9
export const CHANNEL_PARTITION = 10
export const CHANNEL_QUEUE = 11
export const CHANNEL_MAILBOX = 12
const CHANNELS = 16

/** Reads one frame; `reader` stands at its body and is lent until the call returns. */
export type FrameHandler = (from: number, reader: ByteReader) => void

/** What a call carries: facts as JSON and bytes beside them. */
export interface CallBody {
  readonly facts: unknown
  readonly bytes?: Uint8Array
}
export type CallHandler = (from: number, body: CallBody) => Promise<CallBody> | CallBody

/** Gets the answer to a question, or why there is none. */
export interface AnswerReceiver {
  readonly resolve: (body: CallBody) => void
  readonly reject: (error: Error) => void
}

const NO_BYTES = new Uint8Array(0)

export class LinkPort implements TurnTask {
  readonly shard: number
  readonly shards: number
  readonly #link: Link
  readonly #turn: TurnShape
  readonly #outboxes: Array<ByteWriter>
  readonly #handlers: Array<FrameHandler | undefined> = Array.from({ length: CHANNELS }, () => undefined)
  readonly #methods = new Map<string, CallHandler>()
  readonly #calls = new Map<number, AnswerReceiver>()
  readonly #reader = new ByteReader()
  #nextCall = 1
  #deferred = false
  #frameStart = 0

  constructor(shard: number, link: Link, turn: TurnShape) {
    this.shard = shard
    this.shards = link.shards
    this.#link = link
    this.#turn = turn
    this.#outboxes = Array.from({ length: link.shards }, () => new ByteWriter())
    this.handle(CHANNEL_CALL, (from, reader) => this.#answer(from, reader))
    this.handle(CHANNEL_ANSWER, (_from, reader) => this.#answered(reader))
  }

  /** Sets who reads the frames of a channel. */
  handle(channel: number, handler: FrameHandler): void {
    assert(this.#handlers[channel] === undefined, "a channel has one handler")
    this.#handlers[channel] = handler
  }

  /** Starts a frame for `target`; write its body to the result, then call {@link LinkPort.end} before anything else. */
  begin(target: number, channel: number): ByteWriter {
    const outbox = this.#outboxes[target]
    assert(outbox !== undefined && target !== this.shard, "a frame goes to another shard")
    outbox.uint8(channel)
    this.#frameStart = outbox.length
    outbox.uint32(0)
    return outbox
  }

  end(outbox: ByteWriter): void {
    outbox.setUint32(this.#frameStart, outbox.length - this.#frameStart - 4)
    if (this.#deferred) return
    this.#deferred = true
    this.#turn.deferWork(this)
  }

  /** Bytes that wait for the end of this turn. */
  pendingBytes(target: number): number {
    return this.#outboxes[target]?.length ?? 0
  }

  endTurn(): void {
    this.#deferred = false
    for (let target = 0; target < this.#outboxes.length; target++) {
      const outbox = this.#outboxes[target]
      if (outbox === undefined || outbox.length === 0) continue
      this.#link.send(target, outbox.bytes, 0, outbox.length)
      outbox.reset()
    }
  }

  /** Takes what a neighbour's {@link LinkPort.endTurn} sent. */
  receive(from: number, bytes: Uint8Array): void {
    let position = 0
    while (position < bytes.length) {
      const channel = bytes[position] ?? 0
      this.#reader.reset(bytes, position + 1, bytes.length)
      const length = this.#reader.uint32()
      const start = position + 5
      position = start + length
      assert(position <= bytes.length, "a frame between shards is complete")
      const handler = this.#handlers[channel]
      assert(handler !== undefined, "a frame's channel is known")
      handler(from, this.#reader.reset(bytes, start, position))
    }
  }

  /** Answers calls of `method` from other shards. */
  answer(method: string, handler: CallHandler): void {
    assert(!this.#methods.has(method), "a method is answered by one handler")
    this.#methods.set(method, handler)
  }

  /** Asks `target`; a call to this shard itself runs the handler in place. */
  call(target: number, method: string, body: CallBody): Promise<CallBody> {
    if (target === this.shard) {
      const handler = this.#methods.get(method)
      assert(handler !== undefined, "a called method is answered")
      return (async () => handler(this.shard, body))()
    }
    const { promise, resolve, reject } = Promise.withResolvers<CallBody>()
    this.ask(target, method, body, { resolve, reject })
    return promise
  }

  /**
   * Asks another shard and takes the answer in its place among the frames from there: what was sent before it has been handled,
   * what was sent after it has not.
   */
  ask(target: number, method: string, body: CallBody, answer: AnswerReceiver): void {
    const id = this.#nextCall++
    const facts = factsText(body)
    this.#calls.set(id, answer)
    const outbox = this.begin(target, CHANNEL_CALL)
    outbox.uint53(id)
    outbox.text(method)
    writeBody(outbox, facts, body)
    this.end(outbox)
  }

  #answer(from: number, reader: ByteReader): void {
    const id = reader.uint53()
    const method = reader.text()
    const body = readBody(reader)
    const handler = this.#methods.get(method)
    assert(handler !== undefined, "a called method is answered")
    const failed = (error: unknown): void => {
      if (error instanceof InvariantViolation) throw error
      // An empty text would read as success.
      this.#reply(from, id, (error instanceof Error ? error.message : String(error)) || "failed", { facts: null })
    }
    try {
      const result = handler(from, body)
      // An answer that is there goes out before anything that happens after it.
      if (result instanceof Promise) result.then((late) => this.#reply(from, id, "", late), failed)
      else this.#reply(from, id, "", result)
    } catch (error) {
      failed(error)
    }
  }

  #reply(target: number, id: number, error: string, body: CallBody): void {
    const facts = factsText(body)
    const outbox = this.begin(target, CHANNEL_ANSWER)
    outbox.uint53(id)
    outbox.text(error)
    writeBody(outbox, facts, body)
    this.end(outbox)
  }

  #answered(reader: ByteReader): void {
    const id = reader.uint53()
    const error = reader.text()
    const body = readBody(reader)
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    if (error === "") call.resolve(body)
    else call.reject(new Error(error))
  }
}

/** Made before its frame is begun: facts that are no JSON must not leave half a frame behind. */
function factsText(body: CallBody): string {
  return JSON.stringify(body.facts ?? null)
}

function writeBody(outbox: ByteWriter, facts: string, body: CallBody): void {
  outbox.text(facts)
  const bytes = body.bytes ?? NO_BYTES
  outbox.block(bytes, 0, bytes.length)
}

function readBody(reader: ByteReader): CallBody {
  const facts: unknown = JSON.parse(reader.text())
  return { facts, bytes: reader.blockCopy() }
}
