/**
 * What the scripts of @platformatic/kafka share: clients that end with their case, and readers of streams.
 *
 * They are run by Bun: the client wants Node 22.22, and Node 20 is enough for everything else here.
 */
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka"
import { equal, testCase } from "./cases.mjs"

const bootstrap = { clientId: "compat", bootstrapBrokers: [process.env.MANIFOLD_KAFKA], retries: 3 }
let open = []

/** A case at whose end every client that it made is closed, also where it failed. */
export const clientCase = (name, body, timeoutMs) =>
  testCase(
    name,
    async () => {
      const mine = (open = [])
      try {
        await body()
      } finally {
        await Promise.all(mine.map((client) => closed(client).catch(() => {})))
      }
    },
    timeoutMs
  )

/** Closes a client; a consumer whatever its streams do. */
export const closed = (client) => (client instanceof Consumer ? client.close(true) : client.close())
const opened = (client) => {
  open.push(client)
  return client
}
export const producerOf = (options = {}) =>
  opened(new Producer({ ...bootstrap, autocreateTopics: true, serializers: stringSerializers, ...options }))
export const adminOf = (options = {}) => opened(new Admin({ ...bootstrap, ...options }))
/** Heartbeats are frequent, so that a member hears soon of a rebalance. */
export const consumerOf = (groupId, options = {}) =>
  opened(
    new Consumer({
      ...bootstrap,
      groupId,
      deserializers: stringDeserializers,
      sessionTimeout: 6_000,
      rebalanceTimeout: 6_000,
      heartbeatInterval: 300,
      maxWaitTime: 200,
      ...options
    })
  )

/** The next `count` messages of a stream, without closing it; fails after `timeoutMs`. */
export function take(stream, count, timeoutMs = 6_000) {
  const found = []
  return new Promise((done, fail) => {
    const end = (error) => {
      clearTimeout(timer)
      stream.removeListener("data", onData)
      stream.removeListener("error", end)
      stream.pause()
      if (error) fail(error)
      else done(found)
    }
    const timer = setTimeout(() => end(new Error(`${found.length} of ${count} messages came`)), timeoutMs)
    const onData = (message) => {
      found.push(message)
      if (found.length === count) end()
    }
    stream.on("error", end)
    stream.on("data", onData)
    stream.resume()
  })
}

/** Every record of a topic from its beginning, as messages; `count` is how many there must be. */
export async function readAll(topic, count, groupId, options = {}) {
  const consumer = consumerOf(groupId, options)
  const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: false })
  const found = await take(stream, count)
  await consumer.close(true)
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

/** The names of Kafka's errors anywhere in what an operation failed with; none where it did not fail. */
export async function errorsOf(operation) {
  const names = new Set()
  const visit = (error) => {
    if (!error) return
    if (error.apiId) names.add(error.apiId)
    else if (error.code && !error.errors && !error.cause) names.add(error.code)
    for (const each of error.errors ?? []) visit(each)
    visit(error.cause)
  }
  await operation.then(() => {}, visit)
  return [...names].toSorted()
}

/** The operation fails with this error and no other. */
export const refused = async (operation, name, what) => equal(await errorsOf(operation), [name], what)

/** The operation fails, and its error or one of its causes says this. */
export async function fails(operation, text) {
  const texts = []
  const visit = (error) => {
    if (!error) return
    texts.push(error.message)
    for (const each of error.errors ?? []) visit(each)
    visit(error.cause)
  }
  await operation.then(() => texts.push("it succeeded"), visit)
  if (!texts.some((each) => each.includes(text))) throw new Error(`got "${texts.join("; ")}", wanted "${text}"`)
}
