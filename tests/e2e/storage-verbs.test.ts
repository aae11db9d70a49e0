/** `manifold storage verify`, `stats` and `repair`, beside a broker that runs and of one that does not: by the real command. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, afterEach, before, describe, test } from "node:test"
import type { StartFailed } from "../crash/BrokerProcess.ts"
import { type Ended, runCommand } from "../support/broker.ts"
import {
  BrokerProcess,
  filesBelow,
  Load,
  manifestOf,
  STORAGES,
  subscribeKeeper,
  TOPIC
} from "../support/durable-data.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"
import { until } from "../support/until.ts"

interface Part {
  readonly store: number
  readonly part: string
  readonly owner: string
  readonly bytes: number
  readonly counts: Readonly<Record<string, number>>
  readonly damage: ReadonlyArray<{ readonly pathname: string; readonly position?: number }>
}

/** Bytes that mean something. SQLite has no checksum of its pages: what stands in an unused part of one may be anything. */
function placesOf(name: string, length: number): ReadonlyArray<number> {
  const half = Math.floor(length / 2)
  if (name.endsWith(".sqlite")) return [100, half - (half % 4_096)]
  return length === 0 ? [] : [Math.floor(length / 10), half]
}

for (const storage of STORAGES) {
  describe(`storage: ${storage.name}`, () => {
    let root = ""
    let config = ""
    let broker: BrokerProcess | undefined
    before(() => {
      root = mkdtempSync(join(tmpdir(), "manifold-storage-"))
      config = join(root, "manifold.toml")
      writeFileSync(config, manifestOf(storage, 2))
    })
    after(() => rmSync(root, { recursive: true, force: true }))
    afterEach(async () => {
      RawMqtt.cutAll()
      if (broker?.isAlive === true) await broker.kill()
    })

    const data = (name: string): string => join(root, name)
    const look = (verb: "verify" | "stats", name: string, ...more: ReadonlyArray<string>): Promise<Ended> =>
      runCommand(["storage", verb, "--config", config, "--data", data(name), ...more], 30_000)

    async function partsOf(name: string): Promise<ReadonlyArray<Part>> {
      const ended = await look("verify", name, "--output", "json")
      return (JSON.parse(ended.stdout) as { parts: ReadonlyArray<Part> }).parts
    }

    /** A directory in which every kind of file lies: what a backup of a broker under load was restored to. */
    async function fill(name: string): Promise<void> {
      broker = await BrokerProcess.start({ data: data(`${name}-0`), config })
      await subscribeKeeper(broker.mqtt)
      const load = new Load(broker, storage)
      await until("some load", () => load.published.length > 100)
      const { host, port } = broker.http
      const made = await runCommand(["backup", "create", data(`${name}-b`), "--url", `http://${host}:${port}`])
      assert.equal(made.code, 0, made.stderr)
      await load.stop()
      await broker.stop()
      const restored = await runCommand(["backup", "restore", data(`${name}-b`), "--data", data(name)])
      assert.equal(restored.code, 0, restored.stderr)
    }

    test("beside a broker under load: whole, and nothing is changed or held", { timeout: 60_000 }, async () => {
      broker = await BrokerProcess.start({ data: data("running"), config })
      await subscribeKeeper(broker.mqtt)
      const load = new Load(broker, storage)
      for (let round = 0; round < 5; round++) {
        const before = load.published.length
        const ended = await look("verify", "running", ...(round === 4 ? ["--rate", "20"] : []))
        assert.equal(ended.code, 0, ended.stdout + ended.stderr)
        assert.match(
          ended.stdout,
          /^\S+running: id [0-9a-f-]{36}, 2 stores, \d+ bytes\nSTORE +PART +OWNER +BYTES +STATE +COUNTS\n/
        )
        assert.match(ended.stdout, /\n0 +journal +core +\d+ +whole +segments=\d+ entries=\d+/)
        assert.match(ended.stdout, /\n1 +journal +core +\d+ +whole /)
        await until("more load", () => load.published.length > before)
      }
      const stats = await look("stats", "running")
      assert.equal(stats.code, 0, stats.stderr)
      assert.match(stats.stdout, /\n0 +journal +core +\d+ +segments=/)
      await load.stop()
      await broker.stop()
      const held = filesBelow(data("running")).filter((name) => name.startsWith("store-"))
      const digests = (): ReadonlyArray<string> =>
        held.map((name) =>
          createHash("sha256")
            .update(readFileSync(join(data("running"), name)))
            .digest("hex")
        )
      const before = digests()
      assert.equal((await look("verify", "running")).code, 0)
      assert.deepEqual(digests(), before)
      assert.deepEqual(
        filesBelow(data("running")).filter((name) => name.startsWith("store-")),
        held
      )
      const entries = (await partsOf("running"))
        .filter(({ part }) => part === "journal")
        .reduce((sum, { counts }) => sum + (counts["entries"] ?? 0), 0)
      assert.ok(entries >= load.published.length / 2, `${entries} entries`)
      for (const name of held.filter((each) => /segments\/(?:manifest|\d+\/\d+\.log)$/.test(each))) {
        const ended = await runCommand([
          "storage",
          "dump",
          join(data("running"), name),
          "--config",
          config,
          "--records"
        ])
        assert.equal(ended.code, 0, ended.stderr)
        assert.match(ended.stdout, name.endsWith(".log") ? /^segment of .*\nbyte 128: offsets / : /^up to entry \d+ /)
      }
    })

    if (storage.engine === "segment") {
      test("repair: refused beside a broker; stopped, it says what it would do, does it, and the broker serves", {
        timeout: 60_000
      }, async () => {
        const repair = (...more: ReadonlyArray<string>): Promise<Ended> =>
          runCommand(["storage", "repair", "--config", config, "--data", data("repaired"), ...more], 30_000)
        const start = async (): Promise<BrokerProcess> => {
          broker = await BrokerProcess.start({ data: data("repaired"), config })
          return broker
        }
        const first = await start()
        const load = new Load(first, storage)
        await until("some load", () => load.produced.length > 100)
        const refused = await repair("--apply")
        assert.deepEqual([refused.code, refused.stdout], [1, ""])
        assert.match(refused.stderr, /^manifold: node\.data: cannot use "[^"]+": another process uses it \(.+\)\n$/)
        await load.stop()
        await first.stop()
        const { stdout } = await look("stats", "repaired", "--json")
        const { topics, engines } = JSON.parse(stdout) as Record<"topics" | "engines", Array<Record<string, unknown>>>
        const count = load.produced.length
        const [topic] = topics
        const told = [topic?.["engine"], topic?.["records"], topic?.["first_offset"], topic?.["last_offset"]]
        assert.deepEqual([...told, engines.length], ["segment", count, 0, count - 1, 1])

        // A bit in a batch: cut, and what went is kept.
        const store = `store-${topic?.["store"]}`
        const log = join(data("repaired"), store, "segments", "1", `${"0".repeat(20)}.log`)
        const bytes = readFileSync(log)
        const at = Math.floor(bytes.length / 2)
        bytes[at] = (bytes[at] ?? 0) ^ 16
        writeFileSync(log, bytes)
        assert.equal((await look("verify", "repaired")).code, 1)
        const dry = await repair("--truncate")
        assert.equal(dry.code, 1, dry.stderr)
        assert.match(dry.stderr, /nothing was changed; --apply does it\n$/)
        assert.ok(readFileSync(log).equals(bytes))
        const done = await repair("--truncate", "--apply", "--json")
        assert.equal(done.code, 0, done.stdout + done.stderr)
        const [, end = ""] = /ends at offset (\d+): offsets \1 to \d+ are gone/.exec(done.stdout) ?? []
        const kept = join(data("repaired"), store, "segments", "quarantine", "1", `${"0".repeat(20)}.log`)
        assert.ok(readFileSync(kept).equals(bytes))
        assert.equal((await look("verify", "repaired")).code, 0)
        const second = await start()
        const client = await RawKafka.open(second.kafka)
        assert.ok(Number(end) > 0 && Number(end) < count, end)
        const { error, baseOffset } = await client.produce(TOPIC, 0, batch([{ value: Buffer.from("behind") }]))
        assert.deepEqual([error, baseOffset], [0, Number(end)])
        assert.ok((await client.readAll(TOPIC, 0)).includes("behind"))
        client.socket.destroy()
        await second.stop()

        // A lost manifest refuses the start; one is made of the segments.
        const manifest = join(data("repaired"), store, "segments", "manifest")
        rmSync(manifest)
        const lost = new BrokerProcess({ data: data("repaired"), config })
        await assert.rejects(lost.ready(), ({ ended }: StartFailed) => {
          assert.equal(ended.code, 1)
          assert.ok(ended.stderr.includes(`${manifest}: it is missing, and `), ended.stderr)
          return /manifold storage repair --rebuild-manifest/.test(ended.stderr)
        })
        const rebuilt = await repair("--rebuild-manifest", "--apply")
        assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr)
        const third = await start()
        const again = await RawKafka.open(third.kafka)
        assert.ok((await again.readAll(TOPIC, 0)).includes("behind"))
        again.socket.destroy()
        await third.stop()
      })
    }

    test("after kill -9 under load: whole", { timeout: 60_000 }, async () => {
      broker = await BrokerProcess.start({ data: data("killed"), config })
      await subscribeKeeper(broker.mqtt)
      const load = new Load(broker, storage)
      await until("some load", () => load.published.length > 200)
      await broker.kill()
      await load.stop().catch(() => {})
      const ended = await look("verify", "killed")
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    })

    test("a bit that is turned in any part is told with its path, and the exit code is 1", {
      timeout: 120_000
    }, async () => {
      await fill("whole")
      const whole = await partsOf("whole")
      assert.deepEqual(
        whole.flatMap(({ damage }) => damage),
        []
      )
      assert.deepEqual(
        whole.filter(({ part }) => part === "unknown"),
        []
      )
      const parts = new Set(whole.map(({ part }) => part))
      assert.ok(parts.has("journal") && parts.has("meta") && parts.size >= 3, [...parts].join())
      const names = filesBelow(data("whole")).filter((name) => name.startsWith("store-") || name === "format")
      assert.ok(names.length >= 5, names.join())
      for (const name of names) {
        const pathname = join(data("whole"), name)
        const bytes = readFileSync(pathname)
        for (const at of placesOf(name, bytes.length)) {
          const turned = Uint8Array.from(bytes)
          turned[at] = (turned[at] ?? 0) ^ 16
          writeFileSync(pathname, turned)
          const ended = await look("verify", "whole")
          assert.equal(ended.code, 1, `${name} at ${at} of ${bytes.length}\n${ended.stdout}${ended.stderr}`)
          // What is damaged is named in one line, and with it what can be done.
          const line = ended.stderr.split("\n").find((each) => each.startsWith("manifold: "))
          assert.ok(line?.includes(name.split("/")[0] ?? name), ended.stderr)
          const remedy = name.endsWith(".index") ? /is made anew/ : /restore|backup/
          assert.match(line ?? "", name === "format" ? /format: it is damaged/ : remedy)
        }
        writeFileSync(pathname, bytes)
      }
      assert.equal((await look("verify", "whole")).code, 0)
    })

    // The same whatever keeps what.
    if (storage !== STORAGES[0]) return
    test("what is no data directory, and words that make no sense", { timeout: 30_000 }, async () => {
      const none = await look("verify", "nothing")
      assert.deepEqual([none.code, none.stdout], [1, ""])
      assert.match(
        none.stderr,
        /^manifold: node\.data: cannot use "[^"]*nothing": it is no data directory: format: no such file\n$/
      )
      const dumped = (file: string) => runCommand(["storage", "dump", file, "--config", config])
      assert.match(
        (await dumped(config)).stderr,
        /^manifold: \S+: no plugin of this configuration can say what it holds\n$/
      )
      assert.equal((await runCommand(["storage", "dump"])).code, 2)
      const both = await runCommand(["storage", "repair", "--truncate", "--quarantine", "--data", data("nothing")])
      assert.equal(both.code, 2)
      assert.match(both.stderr, /--truncate and --quarantine exclude each other/)
      for (const rate of ["0", "5MB", "0KiB", "-1", "fast", "1e9"]) {
        const ended = await look("stats", "nothing", "--rate", rate)
        assert.equal(ended.code, 2)
        assert.match(ended.stderr, /--rate is "[^"]+"; expected MiB a second: --rate 50/)
      }
    })
  })
}
