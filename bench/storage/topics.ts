/**
 * Very many small topics on disk: they are made over HTTP, some get messages at random over MQTT at QoS 1, the broker is killed and started
 * again over what it kept. A creation that is refused ends the run; a message that is refused (0x97: storage makes no room) is counted apart.
 */
import { readdirSync, statSync } from "node:fs"
import { createConnection, type Socket } from "node:net"
import { join } from "node:path"
import type { RunningBroker } from "../brokers/Broker.ts"
import { type Build, manifoldSqlite } from "../brokers/manifold.ts"
import { connectFrame, PUBACK } from "../driver/frames.ts"
import { usageOf } from "../driver/process-usage.ts"

export interface TopicsReport {
  readonly topics: number
  readonly createdPerSecond: number
  /** Right after the last creation, and when the broker had come to rest. */
  readonly createdRssMiB: number
  readonly restedRssMiB: number
  /** PUBACKs a second, one message at a time to a topic that chance chooses: among so many. */
  readonly published: ReadonlyArray<{
    readonly among: number
    readonly perSecond: number
    /** Of the broker, all its threads, for each message. */
    readonly cpuMicros: number
    readonly refused: number
    readonly rssMiB: number
  }>
  readonly diskMiB: number
  /** After a kill; the memory of the restarted broker at rest. */
  readonly readyMs: number
  readonly rssMiB: number
  /** One page of 1,000 of the list, from its middle. */
  readonly pageMs: number
}

const CREATIONS_AT_A_TIME = 64
const CONNECTIONS = 4
/** Messages of one connection that are not acknowledged. */
const WINDOW = 2_000
const PAYLOAD_BYTES = 128
const REST_MS = 5_000
const PAUSE_MS = 50

export async function runTopics(
  topics: number,
  among: ReadonlyArray<number>,
  seconds: number,
  folder: string,
  build: Build
): Promise<TopicsReport> {
  const broker = manifoldSqlite(build)
  const missing = broker.missing()
  if (missing !== undefined) throw new Error(missing)
  let running = await broker.start(folder)
  try {
    const createdPerSecond = await create(running, topics)
    const createdRssMiB = usageOf(running.pid).rssMiB
    await rest()
    const restedRssMiB = usageOf(running.pid).rssMiB
    const published: Array<TopicsReport["published"][number]> = []
    for (const each of among) {
      const before = usageOf(running.pid)
      const { acknowledged, refused, perSecond } = await publish(running, Math.min(each, topics), seconds)
      const after = usageOf(running.pid)
      const cpuMicros = (after.cpuMicros - before.cpuMicros) / acknowledged
      published.push({ among: each, perSecond, cpuMicros, refused, rssMiB: after.rssMiB })
    }
    await running.kill()
    const diskMiB = bytesUnder(folder) / 1024 ** 2
    running = await broker.start(folder)
    const { readyMs } = running
    await rest()
    const { rssMiB } = usageOf(running.pid)
    const pageMs = await page(running, topics)
    return { topics, createdPerSecond, createdRssMiB, restedRssMiB, published, diskMiB, readyMs, rssMiB, pageMs }
  } finally {
    await running.kill()
  }
}

const nameOf = (index: number): string => `agents.a${String(index).padStart(7, "0")}.inbox`

function apiOf({ metricsUrl }: RunningBroker): string {
  if (metricsUrl === undefined) throw new Error("the broker says nothing of its HTTP address")
  return new URL("/api/v1/topics", metricsUrl).href
}

async function create(running: RunningBroker, topics: number): Promise<number> {
  const url = apiOf(running)
  const startMs = performance.now()
  let next = 0
  const one = async (): Promise<void> => {
    while (next < topics) {
      const name = nameOf(next++)
      const body = JSON.stringify({ name, engine: "sqlite", mode: "persistent" })
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
      const text = await answer.text()
      if (answer.status !== 201) throw new Error(`${name} was not created: ${answer.status} ${text}`)
    }
  }
  await Promise.all(Array.from({ length: CREATIONS_AT_A_TIME }, one))
  return topics / ((performance.now() - startMs) / 1000)
}

interface Published {
  readonly acknowledged: number
  readonly refused: number
}

/** Publishes to topics at random for so long. */
async function publish(
  running: RunningBroker,
  among: number,
  seconds: number
): Promise<Published & { readonly perSecond: number }> {
  const endMs = performance.now() + seconds * 1000
  const startMs = performance.now()
  const counts = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) => publishOne(running.port, `topics-${index}`, among, endMs))
  )
  const sum = (field: keyof Published): number => counts.reduce((total, each) => total + each[field], 0)
  const acknowledged = sum("acknowledged")
  const perSecond = acknowledged / ((performance.now() - startMs) / 1000)
  return { acknowledged, refused: sum("refused"), perSecond }
}

function publishOne(port: number, client: string, among: number, endMs: number): Promise<Published> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ host: "127.0.0.1", port, noDelay: true })
    let rest = Buffer.alloc(0)
    let open = 0
    let acknowledged = 0
    let refused = 0
    let identifier = 0
    let isPausing = false
    const send = (): void => {
      if (isPausing) return
      const frames: Array<Buffer> = []
      while (open < WINDOW && performance.now() < endMs) {
        identifier = (identifier % 65_535) + 1
        frames.push(publishFrame(Math.floor(Math.random() * among), identifier))
        open += 1
      }
      if (frames.length > 0) socket.write(Buffer.concat(frames))
      else if (open === 0) {
        socket.destroy()
        resolve({ acknowledged, refused })
      }
    }
    // Whoever is refused sends no more for a while.
    const pause = (): void => {
      if (isPausing) return
      isPausing = true
      setTimeout(() => {
        isPausing = false
        send()
      }, PAUSE_MS)
    }
    socket.on("connect", () => socket.write(connectFrame(5, client, 60)))
    socket.on("error", reject)
    socket.on("close", () => {
      if (open > 0) reject(new Error(`the broker closed the connection; ${open} messages are not acknowledged`))
    })
    socket.on("data", (chunk: Buffer) => {
      // CONNACK, then PUBACKs; one of a Reason Code of 0 has none. All are short.
      rest = Buffer.concat([rest, chunk])
      let at = 0
      for (
        let end = at + 2 + (rest[at + 1] ?? 0);
        end <= rest.length && end - at > 2;
        end = at + 2 + (rest[at + 1] ?? 0)
      ) {
        if ((rest[at] ?? 0) >>> 4 === PUBACK) {
          open -= 1
          const code = end - at > 4 ? (rest[at + 4] ?? 0) : 0
          if (code < 0x80) acknowledged += 1
          else {
            refused += 1
            pause()
          }
        }
        at = end
      }
      rest = rest.subarray(at)
      // In large writes: what is acknowledged together is sent together.
      if (open <= WINDOW / 2) send()
    })
  })
}

function publishFrame(index: number, identifier: number): Buffer {
  const topic = Buffer.from(nameOf(index).replaceAll(".", "/"))
  const length = 2 + topic.length + 3 + PAYLOAD_BYTES
  const frame = Buffer.alloc(3 + length, 0x61)
  frame[0] = 0x32
  frame[1] = (length & 127) | 128
  frame[2] = length >>> 7
  frame.writeUInt16BE(topic.length, 3)
  topic.copy(frame, 5)
  frame.writeUInt16BE(identifier, 5 + topic.length)
  frame[7 + topic.length] = 0
  return frame
}

async function page(running: RunningBroker, topics: number): Promise<number> {
  const startMs = performance.now()
  const answer = await fetch(`${apiOf(running)}?limit=1000&cursor=${nameOf(Math.floor(topics / 2))}`)
  const { items } = (await answer.json()) as { items: ReadonlyArray<{ name: string }> }
  const expected = Math.min(1_000, topics - Math.floor(topics / 2) - 1)
  if (items.length !== expected) throw new Error(`a page has ${items.length} topics where ${expected} follow`)
  return performance.now() - startMs
}

const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, REST_MS))

function bytesUnder(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).blocks * 512
  }
  return bytes
}
