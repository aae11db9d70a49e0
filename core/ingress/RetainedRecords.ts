/** The stored form of a retained message: one record batch of one record, with the topic name as its key. */
import { assert } from "../assert.ts"
import { deliveryHeaders, deliveryHeadersCount } from "../log/delivery-headers.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { RECORD_BYTES_MAX } from "../log/spare-builders.ts"
import type { Message } from "./Message.ts"
import { fillFromRecord } from "./record-message.ts"

export class RetainedRecords {
  readonly #builder = new RecordBatchBuilder(RECORD_BYTES_MAX)
  readonly #cursor = new RecordCursor()

  /** The message as a value of the store. */
  encode(message: Message): Uint8Array {
    const builder = this.#builder
    builder.reset()
    const extra = deliveryHeaders(message.qos, true)
    const refusal = builder.append(
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
    assert(refusal === 0, "a message that came in a packet fits in a batch")
    return builder.bytes.slice(0, builder.finish())
  }

  /** Fills `message` in from a value, into which its ranges point; false where that cannot be read. */
  decode(message: Message, tenant: number, value: Uint8Array): boolean {
    const cursor = this.#cursor
    cursor.reset(value, 0, value.length)
    if (!cursor.next()) return false
    fillFromRecord(message, cursor, true)
    message.tenant = tenant
    message.begin()
    return true
  }
}
