/**
 * Thousands of clients that come, talk and vanish, for minutes, and what is left of them in the broker.
 *
 * First a shorter load of the same kind, so that code is compiled, buffers and caches have their size, and the heap has grown to what this
 * load needs. When all have gone, all has expired and every table is empty, the broker rests, and the lowest resident memory of that rest is
 * the start. Then the load; then the same again: the lowest of as long a rest may be {@link Growth} above the start. Nobody asks the broker
 * to collect its garbage.
 */
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Broker } from "../support/broker.ts"
import { Client, type Place } from "./Client.ts"
import { Faults } from "./Faults.ts"
import { quantile } from "./Ledger.ts"
import { EXPIRY_MAX, LifeDrawer, namesOf, type Rooms } from "./life.ts"
import { Pair } from "./Pair.ts"
import { Recess } from "./Recess.ts"
import { emptied, type Idle, lookAt, readTables } from "./tables.ts"
import { type Tally, Wanderer } from "./Wanderer.ts"

const MIB = 1_048_576
/** How many clients meet in one room, about. */
const ROOM_CLIENTS = 10
/** Clients for each pair of those that stay. */
const CLIENTS_PER_PAIR = 100
const PAIRS_MIN = 5
/** Between two lines of progress. */
const PROGRESS_MS = 10_000
/** From the end of the last client until nothing is left: sessions and wills have to end, rows to go. */
const EMPTIED_MS = 60_000
/** Between two looks at the broker's memory while it rests. */
const LOOK_MS = 500

/** How the broker is started: sessions end soon, and what it keeps of messages for readers has bounds that the first load fills. */
export const SOAK_SETTINGS: Record<string, string> = {
  "protocol-mqtt.session_expiry_max": String(EXPIRY_MAX),
  // A machine that has other things to do is no fault of the broker's.
  "protocol-mqtt.connect_timeout": "120",
  "storage-memory.partition_bytes_max": "1048576",
  "storage-sqlite.hot_bytes_max": "1048576",
  "storage-sqlite.cache_bytes": "4194304"
}
export const SOAK_CONFIG = `
[[binding]]
topic = "rooms"
filter = "soak/#"
partitions = 4
engine = "memory"
[[binding]]
topic = "pairs"
filter = "pair/#"
partitions = 4
`

/** How far the memory may rise: a share of the start, and so many bytes. */
export interface Growth {
  readonly share: number
  readonly bytes: number
}
export const GROWTH: Growth = { share: 0.1, bytes: 20 * MIB }

export interface SoakOptions {
  readonly seed: number
  readonly clients: number
  /** Of the broker. */
  readonly shards: number
  /** Steps of all clients a second, about. */
  readonly rate: number
  readonly warmMs: number
  readonly loadMs: number
  /** How long the broker rests before its memory is looked at for the last time. */
  readonly restMs: number
  readonly growth: Growth
  readonly progress: (line: string) => void
}

export interface Soaked {
  readonly faults: ReadonlyArray<string>
  readonly startBytes: number
  readonly endBytes: number
}

export async function soak(broker: Broker, options: SoakOptions): Promise<Soaked> {
  const { seed, warmMs, loadMs, growth, progress } = options
  const faults = new Faults((line) => progress(`fault: ${line}`))
  const before = await lookAt(broker, options.shards)
  progress(`warm-up of ${warmMs / 1_000} s`)
  await load(broker, { ...options, seed: seed + 1, loadMs: warmMs }, before, faults)
  const startBytes = await rested(broker, options)
  progress(`the start: ${mib(startBytes)} MiB`)
  await load(broker, options, before, faults)
  const endBytes = await rested(broker, options)
  progress(`the end, ${loadMs / 1_000} s of load later: ${mib(endBytes)} MiB`)
  judgeMemory(startBytes, endBytes, growth, faults)
  return { faults: faults.lines, startBytes, endBytes }
}

export function judgeMemory(startBytes: number, endBytes: number, { share, bytes }: Growth, faults: Faults): void {
  const most = startBytes * (1 + share) + bytes
  if (endBytes > most) faults.add("memory has grown", `from ${mib(startBytes)} to ${mib(endBytes)} MiB`)
}

/** One load, from the first client to empty tables. */
async function load(broker: Broker, options: SoakOptions, before: Idle, faults: Faults): Promise<void> {
  const { seed, clients, rate, loadMs, progress } = options
  const place: Place = { mqtt: broker.mqtt, websocket: broker.websocket, faults }
  const rooms: Rooms = { count: Math.ceil(clients / ROOM_CLIENTS), pauseMs: (clients / rate) * 1_000 }
  const recess = new Recess()
  const tally: Tally = { connects: 0, published: 0, received: 0 }
  const latencies: Array<number> = []
  const pairCount = Math.max(PAIRS_MIN, Math.floor(clients / CLIENTS_PER_PAIR))
  const pairs = await Promise.all(Array.from({ length: pairCount }, (_, number) => Pair.open(place, number, latencies)))
  const talking = pairs.flatMap((pair) => (pair === undefined ? [] : [pair.talk(recess)]))
  const comingMs = Math.min(loadMs / 2, 2 * rooms.pauseMs)
  const wandering = Array.from({ length: clients }, (_, number) => {
    const lives = new LifeDrawer(Xoshiro128.seeded(seed, number), rooms, number % rooms.count)
    return new Wanderer(`wanderer-${number}`, place, lives, recess, tally).wander((number / clients) * comingMs)
  })
  const started = performance.now()
  const tell = (): void => {
    const seconds = ((performance.now() - started) / 1_000).toFixed(0)
    const { connects, published, received } = tally
    progress(
      `${seconds} s: ${mib(broker.residentBytes())} MiB, ${connects} connects, ${published} published, ` +
        `${received} received, ${faults.count} faults`
    )
  }
  const telling = setInterval(tell, PROGRESS_MS)
  await Bun.sleep(loadMs)
  recess.end()
  await Promise.all([...wandering, ...talking])
  clearInterval(telling)
  tell()
  progress(
    `${latencies.length} messages of pairs: p50 ${quantile(latencies, 0.5).toFixed(1)} ms, ` +
      `p99 ${quantile(latencies, 0.99).toFixed(1)} ms, max ${quantile(latencies, 1).toFixed(1)} ms`
  )
  await clear(broker, place, rooms)
  await emptied(broker, before, EMPTIED_MS, faults)
}

/** Takes all retained messages away, when no will can bring another. */
async function clear(broker: Broker, place: Place, rooms: Rooms): Promise<void> {
  const end = performance.now() + EMPTIED_MS
  const isQuiet = async (): Promise<boolean> => {
    const tables = await readTables(broker)
    return ["mqtt_sessions", "mqtt_wills_pending", "mqtt_wills_unsettled"].every((name) => tables.get(name) === 0)
  }
  while (!(await isQuiet()) && performance.now() < end) await Bun.sleep(200)
  const cleaner = await Client.connect(place, { clientId: "cleaner", version: 4, isWeb: false })
  if (cleaner === undefined) return
  for (const topic of namesOf(rooms)) {
    while (!cleaner.hasRoom && !cleaner.hasEnded) await Bun.sleep(1)
    cleaner.publish({ topic, qos: 1, retain: true })
  }
  while (cleaner.unacknowledged > 0 && !cleaner.hasEnded) await Bun.sleep(1)
  await cleaner.disconnect()
}

/** The lowest resident memory while the broker rests. */
async function rested(broker: Broker, { restMs }: SoakOptions): Promise<number> {
  const end = performance.now() + restMs
  let lowest = broker.residentBytes()
  while (performance.now() < end) {
    await Bun.sleep(LOOK_MS)
    lowest = Math.min(lowest, broker.residentBytes())
  }
  return lowest
}

const mib = (bytes: number): string => (bytes / MIB).toFixed(1)
