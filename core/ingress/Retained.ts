/**
 * Retained messages of the topic names that this shard owns: key-value state written through the journal, with a resident index
 * of the names for matching filters.
 *
 * A value is one record batch of one record, the stored form, so that nothing of the message is lost and nothing else has to be
 * understood to read it. Key: "retained", tenant (4 bytes), topic name.
 */
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { deliveryHeaders, deliveryHeadersCount } from "../log/delivery-headers.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { TopicNameIndex } from "../router/TopicNameIndex.ts"
import { Message } from "./Message.ts"
import { fillFromRecord } from "./record-message.ts"

const PREFIX = new TextEncoder().encode("retained")

function keyOf(tenant: number, name: Uint8Array, start: number, end: number): Uint8Array {
  const key = new Uint8Array(PREFIX.length + 4 + end - start)
  key.set(PREFIX, 0)
  new DataView(key.buffer).setUint32(PREFIX.length, tenant)
  key.set(name.subarray(start, end), PREFIX.length + 4)
  return key
}

export class Retained {
  readonly #journal: JournalShape
  readonly #seed: number
  readonly #store: KeyValueStoreShape
  readonly #names = new Map<number, TopicNameIndex<Uint8Array>>()
  readonly #builder = new RecordBatchBuilder()
  readonly #cursor = new RecordCursor()
  readonly #message = new Message()

  /** `seed` keeps clients from aiming at collisions in the index of names. */
  constructor(journal: JournalShape, store: KeyValueStoreShape, seed: number) {
    this.#journal = journal
    this.#seed = seed
    this.#store = store
  }

  get count(): number {
    let count = 0
    for (const names of this.#names.values()) count += names.size
    return count
  }

  /** Sets or, with an empty payload, clears the retained message of `message`'s name; the ticket of the journal to wait for. */
  setUnsafe(message: Message): number {
    const key = keyOf(message.tenant, message.topic, message.topicStart, message.topicEnd)
    let names = this.#names.get(message.tenant)
    if (message.payloadStart === message.payloadEnd) {
      names?.delete(message.name)
      return this.#journal.submit({ writes: [{ key, value: undefined }] })
    }
    if (names === undefined) {
      names = new TopicNameIndex<Uint8Array>(this.#seed)
      this.#names.set(message.tenant, names)
    }
    names.set(message.name, key)
    return this.#journal.submit({ writes: [{ key, value: this.#encode(message) }] })
  }

  /** Visits what matches `filter`; expired messages are left out and removed. */
  match(tenant: number, filter: string, nowMs: number, visit: (message: Message) => void): void {
    const names = this.#names.get(tenant)
    if (names === undefined) return
    const expired: Array<Uint8Array> = []
    const expiredNames: Array<string> = []
    names.matchFilter(filter, (name, key) => {
      const value = this.#store.get(key)
      if (value === undefined || !this.#decode(tenant, value)) return true
      const message = this.#message
      if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) {
        expired.push(key)
        expiredNames.push(name)
      } else visit(message)
      return true
    })
    for (const name of expiredNames) names.delete(name)
    for (const key of expired) this.#journal.submit({ writes: [{ key, value: undefined }] })
  }

  /** Hands out the names that this shard does not own any more, and forgets them. */
  takeMisplaced(tenant: number, name: string | undefined, isOwner: (name: string) => boolean): ReadonlyArray<Message> {
    const names = this.#names.get(tenant)
    if (names === undefined) return []
    const moved: Array<Message> = []
    const take = (candidate: string, key: Uint8Array): boolean => {
      if (isOwner(candidate)) return true
      const value = this.#store.get(key)
      if (value !== undefined && this.#decode(tenant, value)) moved.push(this.#message.owned())
      this.#journal.submit({ writes: [{ key, value: undefined }] })
      return true
    }
    if (name === undefined) names.matchFilter("#", take)
    else {
      const key = names.get(name)
      if (key !== undefined) take(name, key)
    }
    for (const message of moved) names.delete(message.name)
    return moved
  }

  #encode(message: Message): Uint8Array {
    const builder = this.#builder
    builder.reset()
    const extra = deliveryHeaders(message.qos, true)
    builder.append(
      message.timestamp,
      message.topic,
      message.topicStart,
      message.topicEnd,
      message.payload,
      message.payloadStart,
      message.payloadEnd,
      message.headers,
      message.headersStart,
      message.headersEnd,
      message.headerCount,
      extra,
      0,
      extra.length,
      deliveryHeadersCount(message.qos, true)
    )
    return builder.bytes.slice(0, builder.finish())
  }

  #decode(tenant: number, value: Uint8Array): boolean {
    const cursor = this.#cursor
    cursor.reset(value, 0, value.length)
    if (!cursor.next()) return false
    fillFromRecord(this.#message, cursor, true)
    this.#message.tenant = tenant
    this.#message.begin()
    return true
  }
}
