/**
 * Sessions as rows alone: reading them a page at a time, and making one of them a session in memory again.
 *
 * Invariants
 *  - No reading holds more than a page of rows; a session that is loaded keeps only what its rows say.
 *  - A session that is loaded has no connection and is told to nobody: what it becomes is its caller's.
 *  - A failure of the store ends the reading and is the caller's.
 */

import type { KeyValue, KeyValueStoreShape, KeyValueWrite } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { DurableSession } from "./DurableSession.ts"
import type { ReplayPlace } from "./replay/find-start.ts"
import { QUEUE } from "./replay/queue-history.ts"
import * as replayRows from "./replay/replay-rows.ts"
import * as rows from "./session-rows.ts"

const NO_PLACES: ReadonlyMap<string, ReadonlyArray<ReplayPlace>> = new Map()
/** Rows of one reading. */
const PAGE_ROWS = 1_000
const PAGE_BYTES = 1_048_576

/** Visits all rows of `range`, in the order of their keys; a page is its visitor's. Settled when the last was visited. */
export async function readPages(
  store: KeyValueStoreShape,
  range: { readonly start: Uint8Array; readonly end: Uint8Array },
  visit: (page: ReadonlyArray<KeyValue>) => void
): Promise<void> {
  let { start } = range
  for (;;) {
    const page = await store.rangeLater(start, range.end, PAGE_ROWS, PAGE_BYTES)
    const last = page.at(-1)
    if (last === undefined) return
    visit(page)
    start = rows.keyAfter(last.key)
  }
}

/** The session that `row` of the directory stands for, with its other rows; `windowLimit` bounds what is in flight to its client. */
export async function loadSession(
  broker: Broker,
  row: rows.SessionRow,
  tenant: number,
  clientIdentifier: string,
  windowLimit: number
): Promise<DurableSession> {
  const { number, expiryInterval } = row
  const { store } = broker.services
  const positions = await loadPositions(broker, number)
  const session = new DurableSession(broker, tenant, clientIdentifier, expiryInterval, windowLimit, number, positions)
  session.leftAtMs = row.leftAtMs
  session.will = row.will
  const subscriptions: Array<readonly [string, rows.SubscriptionRow]> = []
  await readPages(store, rows.rangeOf("ss", number), (page) => {
    for (const { key, value } of page) {
      subscriptions.push([rows.ofSubscriptionKey(key).filter, rows.decodeSubscription(value)])
    }
  })
  const flights: Array<readonly [number, rows.FlightRow]> = []
  await readPages(store, rows.rangeOf("si", number), (page) => {
    for (const { key, value } of page) flights.push([rows.identifierOfKey(key), rows.decodeFlight(value)])
  })
  const received: Array<readonly [number, number]> = []
  await readPages(store, rows.rangeOf("sr", number), (page) => {
    for (const { key, value } of page) received.push([rows.identifierOfKey(key), rows.decodeReceived(value)])
  })
  const hasReplays = subscriptions.some(([, { replay }]) => replay)
  session.restore(subscriptions, flights, received, hasReplays ? await loadPlaces(broker, number) : NO_PLACES)
  return session
}

/** Rows of sessions that no client has: their end was lost, and a newer session took the row in the directory before a crash. */
export function dropOrphans({ services }: Broker, numbers: ReadonlySet<number>): void {
  const writes: Array<KeyValueWrite> = []
  for (const number of numbers) rows.dropNumbered(number, writes)
  if (writes.length > 0) services.journal.submit({ writes })
}

/** Tells who holds which exclusive filters: `filters` of sessions, by their numbers. */
export async function holdExclusive(
  { exclusive, services }: Broker,
  filters: ReadonlyMap<number, ReadonlyArray<string>>
): Promise<void> {
  if (filters.size > 0) {
    await readPages(services.store, rows.rangeOf("sd"), (page) => {
      for (const { key, value } of page) {
        const { number } = rows.decodeSession(value)
        const { tenant, clientIdentifier } = rows.ofDirectoryKey(key)
        const claimant = { clientIdentifier, session: String(number) }
        for (const filter of filters.get(number) ?? []) exclusive.restore(tenant, filter, claimant)
      }
    })
  }
  exclusive.started()
}

/** Where the replays of a session are, by filter; topics that are gone are left out, and their rows go. */
async function loadPlaces(
  { services }: Broker,
  number: number
): Promise<ReadonlyMap<string, ReadonlyArray<ReplayPlace>>> {
  const places = new Map<string, Array<ReplayPlace>>()
  const gone: Array<KeyValueWrite> = []
  await readPages(services.store, rows.rangeOf("sc", number), (page) => {
    for (const { key, value } of page) {
      const { filter, topicId, partition } = replayRows.ofReplayKey(key)
      const topic = topicId === QUEUE.id ? QUEUE : services.topics.findById(topicId)
      if (topic === undefined) {
        gone.push({ key, value: undefined })
        continue
      }
      const known = places.get(filter) ?? []
      known.push({ topic, partition, ...replayRows.decodeReplayPlace(value) })
      places.set(filter, known)
    }
  })
  if (gone.length > 0 && services.journal.refusal === 0) services.journal.submit({ writes: gone })
  return places
}

/** Where a session stands in each queue log; in one that it has no position in, at the end. */
async function loadPositions(broker: Broker, number: number): Promise<ReadonlyArray<rows.Position>> {
  const { store, queueLogs } = broker.services
  const value = store.get(rows.positionsKey(number))
  const found = value === undefined ? [] : rows.decodePositions(value)
  if (found.length === queueLogs.count) return found
  const ends = await queueLogs.ends()
  return ends.map((end, queue) => found[queue] ?? { next: end, low: end })
}
