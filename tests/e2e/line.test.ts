/**
 * A third party's protocol in the whole broker: examples/protocol-line beside MQTT, Kafka and admin-http, on one shard and two, loaded
 * by path and by package name, among clients that mean harm; and its resource in HTTP and the command line.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type Address,
  brokerCommand,
  brokerSuite,
  IS_EXTERNAL,
  parseReady,
  ROOT,
  runCommand
} from "../support/broker.ts"
import { LineClient } from "../support/line-client.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { start } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const EXAMPLE = join(ROOT, "examples/protocol-line")
const folder = mkdtempSync(join(tmpdir(), "manifold-line-"))

function configOf(use: string, more = ""): string {
  const others = ["protocol-mqtt", "protocol-kafka", "admin-http"].map((name) => `[[plugin]]\nuse = "${name}"\n`)
  const line = `[[plugin]]\nuse = ${JSON.stringify(use)}\n[plugin.options]\ntcp = "127.0.0.1:0"\n${more}`
  const binding = '[[binding]]\ntopic = "spread"\nfilter = "spread/+"\npartitions = 4\n'
  return [binding, ...others, line].join("\n")
}

afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => {
  LineClient.cutAll()
  RawMqtt.cutAll()
  RawKafka.cutAll()
})

const valuesOf = (bytes: Buffer): ReadonlyArray<string> =>
  readBatches(bytes).flatMap(({ records }) => records.map(({ value }) => Buffer.from(value ?? []).toString("latin1")))

describe.skipIf(IS_EXTERNAL)("protocol-line", () => {
  brokerSuite("by path", { config: configOf(EXAMPLE) }, (broker, shards) => {
    const address = (): Address => broker().address("protocol-line.tcp")
    const open = (): Promise<LineClient> => LineClient.open(address())
    const metric = async (name: string): Promise<number> => {
      const line = (await broker().metrics()).split("\n").find((each) => each.startsWith(`${name} `))
      return Number(line?.slice(name.length + 1))
    }
    const command = (...words: ReadonlyArray<string>) => runCommand([...words, "--url", broker().url])

    test("what a line publishes reaches MQTT and Kafka, and is read back by offset", async () => {
      const level = uniqueLevel("a")
      const mqtt = await RawMqtt.connect(broker().mqtt)
      await mqtt.subscribe(`${level}/#`)
      const client = await open()
      expect(await client.ask(`PUB ${level}/room 21.5`)).toBe("OK")
      expect(await client.ask(`PUB ${level}/room \\x00\\xff \\\\ \xe9`)).toBe("OK")
      const payloads = (await mqtt.messages(2)).map(({ payload }) => Buffer.from(payload).toString("latin1"))
      expect(payloads).toEqual(["21.5", "\x00\xff \\ \xe9"])
      const kafka = await RawKafka.open(broker().kafka)
      expect(valuesOf(await kafka.readAll(`${level}.room`, 0))).toEqual(payloads)
      client.send(`READ ${level}.room 0\nREAD ${level}.room 1 5\nREAD ${level}.room 2\nREAD ${level}.room 3\n`)
      const lines = []
      for (let count = 0; count < 7; count++) lines.push(await client.line())
      const second = `REC 1 ${level}/room \\x00\\xff \\\\ \\xe9`
      expect(lines.slice(0, 6)).toEqual([`REC 0 ${level}/room 21.5`, second, "OK 2", second, "OK 2", "OK 2"])
      expect(lines[6]).toMatch(/^ERR offset: /)
    })

    test("what MQTT and Kafka publish reaches a line, retained messages first", async () => {
      const level = uniqueLevel("b")
      const mqtt = await RawMqtt.connect(broker().mqtt)
      await mqtt.publishWhole({ topic: `${level}/kept`, payload: "on", qos: 1, retain: true })
      const client = await open()
      client.send(`SUB ${level}/#\n`)
      const first = [await client.line(), await client.line()]
      expect(first.toSorted()).toEqual([`MSG ${level}/kept on`, "OK"])
      await mqtt.publishWhole({ topic: `${level}/a b`, payload: "\u001b[2J\n\u20ac", qos: 1 })
      expect(Buffer.from(await client.line(), "latin1").toString()).toBe(`MSG ${level}/a\\x20b \\x1b[2J\\x0a\u20ac`)
      const kafka = await RawKafka.open(broker().kafka)
      await kafka.topic(`${level}.c`)
      await kafka.produce(
        `${level}.c`,
        0,
        batch([{ key: `${level}/c`, value: "1" }, { value: "2" }], { codec: "zstd" })
      )
      expect([await client.line(), await client.line()]).toEqual([`MSG ${level}/c 1`, `MSG ${level}/c 2`])
      expect(await client.ask(`READ ${level}.c 0 1`)).toBe(`REC 0 ${level}/c 1`)
      expect(await client.line()).toBe("OK 1")
      expect(await client.ask(`UNSUB ${level}/#`)).toBe("OK")
      await mqtt.publishWhole({ topic: `${level}/d`, payload: "unheard", qos: 1 })
      expect(await client.ask("PING")).toBe("PONG")
    })

    test("subscribers on every shard get each message once, in the publisher's order", async () => {
      const level = uniqueLevel("c")
      const clients = await Promise.all(Array.from({ length: 5 }, open))
      for (const client of clients) expect(await client.ask(`SUB ${level}/+`)).toBe("OK")
      const [publisher] = clients
      const count = 2_000
      for (let index = 0; index < count; index++) publisher?.send(`PUB ${level}/${index % 3} ${index}\n`)
      for (const client of clients) {
        const wanted = count + (client === publisher ? count : 0)
        await until("every message", () => client.lines.length >= wanted, 20_000)
        const messages = client.lines.filter((line) => line.startsWith("MSG"))
        for (let topic = 0; topic < 3; topic++) {
          const numbers = messages
            .filter((line) => line.startsWith(`MSG ${level}/${topic} `))
            .map((line) => line.split(" ")[2])
          const expected = Array.from({ length: count }, (_, index) => index).filter((index) => index % 3 === topic)
          expect(numbers).toEqual(expected.map(String))
        }
        expect(messages.length).toBe(count)
      }
    }, 30_000)

    test("a long replay is as slow as its reader, in any partition, and answers stay in order", async () => {
      const kafka = await RawKafka.open(broker().kafka)
      await kafka.topic("spread")
      const payload = "x".repeat(1_000)
      for (let index = 0; index < 30; index++) {
        const records = Array.from({ length: 100 }, (_, at) => ({
          key: "spread/a",
          value: `${index * 100 + at} ${payload}`
        }))
        expect((await kafka.produce("spread", 3, batch(records))).error).toBe(0)
      }
      const client = await open()
      client.socket.pause()
      client.send("READ spread/3 10\nPING\n")
      await sleep(100)
      expect(await metric("manifold_line_output_bytes")).toBeLessThan(300_000)
      client.socket.resume()
      await until("the whole replay", () => client.lines.at(-1) === "PONG", 20_000)
      const records = client.lines.slice(0, -2)
      expect(records.length).toBe(2_990)
      expect(records.every((line, at) => line.startsWith(`REC ${at + 10} spread/a ${at + 10} xx`))).toBe(true)
      expect(client.lines.at(-2)).toBe("OK 3000")
      expect(await (await open()).ask("READ spread/4 0")).toMatch(/^ERR unknown-topic: /)
    }, 30_000)

    test("an endless line costs its connection, a slow one does not", async () => {
      const endless = await open()
      const chunk = "a".repeat(65_536)
      for (let index = 0; index < 20 && !endless.isClosed; index++) {
        endless.send(chunk)
        await sleep(1)
      }
      await endless.closed()
      expect(endless.lines).toEqual([expect.stringMatching(/^ERR too-long: /), "BYE the line is too long"])
      const slow = await open()
      for (const character of "PING\r\n") {
        slow.send(character)
        await sleep(2)
      }
      expect(await slow.line()).toBe("PONG")
    })

    test("10,000 subscriptions stop at the bound; filters that cannot be are refused", async () => {
      const client = await open()
      const level = uniqueLevel("d")
      for (let index = 0; index < 10_000; index++) client.send(`SUB ${level}/${index}/#\n`)
      await until("10,000 answers", () => client.lines.length === 10_000, 20_000)
      expect(client.lines.slice(0, 100).every((line) => line === "OK")).toBe(true)
      expect(client.lines.slice(100).every((line) => line.startsWith("ERR too-many: "))).toBe(true)
      for (const filter of ["", "a/#/b", "a+", "$share/g/a", "\xff", "\\x00", "a".repeat(2_000), "/".repeat(200)]) {
        client.lines.length = 0
        expect(await client.ask(`SUB ${filter}`)).toMatch(/^ERR filter: /)
      }
    }, 30_000)

    test("a client that reads nothing loses messages, is counted, and costs nobody else anything", async () => {
      const level = uniqueLevel("e")
      const deaf = await open()
      expect(await deaf.ask(`SUB ${level}/#`)).toBe("OK")
      deaf.socket.pause()
      const hears = await open()
      expect(await hears.ask(`SUB ${level}/last`)).toBe("OK")
      const before = broker().residentBytes()
      const publisher = await RawMqtt.connect(broker().mqtt)
      const payload = "x".repeat(10_000)
      for (let index = 0; index < 3_000; index++) {
        publisher.publish({ topic: `${level}/flood`, payload, qos: 0 })
        if (index % 100 === 0) await sleep(1)
      }
      await publisher.publishWhole({ topic: `${level}/last`, payload: "heard", qos: 1 })
      expect(await hears.line()).toBe(`MSG ${level}/last heard`)
      expect(await metric("manifold_line_dropped_slow_total")).toBeGreaterThan(0)
      expect(await metric("manifold_line_output_bytes")).toBeLessThan(300_000)
      expect(broker().residentBytes() - before).toBeLessThan(150_000_000)
      // One that asks without end and reads nothing is not listened to.
      const nagging = await open()
      nagging.socket.pause()
      for (let index = 0; index < 300; index++) nagging.send("PING\n".repeat(10_000))
      await sleep(200)
      expect(await metric("manifold_line_output_bytes")).toBeLessThan(600_000)
    }, 30_000)

    test("any bytes are answered or cut, and the broker lives", async () => {
      let state = 1
      const random = (): number => (state = (state * 48_271) % 2_147_483_647)
      for (let round = 0; round < 40; round++) {
        const client = await open()
        const words = [
          "PUB ",
          "SUB ",
          "UNSUB ",
          "READ ",
          "QUIT",
          " ",
          "\n",
          "\\x",
          "#",
          "/",
          "$SYS/",
          "\x00",
          "\xff",
          "9"
        ]
        let text = ""
        for (let index = 0; index < 300; index++) {
          text += random() % 3 === 0 ? String.fromCharCode(random() % 256) : words[random() % words.length]
        }
        client.send(text)
        client.socket.destroy()
      }
      expect(await (await open()).ask("PING")).toBe("PONG")
    })

    test("its clients are a resource: listed over all shards, read, kicked", async () => {
      const clients = await Promise.all(Array.from({ length: 4 }, open))
      for (const client of clients) expect(await client.ask("PING")).toBe("PONG")
      const level = uniqueLevel("f")
      expect(await clients[0]?.ask(`SUB ${level}`)).toBe("OK")
      const list = async (query = ""): Promise<{ items: ReadonlyArray<Item>; cursor?: string }> => {
        const answer = await fetch(`${broker().url}/api/v1/line-clients${query}`)
        expect(answer.status).toBe(200)
        return (await answer.json()) as { items: ReadonlyArray<Item>; cursor?: string }
      }
      await until("only these clients", async () => (await list()).items.length === clients.length)
      const ids = (await list()).items.map(({ id }) => id)
      expect(new Set(ids.map((id) => id.split("-")[0])).size).toBe(shards)
      const paged: Array<string> = []
      for (let cursor: string | undefined = ""; cursor !== undefined; ) {
        const page = await list(`?limit=1&cursor=${encodeURIComponent(cursor)}`)
        paged.push(...page.items.map(({ id }) => id))
        cursor = page.cursor
      }
      expect(paged).toEqual(ids)
      const subscribed = (await list()).items.find(({ subscriptions }) => subscriptions === 1)
      const path = `${broker().url}/api/v1/line-clients/${subscribed?.id}`
      expect(await (await fetch(path)).json()).toEqual({ ...subscribed })
      const kick = (body: unknown) => fetch(`${path}/kick`, { method: "POST", body: JSON.stringify(body), headers })
      const headers = { "content-type": "application/json" }
      expect((await kick({ reason: "a\nb" })).status).toBe(422)
      expect((await kick({ raison: "x" })).status).toBe(422)
      expect((await kick({ reason: "so long" })).status).toBe(200)
      await clients[0]?.closed()
      expect(clients[0]?.lines).toEqual(["BYE so long"])
      expect((await kick({})).status).toBe(404)
      expect((await fetch(`${broker().url}/api/v1/line-clients/1-1-1`)).status).toBe(404)
      expect((await list()).items.length).toBe(clients.length - 1)
    })

    test("the command lists, shows and kicks them, and names what is nearest to a slip", async () => {
      const client = await open()
      expect(await client.ask("PING")).toBe("PONG")
      const listed = await until("only this client", async () => {
        const { stdout } = await command("line-client", "list", "--output", "json")
        const items = JSON.parse(stdout) as ReadonlyArray<Item>
        return items.length === 1 ? items[0] : undefined
      })
      const table = await command("line-clients", "list")
      expect(table.stdout.split("\n")[0]).toMatch(/^ID +ADDRESS +SUBSCRIPTIONS +PUBLISHED /)
      expect(table.stdout).toContain(listed.id)
      const shown = await command("line-client", "get", listed.id)
      expect([shown.code, shown.stderr]).toEqual([0, ""])
      expect(shown.stdout).toMatch(new RegExp(`^id +${listed.id}\naddress +127.0.0.1\n`))
      const slips: ReadonlyArray<readonly [words: string, code: number, says: RegExp]> = [
        ["line-clint list", 2, /unknown verb "line-clint"; .*did you mean "line-client"\?/],
        ["line-client kik 1", 2, /unknown verb of line-client "kik"; known: list, get, kick; did you mean "kick"\?/],
        [
          "line-client kick 1 --reson x",
          2,
          /unknown argument of line-client kick "--reson"; .*did you mean "--reason"\?/
        ],
        ["line-client kick", 2, /line-client kick needs an id/],
        ["line-client get 9-9", 1, /^manifold: no client is connected as "9-9" \(line-client-not-found\)\. List /],
        ["line-client kick 9-9 --reason \u0001", 1, /^manifold: \/reason: .*\\x01.* \(invalid\)/],
        ["cluster/info list", 2, /unknown verb of cluster\/info "list"; known: get/],
        ["cluster/info get 1", 2, /cluster\/info get takes no id/]
      ]
      for (const [words, code, says] of slips) {
        const outcome = await command(...words.split(" "))
        expect([words, outcome.code, outcome.stdout]).toEqual([words, code, ""])
        expect(outcome.stderr).toMatch(says)
        expect(outcome.stderr.trimEnd()).not.toContain("\n")
      }
      const kicked = await command("line-client", "kick", listed.id, "--reason", "so long")
      expect([kicked.code, kicked.stderr]).toEqual([0, ""])
      await client.closed()
      expect(client.lines).toEqual(["BYE so long"])
    }, 60_000)

    test("the command shows what is built in too", async () => {
      const resources = await command("resource", "list")
      expect(resources.code).toBe(0)
      for (const name of ["cluster/info", "line-client", "resource"]) {
        expect(resources.stdout).toMatch(new RegExp(`^${name} `, "m"))
      }
      const info = await command("cluster/info", "get")
      expect(info.stdout).toMatch(new RegExp(`^nodes\\.0\\.shards +${shards}$`, "m"))
      const one = await command("resource", "list", "--limit", "1", "--filter", "e")
      expect([one.code, one.stdout.trim().split("\n").length]).toEqual([0, 2])
      expect(one.stderr).toContain("there are more")
      const help = await command("line-client", "--help")
      expect([help.code, help.stderr]).toEqual([0, ""])
      expect(help.stdout).toContain("manifold line-client kick ID [--reason REASON]")
    }, 30_000)

    test("when all have gone nothing of them is left", async () => {
      await until("no clients, no output", async () => {
        const gauges = await Promise.all(["manifold_line_connections", "manifold_line_output_bytes"].map(metric))
        return gauges.every((value) => value === 0)
      })
      const subscriptions = /^manifold_mqtt_subscriptions (\d+)$/m.exec(await broker().metrics())?.[1]
      expect(subscriptions).toBe("0")
    })
  })

  /** A broker that the plugin's package is installed for, in the node_modules beside the manifest, without its tests. */
  function installed(name: string, more = "") {
    const place = join(folder, name)
    const target = join(place, "node_modules", "manifold-protocol-line")
    mkdirSync(target, { recursive: true })
    cpSync(EXAMPLE, target, { recursive: true, filter: (path) => !/\.test\.ts$/.test(path) })
    const manifest = join(place, "manifold.toml")
    writeFileSync(manifest, configOf("manifold-protocol-line", more))
    const ports = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
    const settings = ports.flatMap((port) => ["--set", `${port}=127.0.0.1:0`])
    return ["--config", manifest, "--data", join(place, "data"), ...settings]
  }

  test("by its package's name; full at its bound; told to go when the broker stops", async () => {
    const [program = "", ...words] = brokerCommand()
    const broker = start(program, [...words, "start", ...installed("named", "connections_max = 2\n")])
    try {
      const ready = await until("ready", () => /^ready.*\n/m.exec(broker.stdout())?.[0], 15_000).catch(
        (error: unknown) => {
          throw new Error(`${String(error)}\n${broker.stderr()}`)
        }
      )
      const address = parseReady(ready).get("protocol-line.tcp")
      if (address === undefined) throw new Error(`no listener: ${ready}`)
      const clients = [await LineClient.open(address), await LineClient.open(address)]
      for (const client of clients) expect(await client.ask("PUB a 1")).toBe("OK")
      const third = await LineClient.open(address)
      await third.closed()
      expect(third.lines).toEqual(["BYE too many clients"])
      clients[0]?.send("QUIT\nPING\n")
      await clients[0]?.closed()
      expect(clients[0]?.lines).toEqual(["BYE see you"])
      // Not by `kill` of the child, after which Deno tells the signal where the process ended with 0.
      process.kill(broker.child.pid ?? 0, "SIGTERM")
      await clients[1]?.closed()
      expect(clients[1]?.lines).toEqual(["BYE the broker is stopping"])
      expect((await broker.end()).code).toBe(0)
    } finally {
      broker.kill()
    }
  }, 30_000)

  const faults: ReadonlyArray<readonly [more: string, says: RegExp]> = [
    ["output_byte_max = 5000\n", /output_byte_max.*did you mean "output_bytes_max"\?/],
    ["subscriptions_max = 0\n", /subscriptions_max.*allowed/],
    ["line_bytes_max = true\n", /line_bytes_max/]
  ]
  for (const [index, [more, says]] of faults.entries()) {
    test(`an option that is wrong is named: ${more.trim()}`, async () => {
      const { code, stderr } = await runCommand(["check-config", ...installed(`fault-${index}`, more)])
      expect(code).toBe(1)
      expect(stderr).toMatch(says)
    })
  }

  test("without a broker the command says so in one line", async () => {
    const outcome = await runCommand(["line-client", "list", "--url", "127.0.0.1:1"])
    expect([outcome.code, outcome.stdout]).toEqual([1, ""])
    expect(outcome.stderr).toMatch(
      /^manifold: no broker answers at http:\/\/127\.0\.0\.1:1 \(.*\); "manifold start" starts one, .*\n$/
    )
    const slip = await runCommand(["strat", "--url", "127.0.0.1:1"])
    expect(slip.code).toBe(2)
    expect(slip.stderr).toMatch(/^manifold: unknown verb "strat"; .*did you mean "start"\?; no broker answers at .*\n$/)
  })
})

interface Item {
  readonly id: string
  readonly subscriptions: number
}
