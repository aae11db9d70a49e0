/**
 * Frames that a plugin's part on one shard sends to its parts on others, in order among themselves and with all else that goes there.
 *
 * Invariants
 *  - What comes for a service that this shard has not opened yet is kept until it does: shards start one after another.
 *  - A receiver is never called before whoever opened the mailbox has it: it may have to answer.
 */
import { assert } from "../assert.ts"
import { textHash } from "../collections/text-hash.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { ByteReader, type ByteWriter } from "./bytes.ts"
import { CHANNEL_MAILBOX, type LinkPort } from "./LinkPort.ts"

/** Reads one frame of another shard; `reader` is lent until the call returns. */
export type MailReceiver = (from: number, reader: ByteReader) => void

export interface Mailbox {
  /** Starts a frame for another shard; write its body to the result, then call {@link Mailbox.end} before anything else. */
  begin(target: number): ByteWriter
  end(writer: ByteWriter): void
}

interface Early {
  readonly from: number
  readonly bytes: Uint8Array
}

export class Mailboxes {
  readonly #port: LinkPort
  readonly #clock: Pick<ClockShape, "microtask">
  /** Whose early frames have been read. */
  readonly #receivers = new Map<number, MailReceiver>()
  readonly #early = new Map<number, Array<Early>>()
  readonly #opened = new Set<number>()

  constructor(port: LinkPort, clock: Pick<ClockShape, "microtask">) {
    this.#port = port
    this.#clock = clock
    port.handle(CHANNEL_MAILBOX, (from, reader) => {
      const service = reader.uint32()
      const receive = this.#receivers.get(service)
      if (receive !== undefined) {
        receive(from, reader)
        return
      }
      const early = this.#early.get(service) ?? []
      early.push({ from, bytes: reader.bytes.slice(reader.position, reader.end) })
      this.#early.set(service, early)
    })
  }

  /** Opens the mailbox of a service; what has come for it is read when the caller has gone on. */
  open(service: string, receive: MailReceiver): Mailbox {
    // The same on every shard, whatever plugins it has.
    const number = textHash(service)
    assert(!this.#opened.has(number), "the mailboxes of a shard have different numbers")
    this.#opened.add(number)
    if (!this.#early.has(number)) this.#receivers.set(number, receive)
    else this.#clock.microtask(() => this.#readEarly(number, receive))
    const port = this.#port
    return {
      begin: (target) => {
        const writer = port.begin(target, CHANNEL_MAILBOX)
        writer.uint32(number)
        return writer
      },
      end: (writer) => port.end(writer)
    }
  }

  #readEarly(number: number, receive: MailReceiver): void {
    const early = this.#early.get(number) ?? []
    this.#early.delete(number)
    this.#receivers.set(number, receive)
    for (const { from, bytes } of early) receive(from, new ByteReader().reset(bytes, 0, bytes.length))
  }
}
