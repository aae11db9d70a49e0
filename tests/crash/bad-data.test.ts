/**
 * Data directories that a broker must refuse: one clear line on stderr, exit code not 0, nothing changed on disk. And one that it must
 * not refuse: what kill -9 leaves.
 *
 * Each case begins with a directory that a broker made, filled and left, by SIGTERM or by SIGKILL.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { type Ended, RUNS_ON_DENO } from "../support/broker.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { crc32c } from "../support/record-batch.ts"
import { BrokerProcess, StartFailed, type StartOptions } from "./BrokerProcess.ts"
import { HAS_DURABLE_STORAGE } from "./has-durable-storage.ts"

const SUBSCRIBER = { clientId: "bad-data-subscriber", clean: false } as const
const MESSAGES = 400
/** Files whose content is nobody's state: who holds the directory, and what SQLite makes anew from its database. */
const PASSING = /(?:^|\/)(?:lock.*|holder|holder\.new|\.probe-.*|state\.sqlite-shm)$/
/** What SQLite brings in order by itself when a database is opened that was not closed: its log goes into it. */
const DATABASE = /(?:^|\/)state\.sqlite(?:-wal)?$/

/** Every file below a directory with a digest of its content; of one whose broker was killed without the database. */
function contentOf(directory: string, wasKilled = true): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(directory, path)
    if (PASSING.test(name) || (wasKilled && DATABASE.test(name)) || !entry.isFile()) continue
    found.set(name, createHash("sha256").update(readFileSync(path)).digest("hex"))
  }
  return found
}

/** The store's files whose names end so, the largest first. */
function filesOf(data: string, form: RegExp): ReadonlyArray<string> {
  if (!statSync(data).isDirectory()) return []
  return readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && form.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted((left, right) => statSync(right).size - statSync(left).size)
}

async function fill(data: string, end: "SIGTERM" | "SIGKILL"): Promise<void> {
  const broker = await BrokerProcess.start({ data })
  const subscriber = await RawMqtt.connect(broker.mqtt, SUBSCRIBER)
  await subscriber.subscribe("bad/#", 1)
  await subscriber.disconnect()
  const publisher = await RawMqtt.connect(broker.mqtt)
  for (let number = 1; number <= MESSAGES; number++) {
    const payload = `${number} ${"x".repeat(200)}`
    await publisher.publishWhole({ topic: "bad/data", payload, qos: 1, retain: number % 100 === 0 })
  }
  await publisher.disconnect()
  if (end === "SIGKILL") await broker.kill()
  else await broker.stop()
}

/** Starts a broker that must refuse, and looks that nothing changed. */
async function refuses(options: StartOptions, ...says: ReadonlyArray<RegExp>): Promise<Ended> {
  const { data } = options
  const isDirectory = statSync(data).isDirectory()
  const wasKilled = filesOf(data, /^state\.sqlite-wal$/).length > 0
  const before = isDirectory ? contentOf(data, wasKilled) : new Map([["", readFileSync(data, "utf8")]])
  const broker = new BrokerProcess(options)
  const ended = await broker.ready().then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof StartFailed) return error.ended
      throw error
    }
  )
  if (ended === undefined) {
    await broker.kill()
    throw new Error(`it started:\n${broker.stderr}`)
  }
  expect([ended.signal, ended.code === 0 ? "exit code 0" : "failed"]).toEqual([null, "failed"])
  const lines = ended.stderr.split("\n").filter((line) => says.every((form) => form.test(line)))
  expect({ stderr: ended.stderr, lines: lines.length }).toEqual({ stderr: ended.stderr, lines: 1 })
  expect(ended.stderr).not.toMatch(/^\s+at .*[:(]\d+/m)
  expect(ended.stderr).not.toMatch(/Effect|Cause|FiberFailure|UnhandledPromise|InvariantViolation/)
  const after = isDirectory ? contentOf(data, wasKilled) : new Map([["", readFileSync(data, "utf8")]])
  expect([...after].toSorted()).toEqual([...before].toSorted())
  return ended
}

/** All that was acknowledged is there. */
async function drained(broker: BrokerProcess): Promise<void> {
  const subscriber = await RawMqtt.connect(broker.mqtt, SUBSCRIBER)
  expect(subscriber.connack.sessionPresent).toBe(true)
  const messages = await subscriber.messages(MESSAGES)
  const numbers = messages.map(({ payload }) => Number.parseInt(Buffer.from(payload).toString(), 10))
  expect(numbers).toEqual(Array.from({ length: MESSAGES }, (_, index) => index + 1))
}

/** Turns round the bits of some bytes of a file. */
function damage(path: string, position: number, length = 8): void {
  const bytes = readFileSync(path)
  for (let index = position; index < position + length; index++) bytes[index] = (bytes[index] ?? 0) ^ 0xff
  writeFileSync(path, bytes)
}

describe.skipIf(!HAS_DURABLE_STORAGE)("data directories", () => {
  let folder = ""
  let filled = ""
  let stopped = ""
  let copies = 0
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "manifold-bad-data-"))
    filled = join(folder, "filled")
    stopped = join(folder, "stopped")
    await fill(filled, "SIGKILL")
    await fill(stopped, "SIGTERM")
  }, 60_000)
  afterAll(() => {
    RawMqtt.cutAll()
    rmSync(folder, { recursive: true, force: true })
  })
  const copy = (from = filled): string => {
    const data = join(folder, `copy-${++copies}`)
    cpSync(from, data, { recursive: true })
    return data
  }

  test("what kill -9 leaves is taken over, with all that was acknowledged", async () => {
    const data = copy()
    expect(filesOf(data, /\.journal$/).length).toBeGreaterThan(0)
    const broker = await BrokerProcess.start({ data })
    await drained(broker)
    await broker.stop()
  }, 30_000)

  test("another process holds it", async () => {
    const data = copy()
    const broker = await BrokerProcess.start({ data })
    const content = contentOf(data)
    const second = new BrokerProcess({ data })
    const error = await second.ready().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StartFailed)
    const { code, stderr } = (error as StartFailed).ended
    expect(code).toBe(1)
    expect(stderr.split("\n").filter((line) => /another process uses it/.test(line)).length).toBe(1)
    expect([...contentOf(data)]).toEqual([...content])
    // The first goes on as if nothing had been.
    const client = await RawMqtt.connect(broker.mqtt)
    await client.publishWhole({ topic: "bad/other", payload: "still there", qos: 1 })
    await broker.kill()
    const third = await BrokerProcess.start({ data })
    await third.stop()
  }, 30_000)

  test("a journal segment that is damaged in the middle", async () => {
    const data = copy()
    const [segment = ""] = filesOf(data, /\.journal$/)
    const bytes = readFileSync(segment)
    // In the midst of what was acknowledged: the first message's payload, of many.
    const position = bytes.indexOf("x".repeat(50))
    expect(position).toBeGreaterThan(0)
    damage(segment, position)
    await refuses({ data }, /journal/, /damaged/, /\d+/, /verify|backup|restore/)
  }, 30_000)

  test("a journal segment that is missing", async () => {
    // One that was stopped: its database says what came from the journal. Before the first checkpoint nothing can say so.
    const data = copy(stopped)
    const [segment = ""] = filesOf(data, /\.journal$/)
    rmSync(segment)
    await refuses({ data }, /journal/)
  }, 30_000)

  test("a database that is damaged", async () => {
    const data = copy(stopped)
    const [database = ""] = filesOf(data, /^state\.sqlite$/)
    // The header, and what lies behind it. Nothing of it stands in SQLite's own log: the broker had closed it.
    damage(database, 0, Math.min(2_000, statSync(database).size))
    await refuses({ data }, /state\.sqlite/)
  }, 30_000)

  test("a database that is gone: it is made from the journal, whole, or missed; never begun anew in silence", async () => {
    for (const from of [filled, stopped]) {
      const data = copy(from)
      for (const path of filesOf(data, /^state\.sqlite/)) rmSync(path)
      const broker = new BrokerProcess({ data })
      const isReady = await broker.ready().then(
        () => true,
        () => false
      )
      if (isReady) await drained(broker)
      else expect(broker.stderr).toMatch(/state\.sqlite|store-0/)
      await broker.kill()
    }
  }, 60_000)

  test("a newer format", async () => {
    const data = copy()
    const format = readFileSync(join(data, "format"), "utf8").replace("format 1\n", "format 2\n")
    const body = format.slice(0, format.lastIndexOf("crc32c "))
    const sum = crc32c(Buffer.from(body)).toString(16).padStart(8, "0")
    writeFileSync(join(data, "format"), `${body}crc32c ${sum}\n`)
    await refuses({ data }, /node\.data/, /format 2/, /newer release/)
  }, 30_000)

  test("a format that is damaged, or gone", async () => {
    const data = copy()
    damage(join(data, "format"), 30, 4)
    await refuses({ data }, /node\.data/, /format/, /damaged/)
    rmSync(join(data, "format"))
    await refuses({ data }, /node\.data/, /format is missing/)
  }, 30_000)

  test("a store that is gone", async () => {
    const data = copy()
    rmSync(join(data, "store-0"), { recursive: true })
    await refuses({ data }, /node\.data/, /store-0/, /missing/)
  }, 30_000)

  test("a path that is a file", async () => {
    const data = join(folder, "file")
    writeFileSync(data, "not ours")
    await refuses({ data }, /node\.data/, /is a file, not a directory/)
  }, 30_000)

  test("a directory that may not be written", async () => {
    const data = copy()
    const isRoot = process.getuid?.() === 0
    const store = join(data, "store-0")
    for (const path of [store, data]) chmodSync(path, 0o500)
    // Root may write everywhere: another user is asked for then.
    if (isRoot) chmodSync(folder, 0o755)
    const prefix = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] : []
    try {
      await refuses({ data, prefix }, /node\.data/, /not permitted/)
    } finally {
      for (const path of [data, store]) chmodSync(path, 0o700)
    }
  }, 30_000)

  test("the directory of a store that may not be written", async () => {
    if (process.getuid?.() === 0) return
    const data = copy()
    chmodSync(join(data, "store-0"), 0o500)
    try {
      await refuses({ data }, /node\.data/, /store-0/, /not permitted/)
    } finally {
      chmodSync(join(data, "store-0"), 0o700)
    }
  }, 30_000)

  test("files of others in it are left alone", async () => {
    const data = copy()
    mkdirSync(join(data, "lost+found"))
    writeFileSync(join(data, "notes.txt"), "mine")
    const broker = await BrokerProcess.start({ data })
    await broker.stop()
    expect(readFileSync(join(data, "notes.txt"), "utf8")).toBe("mine")
    expect(existsSync(join(data, "lost+found"))).toBe(true)
  }, 30_000)
})

test.skipIf(RUNS_ON_DENO)("the content of a directory is compared byte by byte", () => {
  const folder = mkdtempSync(join(tmpdir(), "manifold-bad-data-"))
  writeFileSync(join(folder, "a"), "1234567890abcdef")
  const before = [...contentOf(folder)]
  damage(join(folder, "a"), 3, 1)
  expect([...contentOf(folder)]).not.toEqual(before)
  rmSync(folder, { recursive: true })
})
