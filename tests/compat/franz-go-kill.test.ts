/**
 * franz-go through kill -9 of the broker: an idempotent producer whose records are all there, once and in order, and two members of a group
 * that read all of them, and none again that was committed.
 */
import { afterAll, afterEach, expect } from "bun:test"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { readBatches } from "../support/record-batch.ts"
import { pathOf, type Started, start, testWith } from "../support/tools.ts"
import { until } from "../support/until.ts"
import { goClient } from "./builds.ts"

const PARTITIONS = 3
const NUMBERS = 9_000
/** A broker is killed when partition 0 has so many records. */
const KILLED_AT = [400, 1_200, 2_000]
const MEMBERS = 2
const LONG_MS = 60_000

const client = goClient("franz-go")
const own = IS_EXTERNAL ? [{ missing: "the broker under test is not ours to kill" }] : []
const directories: Array<string> = []
const running = new Set<Started>()
afterEach(() => {
  for (const each of running) each.kill()
  running.clear()
  RawKafka.cutAll()
})
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** A port that stays the broker's over its restarts. */
async function fixedAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return `127.0.0.1:${typeof address === "object" ? address?.port : 0}`
}

/** The places that a member wrote a word of, "partition/offset", in its order. */
const placesOf = ({ stdout }: Started, word: "read" | "committed"): ReadonlyArray<string> =>
  stdout()
    .split("\n")
    .slice(0, -1)
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1).replace(" ", "/"))

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  testWith(
    [client, ...own],
    `a producer and a group of franz-go through kill -9; shards = ${shards}`,
    async () => {
      const data = mkdtempSync(join(tmpdir(), "manifold-franz-go-"))
      directories.push(data)
      const address = await fixedAddress()
      const begin = (): Promise<Broker> =>
        startBroker({
          shards,
          set: {
            "node.data": data,
            "protocol-kafka.tcp": address,
            "protocol-kafka.group_initial_rebalance_delay_ms": "0",
            "topics.partitions": String(PARTITIONS)
          }
        })
      let broker = await begin()
      await (await RawKafka.open(broker.kafka)).topic("killed")
      const run = (...args: ReadonlyArray<string>): Started => {
        const started = start(pathOf(client), args, { MANIFOLD_KAFKA: address })
        running.add(started)
        return started
      }
      const members = Array.from({ length: MEMBERS }, () => run("follow", "killed", "followers"))
      const producer = run("numbers", "killed", String(NUMBERS))
      for (const count of KILLED_AT) {
        const raw = await RawKafka.open(broker.kafka)
        await until(
          `${count} records`,
          async () => (await raw.fetch("killed", 0, 0, { maxWait: 0, partitionMaxBytes: 1 })).highWatermark >= count,
          LONG_MS
        )
        await broker.kill()
        broker = await begin()
      }
      const { stdout } = await producer.end(LONG_MS)
      expect(stdout.trim()).toBe(`acknowledged ${NUMBERS}`)
      const raw = await RawKafka.open(broker.kafka)
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const values = readBatches(await raw.readAll("killed", partition)).flatMap(({ records }) =>
          records.map(({ value }) => Number(Buffer.from(value ?? "").toString()))
        )
        expect(values).toEqual(
          Array.from({ length: NUMBERS / PARTITIONS }, (_, index) => index * PARTITIONS + partition)
        )
      }
      const places = (word: "read" | "committed") => members.flatMap((member) => placesOf(member, word))
      await until("all is read", () => new Set(places("read")).size === NUMBERS, LONG_MS)
      // What was committed nobody gets again: it would be committed twice.
      const committed = places("committed")
      expect(committed.length).toBe(new Set(committed).size)
      expect(committed.length).toBeGreaterThan(NUMBERS / 2)
      for (const member of members) expect(placesOf(member, "read").length).toBeGreaterThan(0)
      await broker.stop()
    },
    LONG_MS * 3
  )
}
