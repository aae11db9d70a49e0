/**
 * More than storage puts away comes for a while: nobody is refused, publishers of both protocols wait, what waits in memory stays within
 * its bounds, and all that was acknowledged is stored, once and in order.
 *
 * The database is kept busy from outside: while another process writes there no checkpoint is put away.
 */
import { afterEach, expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { RecordCursor } from "../../core/mod.ts"
import { type Broker, IS_EXTERNAL, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueId } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"
import { sleep, until } from "../support/until.ts"

const MIB = 1_048_576
const RESIDENT_MAX = 2 * MIB
/** How long the database is kept busy, so often, and how long it is let go between. SQLite itself waits 5 s for another writer. */
const BUSY_MS = 1_500
const BUSY_ROUNDS = 3
const FREE_MS = 300
const PAYLOAD_BYTES = 1_024
const COUNT = 4_000
const WAIT_MS = 30_000
const TIMEOUT_MS = 120_000
const CONFIG = `
[topics]
engine = "sqlite"
mode = "persistent"
auto_create_mqtt = "off"

[[binding]]
topic = "flood"
filter = "flood/#"
`

afterEach(() => {
  RawMqtt.cutAll()
  RawKafka.cutAll()
})

const payloadOf = (name: string, number: number): string => `${name}:${number}:`.padEnd(PAYLOAD_BYTES, "x")

/** Publishes with at most `open` messages that are not acknowledged; all must be accepted. */
async function flood(client: RawMqtt, name: string, qos: 1 | 2, count: number, open: number): Promise<void> {
  const last = qos === 1 ? "puback" : "pubcomp"
  let sent = 0
  for (let done = 0; done < count; ) {
    for (; sent < count && sent - done < open; sent++) {
      client.publish({ topic: `flood/${name}`, payload: payloadOf(name, sent), qos, id: sent + 1 })
    }
    const answer = await client.next(WAIT_MS)
    if (answer.type !== "puback" && answer.type !== "pubrec" && answer.type !== "pubcomp") throw new Error(answer.type)
    expect(answer.code).toBe(0)
    if (answer.type === "pubrec") client.ack("pubrel", answer.id)
    if (answer.type === last) done += 1
  }
}

async function produceAll(broker: Broker, name: string, count: number): Promise<void> {
  const kafka = await RawKafka.open(broker.kafka)
  for (let number = 0; number < count; number++) {
    const records = Array.from({ length: 16 }, (_, at) => ({
      key: null,
      value: Buffer.from(payloadOf(name, number * 16 + at))
    }))
    expect((await kafka.produce("flood", 0, batch(records))).error).toBe(0)
  }
}

/** What is stored, by publisher, in order. */
function stored(pathname: string): Map<string, Array<number>> {
  const found = new Map<string, Array<number>>()
  const database = new DatabaseSync(pathname, { readOnly: true })
  const cursor = new RecordCursor()
  for (const { bytes } of database.prepare("SELECT bytes FROM batch ORDER BY partition, base").iterate() as Iterable<{
    bytes: Uint8Array
  }>) {
    expect(cursor.reset(bytes, 0, bytes.length)).toBe(0)
    while (cursor.next()) {
      const [name = "", number] = Buffer.from(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd))
        .toString()
        .split(":")
      const numbers = found.get(name) ?? []
      found.set(name, numbers)
      numbers.push(Number(number))
    }
  }
  database.close()
  return found
}

const heldTest = IS_EXTERNAL ? test.skip : test

for (const shards of [1, 2]) {
  heldTest(
    `a flood that storage does not keep up with waits, on ${shards} shard(s)`,
    async () => {
      const set = {
        "node.shards": String(shards),
        "storage-sqlite.resident_bytes_max": String(RESIDENT_MAX),
        "storage-sqlite.checkpoint_bytes": String(MIB / 4)
      }
      const broker = await startBroker({ config: CONFIG, set })
      try {
        const files = readdirSync(broker.dataDirectory, { recursive: true, encoding: "utf8" }).filter((name) =>
          name.endsWith("state.sqlite")
        )
        const busy = async (): Promise<void> => {
          const databases = files.map((file) => new DatabaseSync(join(broker.dataDirectory, file)))
          for (let round = 0; round < BUSY_ROUNDS; round++) {
            for (const database of databases) {
              database.exec("PRAGMA busy_timeout = 5000")
              database.exec("BEGIN IMMEDIATE")
            }
            await sleep(BUSY_MS)
            for (const database of databases) database.exec("ROLLBACK")
            await sleep(FREE_MS)
          }
          for (const database of databases) database.close()
        }
        const pending = (): Promise<number> => broker.sumOf("manifold_storage_sqlite_pending_bytes")
        let isOver = false
        let pendingMax = 0
        let heldUpMax = 0
        const watch = async (): Promise<void> => {
          while (!isOver) {
            pendingMax = Math.max(pendingMax, await pending())
            heldUpMax = Math.max(heldUpMax, await broker.sumOf("manifold_mqtt_connections_held_up"))
            await sleep(50)
          }
        }
        const open = (version: 4 | 5): Promise<RawMqtt> => {
          const kept = { clean: false, properties: [["sessionExpiry", 300]] } as const
          return RawMqtt.connect(broker.mqtt, { version, clientId: uniqueId(), ...(version === 5 ? kept : {}) })
        }
        const [five, four, exact, exactFour] = [await open(5), await open(4), await open(5), await open(4)]
        const watched = watch()
        const kept = busy()
        await Promise.all([
          flood(five, "five", 1, COUNT, 1_500),
          // All at once: nothing but our reading slows it.
          flood(four, "four", 1, COUNT, COUNT),
          flood(exact, "exact", 2, COUNT / 4, 100),
          flood(exactFour, "exactFour", 2, COUNT / 4, 100),
          ...Array.from({ length: 4 }, (_, number) => produceAll(broker, `kafka${number}`, 30))
        ])
        await kept
        isOver = true
        await watched
        expect(await broker.sumOf("manifold_mqtt_publish_refused_total")).toBe(0)
        expect(pendingMax).toBeGreaterThan(RESIDENT_MAX / 2)
        expect(pendingMax).toBeLessThanOrEqual(shards * RESIDENT_MAX * 1.5)
        if (shards === 1) {
          expect(heldUpMax).toBeGreaterThan(0)
          expect(await broker.sumOf("manifold_mqtt_publish_held_up_total")).toBeGreaterThan(0)
        }
        for (const client of [five, four, exact, exactFour]) await client.quiet()
        await until("all is put away", async () => (await pending()) === 0 || undefined, WAIT_MS)
        const found = new Map<string, Array<number>>()
        for (const file of files) {
          for (const [name, numbers] of stored(join(broker.dataDirectory, file))) found.set(name, numbers)
        }
        const expected: ReadonlyArray<readonly [string, number]> = [
          ["five", COUNT],
          ["four", COUNT],
          ["exact", COUNT / 4],
          ["exactFour", COUNT / 4],
          ...Array.from({ length: 4 }, (_, number) => [`kafka${number}`, 30 * 16] as const)
        ]
        for (const [name, count] of expected) {
          expect([name, found.get(name)]).toEqual([name, Array.from({ length: count }, (_, number) => number)])
        }
      } finally {
        broker.kill()
      }
    },
    TIMEOUT_MS
  )
}
