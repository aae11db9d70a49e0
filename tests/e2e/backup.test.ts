/** Backups of a broker under load, restored elsewhere and compared through MQTT and Kafka: by the real command. */
import assert from "node:assert/strict"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, afterEach, before, describe, test } from "node:test"
import { type Ended, runCommand } from "../support/broker.ts"
import {
  BrokerProcess,
  drainKeeper,
  filesBelow,
  KEEPER,
  Load,
  manifestOf,
  retainedOf,
  STORAGES,
  subscribeKeeper,
  TOPIC
} from "../support/durable-data.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { readBatches } from "../support/record-batch.ts"
import { sleep, until } from "../support/until.ts"

interface Part {
  readonly store: number
  readonly part: string
  readonly counts: Readonly<Record<string, number>>
}

for (const storage of STORAGES) {
  describe(`backup: ${storage.name}`, () => {
    let root = ""
    let config = ""
    const brokers: Array<BrokerProcess> = []
    before(() => {
      root = mkdtempSync(join(tmpdir(), "manifold-backup-"))
      config = join(root, "manifold.toml")
      writeFileSync(config, manifestOf(storage, 2))
    })
    after(() => rmSync(root, { recursive: true, force: true }))
    afterEach(async () => {
      RawMqtt.cutAll()
      for (const broker of brokers.splice(0)) if (broker.isAlive) await broker.kill()
    })

    async function start(data: string): Promise<BrokerProcess> {
      const broker = await BrokerProcess.start({ data: join(root, data), config })
      brokers.push(broker)
      return broker
    }

    async function succeeds(...words: ReadonlyArray<string>): Promise<Ended> {
      const ended = await runCommand(words, 30_000)
      assert.equal(ended.code, 0, `${words.join(" ")}\n${ended.stdout}${ended.stderr}`)
      return ended
    }

    async function fails(pattern: RegExp, ...words: ReadonlyArray<string>): Promise<void> {
      const ended = await runCommand(words, 30_000)
      assert.equal(ended.code, 1, `${words.join(" ")}\n${ended.stdout}${ended.stderr}`)
      assert.match(ended.stderr, pattern)
      assert.equal(ended.stdout, "")
    }

    const urlOf = ({ http }: BrokerProcess): string => `http://${http.host}:${http.port}`

    test("under load: what was acknowledged before is there again elsewhere, in order, and nothing that never was", {
      timeout: 60_000
    }, async () => {
      const broker = await start("data")
      await subscribeKeeper(broker.mqtt)
      const load = new Load(broker, storage)
      await until(
        "some load",
        () => load.published.length > 200 && (storage.engine === undefined || load.produced.length > 50)
      )
      const [published, produced] = [[...load.published], [...load.produced]]
      const made = await succeeds("backup", "create", join(root, "b1"), "--url", urlOf(broker), "--output", "json")
      const { state, files, bytes, path } = JSON.parse(made.stdout)
      assert.deepEqual([state, path], ["done", join(root, "b1")])
      assert.ok(files >= 5 && bytes > 1_000, made.stdout)
      await sleep(100)
      await load.stop()
      await broker.stop()

      const restored = await succeeds("backup", "restore", join(root, "b1"), "--data", join(root, "new"))
      assert.match(
        restored.stdout,
        /restored \d+ files, \d+ bytes: node node-1 as it was at 2\d{3}-.*every checksum is right/
      )
      for (const data of ["new", "b1"]) {
        await succeeds("storage", "verify", "--config", config, "--data", join(root, data))
      }
      // Each journal goes to where its store's was synced.
      const verified = await succeeds(
        "storage",
        "verify",
        "--config",
        config,
        "--data",
        join(root, "b1"),
        "--output",
        "json"
      )
      const { parts } = JSON.parse(verified.stdout) as { parts: ReadonlyArray<Part> }
      const { stores } = JSON.parse(readFileSync(join(root, "b1", "backup.json"), "utf8"))
      assert.deepEqual(
        parts
          .filter(({ part }) => part === "journal")
          .map(({ store, counts }) => ({ store, journal_index: counts["last_index"] })),
        stores
      )
      const again = await start("new")
      const retained = await retainedOf(again.mqtt, 7)
      const found = await drainKeeper(again.mqtt, published.length)
      const all = new Set(load.published)
      for (let name = 0; name < 7; name++) {
        const ofName = (payload: string): boolean => Number(payload.split(" ")[0]) % 7 === name
        const mine = found.filter(ofName)
        const count = published.filter(ofName).length
        assert.deepEqual(mine.slice(0, count), published.filter(ofName))
        // What came while the backup was made may be there: all of it up to some message, or the one that was on its way at the end.
        assert.deepEqual(mine, load.published.filter(ofName).slice(0, mine.length))
        const last = retained.get(`kept/${name}`) ?? ""
        assert.ok(all.has(last) && Number(last.split(" ")[0]) % 3 === 0, last)
        const before = published.filter(ofName).findLast((payload) => Number(payload.split(" ")[0]) % 3 === 0) ?? "0"
        assert.ok(Number(last.split(" ")[0]) >= Number(before.split(" ")[0]))
      }
      if (storage.engine !== undefined) {
        const kafka = await RawKafka.open(again.kafka)
        const records = readBatches(await kafka.readAll(TOPIC, 0)).flatMap((each) => each.records)
        const values = records.map(({ value }) => Buffer.from(value ?? []).toString())
        assert.deepEqual(values.slice(0, produced.length), produced)
        assert.deepEqual(values, load.produced.slice(0, values.length))
        kafka.socket.destroy()
      }
      // And it goes on from there.
      const publisher = await RawMqtt.connect(again.mqtt)
      await publisher.publishWhole({ topic: "kept/on", payload: "on", qos: 1 })
      assert.deepEqual(await drainKeeper(again.mqtt, 1), ["on"])
      await again.stop()
    })

    test("a backup of a restored node, and one of a node that nothing was ever put into, are backups", {
      timeout: 60_000
    }, async () => {
      const broker = await start("empty")
      await succeeds("backup", "create", join(root, "b2"), "--url", urlOf(broker))
      await broker.stop()
      await succeeds("backup", "restore", join(root, "b2"), "--data", join(root, "empty-2"))
      const again = await start("empty-2")
      await subscribeKeeper(again.mqtt)
      await succeeds("backup", "create", join(root, "b3"), "--url", urlOf(again), "--rate", "100")
      const listed = await succeeds("backup", "list", "--url", urlOf(again), "--output", "json")
      assert.deepEqual(
        JSON.parse(listed.stdout).map(({ id, state }: { id: string; state: string }) => [id, state]),
        [["1", "done"]]
      )
      await again.stop()
      await succeeds("backup", "restore", join(root, "b3"), "--data", join(root, "empty-3"))
      const last = await start("empty-3")
      const keeper = await RawMqtt.connect(last.mqtt, KEEPER)
      assert.ok(keeper.connack.sessionPresent)
      await last.stop()
    })

    test("what cannot be is refused, and nothing is written", { timeout: 60_000 }, async () => {
      const broker = await start("data-3")
      const full = join(root, "full")
      mkdirSync(full)
      writeFileSync(join(full, "notes"), "mine")
      const create = ["backup", "create", "--url", urlOf(broker)]
      await fails(/is not empty: it holds notes/, ...create, full)
      await fails(/lie one in the other/, ...create, join(root, "data-3", "backup"))
      await fails(/the path is a file, not a directory/, ...create, join(full, "notes"))
      await succeeds(...create, join(root, "b4"))
      await fails(/"[^"]*full" is not empty: it holds notes/, "backup", "restore", join(root, "b4"), "--data", full)
      await fails(/is no backup: it holds no backup\.json/, "backup", "restore", full, "--data", join(root, "none"))
      await fails(
        /another process uses it|is not empty/,
        "backup",
        "restore",
        join(root, "b4"),
        "--data",
        join(root, "data-3")
      )
      assert.deepEqual(readdirSync(full), ["notes"])
      assert.ok(!existsSync(join(root, "none")))
      await broker.stop()
      const started = new BrokerProcess({ data: join(root, "b4"), config })
      await assert.rejects(started.ready(), /it is a backup: manifold backup restore/)
    })

    test("a bit that is turned in any file is found by restore, which names it", { timeout: 60_000 }, async () => {
      const broker = await start("data-4")
      await subscribeKeeper(broker.mqtt)
      await succeeds("backup", "create", join(root, "b5"), "--url", urlOf(broker))
      await broker.stop()
      const names = filesBelow(join(root, "b5"))
      assert.ok(names.length >= 5, names.join())
      for (const name of names) {
        const pathname = join(root, "b5", name)
        const bytes = readFileSync(pathname)
        if (bytes.length === 0) continue
        const at = Math.floor(bytes.length / 2)
        bytes[at] = (bytes[at] ?? 0) ^ 4
        writeFileSync(pathname, bytes)
        const says = new RegExp(name.replace(/[.]/g, "\\."))
        await fails(says, "backup", "restore", join(root, "b5"), "--data", join(root, "damaged"))
        assert.ok(!existsSync(join(root, "damaged")))
        bytes[at] = (bytes[at] ?? 0) ^ 4
        writeFileSync(pathname, bytes)
      }
      await succeeds("backup", "restore", join(root, "b5"), "--data", join(root, "damaged"))
    })

    test("a broker that is killed in the midst of one leaves none", { timeout: 60_000 }, async () => {
      const broker = await start("data-5")
      await subscribeKeeper(broker.mqtt)
      const load = new Load(broker, storage)
      await until("some load", () => load.published.length > 300)
      const creating = runCommand(
        ["backup", "create", join(root, "b6"), "--url", urlOf(broker), "--rate", "0.01"],
        30_000
      )
      await until("a backup that has begun", () => existsSync(join(root, "b6", "store-0")))
      await broker.kill()
      await load.stop().catch(() => {})
      const ended = await creating
      assert.equal(ended.code, 1, ended.stdout + ended.stderr)
      await fails(
        /was not finished: it cannot be restored; make another/,
        "backup",
        "restore",
        join(root, "b6"),
        "--data",
        join(root, "x")
      )
      const again = await start("data-5")
      assert.ok((await drainKeeper(again.mqtt, load.published.length)).length >= load.published.length)
      await again.stop()
    })
  })
}
