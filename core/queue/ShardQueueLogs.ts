/**
 * The queue logs of all shards as one of them has them: its own by a call, those of others by questions over the Link.
 *
 * Invariant: an answer is sent in the turn in which it was found, in its place among the messages that its shard delivers.
 */
import { assert } from "../assert.ts"
import { Message } from "../ingress/Message.ts"
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import { type CallBody, CHANNEL_QUEUE, type LinkPort } from "../link/LinkPort.ts"
import type { QueueLog } from "./QueueLog.ts"
import type {
  QueueCount,
  QueueLogsShape,
  QueueLossListener,
  QueueRead,
  QueueReadLimits,
  QueueReceiver,
  QueueSelection,
  QueueWaiter
} from "./QueueLogs.ts"

/** Bytes of messages in one answer to another shard, at most, beyond a first one that is larger. */
export const REMOTE_QUEUE_BYTES_MAX = 1_048_576

/** Frames of {@link CHANNEL_QUEUE}, and what they hold. */
const ADVANCED = 0 // the watch
const WATCH = 1 // the watch, the offset
const UNWATCH = 2 // the watch
const NEED = 3 // the position
const LOST = 4 // from, end

const NO_BYTES = new Uint8Array(0)
/** How `Infinity` travels. */
const NO_POSITION = Number.MAX_SAFE_INTEGER

interface ReadFacts extends QueueSelection, QueueReadLimits {
  readonly position: number
  readonly includeUncommitted: boolean
}

interface CountFacts extends QueueSelection {
  readonly position: number
  readonly messagesMax: number
}

export class ShardQueueLogs implements QueueLogsShape {
  readonly #port: LinkPort
  readonly #log: QueueLog
  readonly #listeners: Array<QueueLossListener> = []
  /** The lowest position that each shard needs of this one's log; -1 = it has not said. */
  readonly #needs: Array<number>
  /** What was told to other shards last. */
  readonly #told: Array<number>
  /** Watches that this shard asked others for, by number. */
  readonly #asked = new Map<number, QueueWaiter>()
  /** Watches that others asked this shard for: how to take them back, by shard and number. */
  readonly #served = new Map<string, () => void>()
  #nextWatch = 1

  constructor(port: LinkPort, log: QueueLog) {
    this.#port = port
    this.#log = log
    this.#needs = Array.from({ length: port.shards }, () => -1)
    this.#told = Array.from({ length: port.shards }, () => -1)
    port.handle(CHANNEL_QUEUE, (from, reader) => this.#receive(from, reader))
    port.answer("queue.read", (_from, { facts }) => {
      const { position, tenant, filters, messagesMax, bytesMax, includeUncommitted } = facts as ReadFacts
      const limits = { messagesMax, bytesMax: Math.min(bytesMax, REMOTE_QUEUE_BYTES_MAX) }
      const read = log.read(position, { tenant, filters }, limits, includeUncommitted)
      return read instanceof Promise ? read.then(packRead) : packRead(read)
    })
    port.answer("queue.count", (_from, { facts }) => {
      const { position, tenant, filters, messagesMax } = facts as CountFacts
      const count = log.count(position, { tenant, filters }, messagesMax)
      return count instanceof Promise ? count.then((late) => ({ facts: late })) : { facts: count }
    })
    port.answer("queue.end", () => ({ facts: log.endOffset }))
    log.onLost((from, end) => this.#lost(from, end))
  }

  get count(): number {
    return this.#port.shards
  }

  get local(): number {
    return this.#port.shard
  }

  read(
    log: number,
    position: number,
    selection: QueueSelection,
    limits: QueueReadLimits,
    includeUncommitted: boolean,
    receiver: QueueReceiver<QueueRead>
  ): void {
    if (log === this.local) {
      hand(this.#log.read(position, selection, limits, includeUncommitted), receiver)
      return
    }
    const { tenant, filters } = selection
    const facts: ReadFacts = { position, tenant, filters, includeUncommitted, ...limits }
    this.#port.ask(log, "queue.read", { facts }, receiving(receiver, unpackRead))
  }

  countWaiting(
    log: number,
    position: number,
    selection: QueueSelection,
    messagesMax: number,
    receiver: QueueReceiver<QueueCount>
  ): void {
    if (log === this.local) {
      hand(this.#log.count(position, selection, messagesMax), receiver)
      return
    }
    const { tenant, filters } = selection
    const facts: CountFacts = { position, tenant, filters, messagesMax }
    this.#port.ask(
      log,
      "queue.count",
      { facts },
      receiving(receiver, (body) => body.facts as QueueCount)
    )
  }

  watch(log: number, offset: number, waiter: QueueWaiter): () => void {
    if (log === this.local) return this.#log.watch(offset, waiter)
    const id = this.#nextWatch++
    this.#asked.set(id, waiter)
    this.#tell(log, WATCH, id, offset)
    return () => {
      if (this.#asked.delete(id)) this.#tell(log, UNWATCH, id, 0)
    }
  }

  end(log: number, receiver: QueueReceiver<number>): void {
    if (log === this.local) receiver.received(this.#log.endOffset)
    else
      this.#port.ask(
        log,
        "queue.end",
        { facts: null },
        receiving(receiver, (body) => body.facts as number)
      )
  }

  ends(): Promise<ReadonlyArray<number>> {
    const endOf = (log: number): Promise<number> =>
      new Promise((resolve, reject) => this.end(log, { received: resolve, failed: reject }))
    return Promise.all(Array.from({ length: this.count }, (_, log) => endOf(log)))
  }

  need(log: number, position: number): void {
    const least = Math.min(position, NO_POSITION)
    if (log === this.local) this.#needed(this.local, least)
    else if (this.#told[log] !== least) {
      this.#told[log] = least
      this.#tell(log, NEED, least, 0)
    }
  }

  onLost(listener: QueueLossListener): void {
    this.#listeners.push(listener)
  }

  #needed(shard: number, position: number): void {
    this.#needs[shard] = position
    const least = Math.min(...this.#needs)
    if (least >= 0) this.#log.trimTo(least)
  }

  #lost(from: number, end: number): void {
    for (let shard = 0; shard < this.count; shard++) if (shard !== this.local) this.#tell(shard, LOST, from, end)
    for (const listener of this.#listeners) listener(this.local, from, end)
  }

  #tell(target: number, kind: number, first: number, second: number): void {
    const outbox = this.#port.begin(target, CHANNEL_QUEUE)
    outbox.uint8(kind)
    outbox.uint53(first)
    outbox.uint53(second)
    this.#port.end(outbox)
  }

  #receive(from: number, reader: ByteReader): void {
    const kind = reader.uint8()
    const first = reader.uint53()
    const second = reader.uint53()
    const key = `${from}/${first}`
    if (kind === ADVANCED) {
      const waiter = this.#asked.get(first)
      this.#asked.delete(first)
      waiter?.queueAdvanced()
    } else if (kind === WATCH) {
      const queueAdvanced = (): void => {
        this.#served.delete(key)
        this.#tell(from, ADVANCED, first, 0)
      }
      this.#served.set(key, this.#log.watch(second, { queueAdvanced }))
    } else if (kind === UNWATCH) {
      this.#served.get(key)?.()
      this.#served.delete(key)
    } else if (kind === NEED) this.#needed(from, first)
    else {
      assert(kind === LOST, "a frame about a queue log is of a known kind")
      for (const listener of this.#listeners) listener(from, first, second)
    }
  }
}

function hand<Result>(result: Result | Promise<Result>, receiver: QueueReceiver<Result>): void {
  if (result instanceof Promise) {
    result.then(
      (late) => receiver.received(late),
      (error: unknown) => receiver.failed(error instanceof Error ? error : new Error(String(error)))
    )
  } else receiver.received(result)
}

function receiving<Result>(
  receiver: QueueReceiver<Result>,
  unpack: (body: CallBody) => Result
): { readonly resolve: (body: CallBody) => void; readonly reject: (error: Error) => void } {
  return { resolve: (body) => receiver.received(unpack(body)), reject: (error) => receiver.failed(error) }
}

function packRead({ messages, ...facts }: QueueRead): CallBody {
  const writer = new ByteWriter()
  for (const message of messages) message.encode(writer)
  return { facts: { ...facts, count: messages.length }, bytes: writer.bytes.subarray(0, writer.length) }
}

function unpackRead({ facts, bytes = NO_BYTES }: CallBody): QueueRead {
  const { count, ...rest } = facts as Omit<QueueRead, "messages"> & { readonly count: number }
  const reader = new ByteReader().reset(bytes, 0, bytes.length)
  const scratch = new Message()
  const messages: Array<Message> = []
  for (let left = count; left > 0; left--) {
    scratch.decode(reader)
    // A copy of its own: one message that somebody keeps must not keep the bytes of all.
    messages.push(scratch.owned())
  }
  return { messages, ...rest }
}
