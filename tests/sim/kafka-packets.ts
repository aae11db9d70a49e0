/** The three Kafka requests that simulated clients send, and their responses: Metadata v4, Produce v7, Fetch v11. */
import { type Reader, Writer } from "../support/kafka-fields.ts"

export const METADATA = 3
export const PRODUCE = 0
export const FETCH = 1

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

function frame(key: number, version: number, correlation: number, body: Buffer): Buffer {
  const head = new Writer().int16(key).int16(version).int32(correlation).text("simulated").end()
  return new Writer().bytes(Buffer.concat([head, body])).end()
}

/** Asks for these topics, made where they are missing; null = all that there are. */
export function encodeMetadata(correlation: number, topics: ReadonlyArray<string> | null): Buffer {
  const body = new Writer().array(topics, () => {})
  const names = new Writer()
  for (const topic of topics ?? []) names.text(topic)
  return frame(METADATA, 4, correlation, Buffer.concat([body.end(), names.end(), Buffer.of(topics === null ? 0 : 1)]))
}

export interface TopicAnswer {
  readonly error: number
  readonly name: string
  readonly partitions: number
}

export function decodeMetadata(reader: Reader): ReadonlyArray<TopicAnswer> {
  reader.int32()
  reader.array(() => [reader.int32(), reader.text(), reader.int32(), reader.text()])
  reader.text()
  reader.int32()
  const topics = reader.array(() => {
    const error = reader.int16()
    const name = reader.text() ?? ""
    reader.int8()
    const partitions = reader.array(() => {
      reader.int16()
      reader.int32()
      reader.int32()
      reader.array(() => reader.int32())
      reader.array(() => reader.int32())
    })
    return { error, name, partitions: partitions.length }
  })
  reader.end()
  return topics
}

export function encodeProduce(
  correlation: number,
  acks: number,
  topic: string,
  batches: ReadonlyArray<readonly [partition: number, bytes: Uint8Array]>
): Buffer {
  const body = new Writer().text(null).int16(acks).int32(5_000)
  body.array([topic], () => {
    body.text(topic).array(batches, ([partition, bytes]) => body.int32(partition).bytes(bytes))
  })
  return frame(PRODUCE, 7, correlation, body.end())
}

export interface ProduceAnswer {
  readonly partition: number
  readonly error: number
  readonly baseOffset: number
}

export function decodeProduce(reader: Reader): ReadonlyArray<ProduceAnswer> {
  const answers = reader.array(() => {
    reader.text()
    return reader.array(() => {
      const answer = { partition: reader.int32(), error: reader.int16(), baseOffset: reader.int64() }
      reader.int64()
      reader.int64()
      return answer
    })
  })
  reader.int32()
  reader.end()
  return answers.flat()
}

export interface FetchWish extends TopicPartition {
  readonly offset: number
}
export interface FetchBounds {
  readonly waitMsMax: number
  readonly sizeMin: number
  readonly sizeMax: number
  readonly partitionSizeMax: number
}

export function encodeFetch(correlation: number, wishes: ReadonlyArray<FetchWish>, bounds: FetchBounds): Buffer {
  const body = new Writer().int32(-1).int32(bounds.waitMsMax).int32(bounds.sizeMin).int32(bounds.sizeMax)
  body.int8(0).int32(0).int32(-1)
  body.array(wishes, ({ topic, partition, offset }) => {
    body.text(topic).array([partition], () => {
      body.int32(partition).int32(-1).int64(offset).int64(-1).int32(bounds.partitionSizeMax)
    })
  })
  body.array([], () => {}).text("")
  return frame(FETCH, 11, correlation, body.end())
}

export interface FetchAnswer extends TopicPartition {
  readonly error: number
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly records: Buffer
}

export function decodeFetch(reader: Reader): { readonly error: number; readonly answers: ReadonlyArray<FetchAnswer> } {
  reader.int32()
  const error = reader.int16()
  reader.int32()
  const answers = reader.array(() => {
    const topic = reader.text() ?? ""
    return reader.array(() => {
      const partition = reader.int32()
      const partitionError = reader.int16()
      const highWatermark = reader.int64()
      reader.int64()
      const logStartOffset = reader.int64()
      reader.array(() => [reader.int64(), reader.int64()])
      reader.int32()
      const records = reader.bytes() ?? Buffer.alloc(0)
      return { topic, partition, error: partitionError, highWatermark, logStartOffset, records }
    })
  })
  reader.end()
  return { error, answers: answers.flat() }
}
