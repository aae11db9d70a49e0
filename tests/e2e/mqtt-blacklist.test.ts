/** Who is kept out: at CONNECT, while connected, until a time; clients that connect again and again; the log of it all. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { connect as connectSocket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "protocol-mqtt"
[plugin.options]
[[plugin.options.blacklist]]
name = "old-firmware"
blacklist_type = "client_id_match"
resource_name = "^fw1-"
desc = "firmware 1 floods"
[[plugin.options.blacklist]]
name = "leaver"
blacklist_type = "user"
resource_name = "leaver"
[[plugin.options.blacklist]]
name = "was"
blacklist_type = "client_id"
resource_name = "was-bad"
end_time = "2020-01-01T00:00:00Z"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const BANNED = 0x8a
const ADMINISTRATIVE_ACTION = 0x98

const api = (broker: Broker, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${broker.url}/api/v1/${path}`, init)
const post = (body: object): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" }
})
const ban = async (broker: Broker, entry: object): Promise<void> => {
  expect((await api(broker, "blacklist", post(entry))).status).toBe(201)
}

interface BanEvent {
  readonly action: string
  readonly name: string
  readonly resource_name: string
  readonly desc: string
}

/** What the log has of the names that begin so, oldest first. */
async function logged(broker: Broker, prefix: string): Promise<ReadonlyArray<BanEvent>> {
  const { items } = (await (await api(broker, "ban-log?limit=1000")).json()) as { readonly items: Array<BanEvent> }
  return items.filter(({ name }) => name.startsWith(prefix)).toReversed()
}

brokerSuite("blacklist", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })
  /** What a CONNECT is answered with. */
  const answerTo = async (options: object, version: Version = 5): Promise<number> => {
    const client = await RawMqtt.open(broker().mqtt, version)
    const [connack] = await client.answersUntilClosed(encode.connect({ version, clientId: uniqueId(), ...options }))
    return connack?.type === "connack" ? connack.code : -1
  }

  test("every version is told that it is banned, before anything else is looked at; others are let in", async () => {
    const refused = (): Promise<number> => broker().sumOf("manifold_mqtt_connects_refused_total", 'limit="blacklist"')
    const before = await refused()
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const code = version === 5 ? BANNED : 5
      expect(await answerTo({ clientId: `fw1-${uniqueLevel()}` }, version)).toBe(code)
      expect(await answerTo({ username: "leaver" }, version)).toBe(code)
      const free = await RawMqtt.connect(broker().mqtt, {
        version,
        clientId: `fw2-fw1-${uniqueLevel()}`,
        username: "stayer"
      })
      free.cut()
    }
    // What is wrong with its will is not even looked at. Who names a method of authentication is not yet who it says.
    expect(await answerTo({ username: "leaver", will: { topic: "$SYS/x", payload: "", qos: 0 } })).toBe(BANNED)
    expect(await answerTo({ username: "leaver", properties: [["authenticationMethod", "X"]] })).toBe(0x8c)
    expect(await refused()).toBe(before + 7)
    // Its time is over.
    await connect({ clientId: "was-bad" })
  })

  test("an entry ends the connections of those it names, over all shards, and of nobody else", async () => {
    const level = uniqueLevel()
    const named = await Promise.all(
      Array.from({ length: 8 }, (_, each) => connect({ clientId: `${level}-${each}`, username: `user-${level}` }))
    )
    const watcher = await connect()
    await watcher.subscribe(`will/${level}`, 1)
    const [one, old] = [
      await connect({ clientId: `${level}x`, will: { topic: `will/${level}`, payload: "gone", qos: 1 } }),
      await connect({ version: 4, clientId: `${level}y` })
    ]
    await ban(broker(), { name: `user-${level}`, blacklist_type: "user", resource_name: `user-${level}`, desc: "all" })
    for (const client of named) {
      expect((await client.expect("disconnect")).code).toBe(ADMINISTRATIVE_ACTION)
      await client.closed()
    }
    // Those that no entry names are there still.
    for (const client of [one, old, watcher]) {
      client.send(encode.pingreq())
      await client.expect("pingresp")
    }
    await ban(broker(), { name: `id-${level}`, blacklist_type: "client_id", resource_name: `${level}x` })
    await ban(broker(), { name: `match-${level}`, blacklist_type: "client_id_match", resource_name: `^${level}y$` })
    expect((await one.expect("disconnect")).code).toBe(ADMINISTRATIVE_ACTION)
    await old.closed()
    // Its will is published: it did not take leave.
    expect((await watcher.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["gone"])
    expect(await answerTo({ clientId: `${level}x` })).toBe(BANNED)
    expect((await api(broker(), `blacklist/id-${level}`, { method: "DELETE" })).status).toBe(204)
    await until("it is let in again", async () => (await answerToOrLetIn(`${level}x`)) === 0 || undefined)
    const events = (await logged(broker(), "")).filter(({ name }) => name.endsWith(level))
    expect(events.map(({ action, name, desc }) => `${action} ${name} ${desc}`)).toEqual([
      `banned user-${level} all`,
      `banned id-${level} `,
      `banned match-${level} `,
      `lifted id-${level} `
    ])
  })

  const answerToOrLetIn = async (clientId: string): Promise<number> => {
    const client = await RawMqtt.open(broker().mqtt, 5)
    client.send(encode.connect({ version: 5, clientId }))
    const { code } = await client.expect("connack")
    client.cut()
    return code
  }

  test("an entry ends at its time and is taken off; the command does what the API does", async () => {
    const level = uniqueLevel()
    const command = (...words: ReadonlyArray<string>) => runCommand([...words, "--url", broker().url])
    const end = new Date(Date.now() + 2_500).toISOString()
    const made = await command(
      ...["blacklist", "create", "--name", level, "--blacklist_type", "client_id", "--resource_name", level],
      ...["--end_time", end, "--desc", "for a moment"]
    )
    expect([made.code, made.stderr]).toEqual([0, ""])
    expect(await answerTo({ clientId: level })).toBe(BANNED)
    await until("its time is over", async () => (await answerToOrLetIn(level)) === 0 || undefined)
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(end))
    await until(
      "it is off the list",
      async () => (await api(broker(), `blacklist/${level}`)).status === 404 || undefined,
      15_000
    )
    expect((await command("ban-log", "list")).stdout).toMatch(new RegExp(`expired.*${level}.*banned.*${level}`, "s"))
    expect((await command("blacklist", "delete", "leaver")).stderr).toContain("(blacklist-declared)")
    expect((await command("blacklist", "list")).stdout).toMatch(/leaver.*old-firmware.*was/s)
  }, 30_000)

  test("wrong entries are refused with the reason; there is a bound for what is asked in turn", async () => {
    for (const [entry, says] of [
      [{ name: "w", blacklist_type: "ip", resource_name: "here" }, /IPv4 or IPv6/],
      [{ name: "w", blacklist_type: "ip_cidr", resource_name: "10.0.0.0/64" }, /network/],
      [{ name: "w", blacklist_type: "client_id_match", resource_name: "(" }, /RE2/],
      [{ name: "w", blacklist_type: "client_id", resource_name: "c", end_time: "soon" }, /time/]
    ] as const) {
      const refused = await api(broker(), "blacklist", post(entry))
      expect([JSON.stringify(entry), refused.status]).toEqual([JSON.stringify(entry), 422])
      expect(await refused.text()).toMatch(says)
    }
    const network = (each: number) => ({
      name: `net-${each}`,
      blacklist_type: "ip_cidr",
      resource_name: `10.${each}.0.0/16`
    })
    for (let each = 0; each < 100; each++) await ban(broker(), network(each))
    const refused = await api(broker(), "blacklist", post(network(100)))
    expect([refused.status, await refused.text()]).toEqual([409, expect.stringContaining("100")])
    for (let each = 0; each < 100; each++) await api(broker(), `blacklist/net-${each}`, { method: "DELETE" })
  }, 20_000)
})

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`addresses and networks, those that a proxy names; over a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-bans-"))
    directories.push(data)
    const set = { "node.data": data, "protocol-mqtt.proxy_protocol": "true" }
    const start = (): Promise<Broker> => startBroker({ shards, set })
    /** The code of the CONNACK for a client whose proxy says that it comes from there. */
    const codeFrom = (broker: Broker, address: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const { host, port } = broker.mqtt
        const socket = connectSocket(port, host)
        const family = address.includes(":") ? "TCP6" : "TCP4"
        socket.on("error", reject)
        socket.on("data", (bytes) => {
          // The Reason Code of the CONNACK.
          resolve(Number(bytes[0] === 0x20 ? bytes[3] : -1))
          socket.destroy()
        })
        socket.write(`PROXY ${family} ${address} ${address} 4000 1883\r\n`)
        socket.write(encode.connect({ version: 5, clientId: uniqueId() }))
      })
    let broker = await start()
    await ban(broker, { name: "one", blacklist_type: "ip", resource_name: "192.0.2.7" })
    await ban(broker, { name: "six", blacklist_type: "ip", resource_name: "2001:DB8::0:7" })
    await ban(broker, { name: "net", blacklist_type: "ip_cidr", resource_name: "198.51.100.0/25" })
    for (let round = 0; round < 2; round++) {
      await until("every shard knows them", async () => {
        const codes: Array<number> = []
        for (let each = 0; each < 6; each++) codes.push(await codeFrom(broker, "192.0.2.7"))
        return codes.every((code) => code === BANNED) || undefined
      })
      for (const [address, code] of [
        ["192.0.2.8", 0],
        ["198.51.100.127", BANNED],
        ["198.51.100.128", 0],
        ["2001:db8::7", BANNED],
        ["2001:db8::8", 0]
      ] as const) {
        expect([address, await codeFrom(broker, address)]).toEqual([address, code])
      }
      expect((await logged(broker, "")).map(({ action, name }) => `${action} ${name}`)).toEqual([
        "banned one",
        "banned six",
        "banned net"
      ])
      if (round === 1) break
      broker.kill()
      broker = await start()
    }
    await broker.stop()
  }, 30_000)

  test(`a client that connects again and again is kept out for a while, two that fight over a name both; shards = ${shards}`, async () => {
    const set = {
      "protocol-mqtt.flapping_detect": "true",
      "protocol-mqtt.flapping_window": "30",
      "protocol-mqtt.flapping_connections_max": "5",
      "protocol-mqtt.flapping_ban_time": "4"
    }
    const broker = await startBroker({ shards, set })
    const calm = await RawMqtt.connect(broker.mqtt, { version: 5, clientId: "calm" })
    for (const clientId of ["flaps-1", "flaps-2", "flaps-3"]) {
      for (let count = 0; count < 5; count++) await RawMqtt.connect(broker.mqtt, { version: 5, clientId })
      const last = await RawMqtt.open(broker.mqtt, 5)
      const [connack] = await last.answersUntilClosed(encode.connect({ version: 5, clientId }))
      expect(connack).toMatchObject({ type: "connack", code: BANNED })
      const entry = await until("it is on the list", async () => {
        const { items } = (await (await api(broker, "blacklist")).json()) as {
          readonly items: ReadonlyArray<{ readonly resource_name: string; readonly desc: string }>
        }
        return items.find(({ resource_name }) => resource_name === clientId)
      })
      expect(entry).toMatchObject({
        name: expect.stringMatching(/^flapping-[0-9a-f]{32}$/),
        blacklist_type: "client_id",
        desc: "more than 5 connections in 30 s"
      })
    }
    // The one of the five that stood is ended, too.
    await until(
      "nobody but the calm one",
      async () => (await broker.sumOf("manifold_mqtt_connections")) === 1 || undefined
    )
    calm.send(encode.pingreq())
    await calm.expect("pingresp")
    expect(await broker.sumOf("manifold_mqtt_flapping_total")).toBe(3)
    await until("it may come again", async () => {
      const client = await RawMqtt.open(broker.mqtt, 5)
      client.send(encode.connect({ version: 5, clientId: "flaps-1" }))
      return (await client.expect("connack")).code === 0 || undefined
    })
    expect((await logged(broker, "flapping-")).filter(({ action }) => action === "banned").length).toBe(3)
    RawMqtt.cutAll()
    await broker.stop()
  }, 40_000)
}
