/**
 * Frames that a plugin's part on one shard sends to its parts on others, in order among themselves and with all else that goes there.
 *
 * Invariant: what comes for a service that this shard has not opened yet is kept until it does: shards start one after another.
 */
import { assert } from "../assert.ts"
import { textHash } from "../collections/text-hash.ts"
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
  readonly #receivers = new Map<number, MailReceiver>()
  readonly #early = new Map<number, Array<Early>>()

  constructor(port: LinkPort) {
    this.#port = port
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

  /** Opens the mailbox of a service; what has come for it is read now. */
  open(service: string, receive: MailReceiver): Mailbox {
    // The same on every shard, whatever plugins it has.
    const number = textHash(service)
    assert(!this.#receivers.has(number), "the mailboxes of a shard have different numbers")
    this.#receivers.set(number, receive)
    const early = this.#early.get(number) ?? []
    this.#early.delete(number)
    for (const { from, bytes } of early) receive(from, new ByteReader().reset(bytes, 0, bytes.length))
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
}
