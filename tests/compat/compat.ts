/**
 * Real clients, unchanged, against the broker: runs one client's script and judges it by its allow-list.
 *
 * A script is given the broker's addresses in MANIFOLD_MQTT, MANIFOLD_WEBSOCKET and MANIFOLD_KAFKA and writes a line a case,
 * `ok NAME` or `not ok NAME: reason`, and `done N` at the end. `allow/<client>.txt` names what may fail, one `NAME # why` a line; an
 * entry that passes or is unknown is a fault too, so that the lists only shrink.
 */
import { beforeAll, expect } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Broker, brokerSuite, type Ended, ROOT } from "../support/broker.ts"
import { pathOf, run, type Tool, testWith } from "../support/tools.ts"

export interface Client {
  readonly name: string
  /** What runs the script. */
  readonly runner: Tool
  /** Below tests/compat; none where what runs is the client. */
  readonly script?: string
  /** Further arguments. */
  readonly args?: ReadonlyArray<string>
  readonly needs?: ReadonlyArray<Tool>
}

/** How long one script may take, in ms: rebalances of groups wait for each other. */
const LIMIT_MS = 120_000
/** A group's first generation waits for nobody, as in Apache Kafka's own tests. */
const SETTINGS = { "protocol-kafka.group_initial_rebalance_delay_ms": "0" }

/** Names that may fail, from `allow/<client>.txt`; lines that begin with # and empty ones are comments. */
export function allowed(client: string): Map<string, string> {
  const file = join(ROOT, "tests/compat/allow", `${client}.txt`)
  if (!existsSync(file)) return new Map()
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
  return new Map(
    lines.map((line) => {
      const why = line.lastIndexOf(" # ")
      if (why < 0) throw new Error(`${file}: "${line}" does not say why`)
      return [line.slice(0, why), line.slice(why + 3)]
    })
  )
}

/** Scripts that run at once: they mostly wait, but each is a process of its own. */
const AT_ONCE = 4
let running = 0
const waiting: Array<() => void> = []
async function slot<T>(body: () => Promise<T>): Promise<T> {
  while (running >= AT_ONCE) await new Promise<void>((done) => waiting.push(done))
  running++
  try {
    return await body()
  } finally {
    running--
    waiting.shift()?.()
  }
}

/** Where the scripts find the broker. */
function addressesOf(broker: Broker): Record<string, string> {
  const text = (name: string): string => {
    const address = broker.addresses.get(name)
    return address === undefined ? "" : `${address.host}:${address.port}`
  }
  return {
    MANIFOLD_MQTT: text("protocol-mqtt.tcp"),
    MANIFOLD_WEBSOCKET: text("protocol-mqtt.websocket"),
    MANIFOLD_KAFKA: text("protocol-kafka.tcp")
  }
}

/** All clients against one broker for each shard count; their scripts share it, as clients do. */
export function compatSuite(clients: ReadonlyArray<Client>): void {
  brokerSuite("compat", { set: SETTINGS }, (broker) => {
    let runs = new Map<string, Promise<Ended>>()
    beforeAll(() => {
      runs = new Map(
        clients
          .filter((client) => ![client.runner, ...(client.needs ?? [])].some((tool) => "missing" in tool))
          .map((client) => {
            const script = client.script === undefined ? [] : [join(ROOT, "tests/compat", client.script)]
            const args = [...script, ...(client.args ?? [])]
            const env = addressesOf(broker())
            const ended = slot(() => run(pathOf(client.runner), args, { env, timeoutMs: LIMIT_MS }))
            ended.catch(() => {})
            return [client.name, ended]
          })
      )
    })
    for (const client of clients) {
      testWith(
        [client.runner, ...(client.needs ?? [])],
        `${client.name}: every case passes but those on the allow-list`,
        async () => {
          const ended = await runs.get(client.name)
          if (ended === undefined) throw new Error("the script was not started")
          judge(client, ended)
        },
        LIMIT_MS * 2
      )
    }
  })
}

function judge(client: Client, { stdout, stderr, code }: Ended): void {
  const lines = stdout.split("\n")
  const passed = lines.filter((line) => line.startsWith("ok ")).map((line) => line.slice(3))
  const failed = lines.filter((line) => line.startsWith("not ok ")).map((line) => line.slice(7))
  const may = allowed(client.name)
  const isAllowed = (line: string): boolean => [...may.keys()].some((name) => line.startsWith(`${name}: `))
  expect(failed.filter((line) => !isAllowed(line))).toEqual([])
  const stale = [...may.keys()].filter((name) => !failed.some((line) => line.startsWith(`${name}: `)))
  expect(stale).toEqual([])
  expect({ last: lines.at(-2), code, stderr }).toEqual({
    last: `done ${passed.length + failed.length}`,
    code: 0,
    stderr
  })
  expect(passed.length).toBeGreaterThan(0)
  console.log(`${client.name}: ${passed.length} passed, ${failed.length} failed as allowed`)
}
