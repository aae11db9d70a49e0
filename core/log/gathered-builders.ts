/** What messages are gathered in: builders kept for the next batch, whichever partition it is for. One that gathers nothing holds none. */
import type { Message } from "../ingress/Message.ts"
import { deliveryHeaders, deliveryHeadersCount } from "./delivery-headers.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

/** A gathered batch is sealed at this size. */
export const GATHERED_BYTES_MAX = 32_768
/** A gathered batch is sealed at this many records: a quarter of what an auto-created topic keeps. */
export const GATHERED_RECORDS_MAX = 250
/** How long a reader that waits at the end lets a batch grow. */
export const LINGER_MS = 10
/** One message may be as large as a packet may be; a batch with such a record is sealed at once. */
export const RECORD_BYTES_MAX = 536_870_912
/** Bytes of the buffers of those that are kept: one turn may gather for thousands of partitions. */
const SPARE_BYTES_MAX = 4_194_304
const spares: Array<RecordBatchBuilder> = []
let spareBytes = 0

/** An empty builder, the caller's until it gives it back. */
export function takeBuilder(): RecordBatchBuilder {
  const spare = spares.pop()
  if (spare === undefined) return new RecordBatchBuilder(RECORD_BYTES_MAX)
  spareBytes -= spare.bytes.length
  return spare
}

/** Its records are forgotten. */
export function giveBuilderBack(builder: RecordBatchBuilder): void {
  builder.reset()
  if (spareBytes + builder.bytes.length > SPARE_BYTES_MAX) return
  spareBytes += builder.bytes.length
  spares.push(builder)
}

/** Appends a message as a record, with headers that say how it came; 0 or the builder's refusal. */
export function appendMessage(builder: RecordBatchBuilder, message: Message): number {
  const extra = deliveryHeaders(message.qos, message.retain)
  const deleted = message.retain && message.payloadStart === message.payloadEnd
  return builder.append(
    message.timestamp,
    message.topic,
    message.topicStart,
    message.topicEnd,
    deleted ? undefined : message.payload,
    message.payloadStart,
    message.payloadEnd,
    message.headers,
    message.headersStart,
    message.headersEnd,
    message.headerCount,
    extra,
    0,
    extra.length,
    deliveryHeadersCount(message.qos, message.retain)
  )
}
