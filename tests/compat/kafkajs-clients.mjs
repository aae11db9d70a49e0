/** What the scripts of kafkajs share: clients that end with their case, readers, and the codecs that it leaves to its users. */
import kafkajs from "kafkajs"
import lz4 from "lz4js"
import snappy from "snappyjs"
import { testCase, unique } from "./cases.mjs"

const { CompressionCodecs, CompressionTypes, Kafka, logLevel, Partitioners } = kafkajs
export const kafka = new Kafka({
  brokers: [process.env.MANIFOLD_KAFKA],
  clientId: "compat",
  logLevel: logLevel.NOTHING,
  retry: { retries: 3 }
})
export const admin = kafka.admin()

/** Those that kafkajs has itself, and those that it takes from others. */
export const CODECS = [
  ["none", CompressionTypes.None],
  ["gzip", CompressionTypes.GZIP],
  ["snappy", CompressionTypes.Snappy],
  ["lz4", CompressionTypes.LZ4]
]
/** Gives kafkajs what it has no code of its own for. */
export function useCodecs() {
  const codecOf = (compress, decompress) => () => ({
    compress: async ({ buffer }) => Buffer.from(compress(buffer)),
    decompress: async (bytes) => Buffer.from(decompress(bytes))
  })
  CompressionCodecs[CompressionTypes.Snappy] = codecOf(snappy.compress, snappy.uncompress)
  CompressionCodecs[CompressionTypes.LZ4] = codecOf(lz4.compress, lz4.decompress)
}

let open = []
/** A case at whose end every client that it made is disconnected, also where it failed. */
export const clientCase = (name, body, timeoutMs) =>
  testCase(
    name,
    async () => {
      const mine = (open = [])
      try {
        await body()
      } finally {
        await Promise.all(mine.map((client) => client.disconnect().catch(() => {})))
      }
    },
    timeoutMs
  )

export async function producerOf(options = {}) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  open.push(producer)
  await producer.connect()
  return producer
}

/** A consumer that hears soon of a rebalance, and waits shortly for records. */
export async function consumerOf(groupId, options = {}) {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 6_000,
    rebalanceTimeout: 6_000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 100,
    ...options
  })
  open.push(consumer)
  await consumer.connect()
  return consumer
}

/** The topic from its beginning, by a group of one member: `count` messages, with topic and partition. */
export async function readAll(topic, count) {
  const consumer = await consumerOf(unique("g"))
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const found = []
  await consumer.run({ eachMessage: async (each) => void found.push(each) })
  await until(`${count} messages`, () => found.length >= count)
  await consumer.disconnect()
  if (found.length !== count) throw new Error(`${found.length} messages instead of ${count}`)
  return found
}

/** Waits until `probe` gives something true, and gives that. */
export async function until(what, probe, timeoutMs = 6_000) {
  const end = Date.now() + timeoutMs
  for (;;) {
    const found = await probe()
    if (found) return found
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** The operation fails with this error of Kafka's, which may stand behind the client's own. */
export async function refused(operation, type) {
  const error = await operation.then(
    () => undefined,
    (reason) => reason
  )
  const types = []
  for (let each = error; each; each = each.cause) types.push(each.type)
  for (const each of error?.errors ?? error?.groups ?? []) types.push(each.type ?? each.error?.type)
  if (!types.includes(type)) throw new Error(`got ${error ?? "no error"} (${types}), wanted ${type}`)
}
