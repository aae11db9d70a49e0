/**
 * Real clients, unchanged, against the broker: runs one client's script and judges it by its allow-list.
 *
 * A script is given the broker's addresses in MANIFOLD_MQTT, MANIFOLD_WEBSOCKET and MANIFOLD_KAFKA and writes a line a case,
 * `ok NAME` or `not ok NAME: reason`, and `done N` at the end. `allow/<client>.txt` names what may fail, one `NAME: why` a line; an
 * entry that passes or is unknown is a fault too, so that the lists only shrink.
 */
import { expect } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { brokerSuite, ROOT } from "../support/broker.ts"
import { pathOf, run, type Tool, testWith } from "../support/tools.ts"

export interface Client {
  readonly name: string
  /** What runs the script. */
  readonly runner: Tool
  /** Below tests/compat. */
  readonly script: string
  readonly needs?: ReadonlyArray<Tool>
  readonly timeoutMs?: number
}

/** Names that may fail, from `allow/<client>.txt`; lines that begin with # and empty ones are comments. */
function allowed(client: string): Map<string, string> {
  const file = join(ROOT, "tests/compat/allow", `${client}.txt`)
  if (!existsSync(file)) return new Map()
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(": ")
      if (colon < 0) throw new Error(`${file}: "${line}" does not say why`)
      return [line.slice(0, colon), line.slice(colon + 2)]
    })
  )
}

export function compatSuite(client: Client): void {
  const limit = client.timeoutMs ?? 40_000
  brokerSuite(`compat ${client.name}`, {}, (broker) => {
    testWith(
      [client.runner, ...(client.needs ?? [])],
      "every case passes but those on the allow-list",
      async () => {
        const env = broker().isExternal
          ? { MANIFOLD_MQTT: `${broker().mqtt.host}:${broker().mqtt.port}`, MANIFOLD_WEBSOCKET: "", MANIFOLD_KAFKA: "" }
          : {
              MANIFOLD_MQTT: `${broker().mqtt.host}:${broker().mqtt.port}`,
              MANIFOLD_WEBSOCKET: `${broker().websocket.host}:${broker().websocket.port}`,
              MANIFOLD_KAFKA: broker().bootstrap
            }
        const script = join(ROOT, "tests/compat", client.script)
        const { stdout, stderr, code } = await run(pathOf(client.runner), [script], { env, timeoutMs: limit })
        const lines = stdout.split("\n")
        const passed = lines.filter((line) => line.startsWith("ok ")).map((line) => line.slice(3))
        const failed = lines.filter((line) => line.startsWith("not ok ")).map((line) => line.slice(7))
        const may = allowed(client.name)
        const nameOf = (line: string): string => line.slice(0, line.indexOf(": "))
        expect(failed.filter((line) => !may.has(nameOf(line)))).toEqual([])
        const stale = [...may.keys()].filter((name) => !failed.some((line) => nameOf(line) === name))
        expect(stale).toEqual([])
        expect({ stdout: lines.at(-2), code, stderr }).toEqual({
          stdout: `done ${passed.length + failed.length}`,
          code: 0,
          stderr
        })
        expect(passed.length).toBeGreaterThan(0)
        console.log(`${client.name}: ${passed.length} passed, ${failed.length} failed as allowed`)
      },
      limit + 5_000
    )
  })
}
