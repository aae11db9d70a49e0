/**
 * Which topics a member of protocol type "consumer" says that it reads. Tolerant: what cannot be read says nothing, and never keeps a
 * group from going on.
 *
 * Source: ConsumerProtocolSubscription of Apache Kafka 4.3: version (int16), topics (array of strings), user data and more behind them.
 */
import { MalformedMessage, Reader } from "../wire/reader.ts"

export const CONSUMER = "consumer"

/** The topics of one subscription; undefined where these bytes are none. */
export function subscribedTopics(metadata: Uint8Array): ReadonlyArray<string> | undefined {
  try {
    const reader = new Reader(metadata, 0, metadata.length)
    if (reader.int16() < 0) return undefined
    const count = reader.int32()
    if (count < 0) return undefined
    reader.checkElements(count, 2)
    const topics: Array<string> = []
    for (let index = 0; index < count; index++) {
      const size = reader.stringSize(false)
      if (size < 0) return undefined
      topics.push(reader.text(size))
    }
    return topics
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}
