/** The commands of the pages about MQTT, as they stand there, in their order, against a broker. */
import { expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brokerSuite, ROOT, runCommand } from "../support/broker.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { pathOf, run, testWith, tools } from "../support/tools.ts"

const PAGES = ["mqtt-extensions.md", "mqtt-access.md", "mqtt-observing.md", "mqtt-operations.md", "mqtt-bridge.md"]
/** Commands about something that is not there, and what they say of it. */
const EXPECTED_FAULTS: ReadonlyMap<string, string> = new Map([
  ["delayed get 0-17", "(delayed-not-found)"],
  ["delayed delete 0-17", "(delayed-not-found)"],
  ["retained get room/1/light", "(retained-not-found)"],
  ["retained delete room/1/light", "(retained-not-found)"]
])

/** The words of a command, as a shell reads them where there are single quotes alone. */
function wordsOf(line: string): ReadonlyArray<string> {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "")
}

/** A bridge of the name in its page, to nobody. */
const CONFIG = `${["protocol-mqtt", "protocol-kafka", "admin-http", "bridge-mqtt"].map((use) => `[[plugin]]\nuse = "${use}"\n`).join("")}
[[plugin.options.bridge]]
name = "cloud"
remote = "127.0.0.1:1"
[[plugin.options.bridge.out]]
filter = "telemetry/#"
`

test("the manifest of the page about bridges is right", async () => {
  const [, manifest = ""] = /```toml\n(.*?)```/s.exec(readFileSync(join(ROOT, "docs/mqtt-bridge.md"), "utf8")) ?? []
  const directory = mkdtempSync(join(tmpdir(), "manifold-documents-"))
  const file = join(directory, "manifold.toml")
  writeFileSync(file, manifest)
  const { code, stderr } = await runCommand(["check-config", "--config", file])
  rmSync(directory, { recursive: true })
  expect([code, stderr, manifest.length > 100]).toEqual([0, "", true])
})

brokerSuite("commands of the documents", { config: CONFIG }, (broker) => {
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, "docs", page), "utf8")
    const commands = [...text.matchAll(/^ {4}manifold (.+)$/gm)].map(([, line = ""]) => line)
    test(page, async () => {
      expect(commands.length).toBeGreaterThan(1)
      for (const line of commands) {
        const { code, stderr } = await runCommand([...wordsOf(line), "--url", broker().url])
        const fault = EXPECTED_FAULTS.get(line)
        if (fault === undefined) expect([line, code, stderr]).toEqual([line, 0, ""])
        else expect([line, code, stderr]).toEqual([line, expect.any(Number), expect.stringContaining(fault)])
      }
    }, 60_000)
  }

  testWith([tools.mosquittoSub], "mqtt-replay.md", async () => {
    const text = readFileSync(join(ROOT, "docs", "mqtt-replay.md"), "utf8")
    const commands = [...text.matchAll(/^ {4}mosquitto_sub (.+)$/gm)].map(([, line = ""]) => line)
    expect(commands.length).toBeGreaterThan(3)
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    for (const payload of ["a", "b", "c"])
      await publisher.publishWhole({ topic: "line/3/temperature", payload, qos: 1 })
    publisher.cut()
    const { host, port } = broker().mqtt
    for (const line of commands) {
      const words = ["-h", host, "-p", String(port), ...wordsOf(line), "-C", "3", "-W", "10"]
      const { code, stdout, stderr } = await run(pathOf(tools.mosquittoSub), words)
      expect([line, code, stdout, stderr]).toEqual([line, 0, "a\nb\nc\n", ""])
    }
  })
})
