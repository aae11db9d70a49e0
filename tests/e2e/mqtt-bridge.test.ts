/**
 * Bridges to mosquitto in both versions, plain and with TLS, and to a remote that does what it likes: both ways, prefixes, loops, limits,
 * what waits and what is given up. What kills do to them is in mqtt-bridge-kill.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type Address,
  type Broker,
  IS_EXTERNAL,
  RUNS_ON_DENO,
  runCommand,
  SHARD_COUNTS,
  startBroker
} from "../support/broker.ts"
import { makeAuthority, makeCertificate } from "../support/certificates.ts"
import { FakeRemote } from "../support/fake-remote.ts"
import { freePort, Mosquitto } from "../support/mosquitto.ts"
import { encode, propertiesOf, type Qos, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId } from "../support/raw-mqtt.ts"
import { tools } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const directory = mkdtempSync(join(tmpdir(), "manifold-bridge-"))
const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

interface Item {
  readonly state: string
  readonly last_error: string
  readonly backlog_messages: number
  readonly [member: string]: unknown
}

/** Of a test: on a busy machine connections take their time. */
const WAIT_MS = 20_000

type Table = Readonly<Record<string, string | number | boolean>>
interface Wanted {
  readonly options: Table
  readonly out?: ReadonlyArray<Table>
  readonly in?: ReadonlyArray<Table>
}

const lines = (table: Table): string =>
  Object.entries(table)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join("")

/** A manifest with these bridges, by their names. */
function manifestOf(bridges: Readonly<Record<string, Wanted>>): string {
  const tables = Object.entries(bridges).map(([name, { options, out = [], in: inward = [] }]) =>
    [
      `[[plugin.options.bridge]]\n${lines({ name, backoff_min_ms: 20, backoff_max_ms: 100, ...options })}`,
      ...out.map((rule) => `[[plugin.options.bridge.out]]\n${lines(rule)}`),
      ...inward.map((rule) => `[[plugin.options.bridge.in]]\n${lines(rule)}`)
    ].join("")
  )
  const plugins = ["protocol-mqtt", "protocol-kafka", "admin-http"].map((use) => `[[plugin]]\nuse = "${use}"\n`)
  return `${plugins.join("")}[[plugin]]\nuse = "bridge-mqtt"\n${tables.join("")}`
}

const item = async (broker: Broker, name: string): Promise<Item> =>
  (await (await fetch(`${broker.url}/api/v1/bridges/${name}`)).json()) as Item
const connected = (broker: Broker, name: string): Promise<unknown> =>
  until(`the bridge ${name}`, async () => (await item(broker, name)).state === "connected")
const act = async (broker: Broker, name: string, verb: string): Promise<void> => {
  const answer = await fetch(`${broker.url}/api/v1/bridges/${name}/${verb}`, { method: "POST" })
  expect(answer.ok).toBe(true)
}
const connect = (address: Address, version: 4 | 5 = 5): Promise<RawMqtt> => RawMqtt.connect(address, { version })

afterEach(() => RawMqtt.cutAll())
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const suites = IS_EXTERNAL || "missing" in tools.mosquitto ? [] : SHARD_COUNTS
if (suites.length === 0)
  test.skip("bridges [skipped: mosquitto is not installed, or another broker is tried]", () => {})

for (const shards of suites) {
  describe(`bridges, shards = ${shards}`, () => {
    let broker: Broker
    let open: Mosquitto
    let closed: Mosquitto
    let limits: FakeRemote

    beforeAll(async () => {
      const authority = makeAuthority()
      const ca = file("ca.pem", authority.certificate)
      // Deno asks for the name of the host.
      const host = RUNS_ON_DENO ? "127.0.0.1" : "remote.example"
      const server = makeCertificate({ name: "remote", hosts: [host] }, authority)
      const client = makeCertificate({ name: "edge" }, authority)
      const passwords = file("passwords", "edge:secret\n")
      spawnSync("mosquitto_passwd", ["-U", passwords])
      const tls = [
        `cafile ${ca}`,
        `certfile ${file("server.pem", server.certificate)}`,
        `keyfile ${file("server.key", server.privateKey)}`,
        "require_certificate true"
      ]
      open = await Mosquitto.start()
      closed = await Mosquitto.start({ lines: tls, access: ["allow_anonymous false", `password_file ${passwords}`] })
      limits = await FakeRemote.start({ properties: { receiveMaximum: 2, maximumPacketSize: 1_000 } })
      const secure = {
        remote: closed.remote,
        tls: true,
        ca,
        server_name: host,
        certificate: file("client.pem", client.certificate),
        private_key: file("client.key", client.privateKey),
        username: "edge",
        password_file: file("password", "secret\n")
      }
      const strange = RUNS_ON_DENO
        ? { ca: file("other.pem", makeAuthority("another").certificate) }
        : { server_name: "other.example" }
      const both = (name: string) => ({
        out: [{ filter: `${name}/out/#`, qos: 2, local_prefix: "site/", remote_prefix: "plant/7/" }],
        in: [{ filter: `${name}/in/#`, qos: 2, local_prefix: "site/", remote_prefix: "plant/7/" }]
      })
      const all = (filter: string) => ({ out: [{ filter, qos: 2 }], in: [{ filter, qos: 2 }] })
      broker = await startBroker({
        shards,
        config: manifestOf({
          five: { options: { remote: open.remote }, ...both("five") },
          four: { options: { remote: open.remote, protocol: "3.1.1" }, ...both("four") },
          secure: { options: secure, ...both("secure") },
          "wrong-password": { options: { ...secure, password_file: file("wrong", "guess") }, ...both("w") },
          "wrong-name": { options: { ...secure, ...strange }, ...both("w") },
          echo5: { options: { remote: open.remote }, ...all("echo5/#") },
          echo4: { options: { remote: open.remote, protocol: "3.1.1" }, ...all("echo4/#") },
          ring1: { options: { remote: open.remote }, out: [{ filter: "ring/#" }] },
          ring2: { options: { remote: open.remote }, in: [{ filter: "ring/#" }] },
          limits: {
            options: { remote: limits.remote, keep_alive: 1 },
            out: [{ filter: "limits/#", qos: 2 }],
            in: [{ filter: "from/#", qos: 2 }, { filter: `from/${"x".repeat(1_100)}` }]
          }
        })
      })
    }, 30_000)

    afterAll(async () => {
      for (const remote of [open, closed]) await remote.kill()
      limits.close()
      await broker.stop()
    }, 20_000)

    for (const [name, version] of [
      ["five", 5],
      ["four", 4]
    ] as const) {
      test(
        `both ways, each QoS, under other names: ${name === "five" ? "5.0" : "3.1.1"}`,
        async () => {
          await connected(broker, name)
          const [here, there] = [await connect(broker.mqtt), await connect(open.address)]
          await here.subscribe(`site/${name}/in/#`, 2)
          await there.subscribe(`plant/7/${name}/out/#`, 2)
          for (const qos of [0, 1, 2] as const) {
            const properties = [["contentType", "text/plain"] as const, ["userProperty", ["a", "b"]] as const]
            await here.publishWhole({ topic: `site/${name}/out/${qos}`, payload: `up ${qos}`, qos, properties })
            await there.publishWhole({ topic: `plant/7/${name}/in/${qos}`, payload: `down ${qos}`, qos, properties })
          }
          const [up, down] = [await there.wholeMessages(3), await here.wholeMessages(3)]
          const told = (messages: typeof up): ReadonlyArray<string> =>
            messages.map(({ topic, qos, payload }) => `${topic} ${qos} ${textOf(payload)}`).toSorted()
          const qoses: ReadonlyArray<Qos> = [0, 1, 2]
          expect(told(up)).toEqual(qoses.map((qos) => `plant/7/${name}/out/${qos} ${qos} up ${qos}`))
          expect(told(down)).toEqual(qoses.map((qos) => `site/${name}/in/${qos} ${qos} down ${qos}`))
          // Version 5 takes properties along, and notes what was passed.
          for (const { properties } of [...up, ...down]) {
            const names = propertiesOf(properties, "userProperty").map((pair) => (pair as readonly [string, string])[0])
            if (version === 5) expect(names).toEqual(["a", "manifold-bridge"])
            else expect(names.filter((each) => each === "a")).toEqual([])
            expect(propertiesOf(properties, "contentType")).toEqual(version === 5 ? ["text/plain"] : [])
          }
        },
        WAIT_MS
      )

      test(
        `RETAIN goes along, ${name === "five" ? "5.0" : "3.1.1 (mosquitto knows bridges)"}`,
        async () => {
          await connected(broker, name)
          const [here, there] = [await connect(broker.mqtt), await connect(open.address)]
          await here.publishWhole({ topic: `site/${name}/out/kept`, payload: "up", qos: 1, retain: true })
          await there.publishWhole({ topic: `plant/7/${name}/in/kept`, payload: "down", qos: 1, retain: true })
          for (const [client, topic, payload] of [
            [there, `plant/7/${name}/out/kept`, "up"],
            [here, `site/${name}/in/kept`, "down"]
          ] as const) {
            const message = await until("the retained message", async () => {
              const probe = await connect(client === here ? broker.mqtt : open.address)
              await probe.subscribe(topic, 1)
              return await probe.messages(1, { timeoutMs: 100 }).catch(() => undefined)
            })
            expect(message[0]).toMatchObject({ topic, retain: true })
            expect(textOf(message[0]?.payload ?? new Uint8Array(0))).toBe(payload)
          }
        },
        WAIT_MS
      )
    }

    test(
      "TLS with certificates on both sides, a name of its own, user and password; who is wrong is told so",
      async () => {
        await connected(broker, "secure")
        const here = await connect(broker.mqtt)
        await here.publishWhole({ topic: "site/secure/out/a", payload: "sealed", qos: 2 })
        await until("its count", async () => (await item(broker, "secure"))["messages_out"] === 1)
        await until("its end", async () => (await item(broker, "secure"))["inflight"] === 0)
        const wrong = await until("a refusal", async () => {
          const found = await item(broker, "wrong-password")
          return found.last_error.includes("refused") ? found : undefined
        })
        expect(wrong).toMatchObject({ state: "waiting", connections: 0 })
        expect(wrong.last_error).toMatch(/^the remote refused to connect: 0x8[67]/)
        expect((await item(broker, "wrong-name")).last_error).toMatch(/certificate/)
        expect(broker.stderr).not.toContain("guess")
      },
      WAIT_MS
    )

    for (const name of ["echo5", "echo4"]) {
      test(
        `the same filter both ways makes no loop: ${name === "echo5" ? "5.0" : "3.1.1"}`,
        async () => {
          await connected(broker, name)
          const [here, there] = [await connect(broker.mqtt), await connect(open.address)]
          await here.subscribe(`${name}/#`, 2)
          await there.subscribe(`${name}/#`, 2)
          await here.publishWhole({ topic: `${name}/a`, payload: "from here", qos: 2 })
          await there.publishWhole({ topic: `${name}/b`, payload: "from there", qos: 2 })
          for (const client of [here, there]) {
            const got = (await client.wholeMessages(2)).map(({ payload }) => textOf(payload))
            expect(got.toSorted()).toEqual(["from here", "from there"])
            await client.quiet(150)
          }
        },
        WAIT_MS
      )
    }

    test(
      "a ring of two bridges: what has been here is stopped and counted",
      async () => {
        await Promise.all([connected(broker, "ring1"), connected(broker, "ring2")])
        const here = await connect(broker.mqtt)
        await here.subscribe("ring/#", 1)
        await here.publishWhole({ topic: "ring/a", payload: "x", qos: 1 })
        expect((await here.messages(1)).length).toBe(1)
        await until("its count", async () => (await item(broker, "ring2"))["looped"] === 1)
        await here.quiet(150)
      },
      WAIT_MS
    )

    test(
      "the remote's limits: Receive Maximum, Maximum Packet Size; what is too large is a gap",
      async () => {
        await connected(broker, "limits")
        const here = await connect(broker.mqtt)
        const before = limits.publishes.length
        for (let each = 0; each < 6; each++) {
          const payload = each === 2 ? "x".repeat(2_000) : `${each}`
          await here.publishWhole({ topic: "limits/a", payload, qos: 1 })
        }
        const sent = () => limits.publishes.slice(before)
        await until("two messages", () => sent().length === 2)
        await here.quiet(200)
        expect(sent().length).toBe(2)
        for (let done = 0; done < 5; done++) {
          await until("one more message", () => sent().length > done)
          limits.send({ cmd: "puback", messageId: sent()[done]?.messageId ?? 0 })
          expect(sent().length).toBeLessThanOrEqual(done + 3)
        }
        expect(sent().map(({ payload }) => String(payload))).toEqual(["0", "1", "3", "4", "5"])
        expect(await item(broker, "limits")).toMatchObject({ gaps: 1, dropped_out: 1 })
        expect(await broker.sumOf("manifold_bridge_dropped_total", 'bridge="limits"')).toBe(1)
        expect(broker.stderr).toContain("bridge limits: a gap (out)")
        // It takes no SUBSCRIBE as large as one of the filters.
        expect((await item(broker, "limits"))["warning"]).toContain("no packet as large as the filter")
        expect(await broker.sumOf("manifold_bridge_warned", 'bridge="limits"')).toBe(1)
      },
      WAIT_MS
    )

    test(
      "a remote that sends nonsense is left, and tried again; silence is asked about",
      async () => {
        await limits.has(1, "pingreq")
        for (const [hex, words] of [
          ["30 03 00 01 23", "a topic name that is none"],
          ["36 04 00 01 61 00", "flags that are not allowed"],
          ["f0 00", "not a server's"],
          ["40 ff ff ff 7f", "too large"],
          ["e0 00", "the remote ended the connection: 0x00"]
        ] as const) {
          await connected(broker, "limits")
          const { connections } = limits
          limits.sendBytes(hex)
          await until(`the next connection after ${hex}`, () => limits.connections > connections)
          expect((await item(broker, "limits")).last_error).toContain(words)
        }
        await connected(broker, "limits")
        limits.isSilent = true
        await until("the end of patience", async () =>
          (await item(broker, "limits")).last_error.includes("silent for too long")
        )
        limits.isSilent = false
        await connected(broker, "limits")
      },
      WAIT_MS
    )

    test(
      "a message of the remote that is too large is acknowledged and given up, before and in version 5",
      async () => {
        for (const name of ["four", "five"]) {
          await connected(broker, name)
          const { gaps, connections } = await item(broker, name)
          const [here, there] = [await connect(broker.mqtt), await connect(open.address, name === "four" ? 4 : 5)]
          await here.subscribe(`site/${name}/in/#`, 2)
          await here.messages(1, { timeoutMs: 100 }).catch(() => [])
          const topic = `plant/7/${name}/in/large`
          // In version 5 mosquitto itself holds back what it was told is too large.
          await there.publishWhole({ topic, payload: "x".repeat(2_000_000), qos: 2 })
          await there.publishWhole({ topic, payload: "small", qos: 2 })
          const [message] = await here.wholeMessages(1)
          expect(textOf(message?.payload ?? new Uint8Array(0))).toBe("small")
          const after = await item(broker, name)
          expect([Number(after["gaps"]) - Number(gaps), after["connections"]]).toEqual([
            name === "four" ? 1 : 0,
            connections
          ])
        }
      },
      WAIT_MS
    )

    test(
      "a remote that has lost its session: identifiers that it had in use mean nothing any more",
      async () => {
        await connected(broker, "limits")
        const here = await connect(broker.mqtt)
        await here.subscribe("from/#", 2)
        const publish = { cmd: "publish", topic: "from/a", qos: 2, messageId: 5, dup: false, retain: false } as const
        const before = limits.count("pubrec")
        limits.send({ ...publish, payload: "one" })
        await limits.has(before + 1, "pubrec")
        limits.cut()
        await until("the end", async () => (await item(broker, "limits")).state !== "connected")
        await connected(broker, "limits")
        limits.send({ ...publish, payload: "two" })
        const got = (await here.wholeMessages(2)).map(({ payload }) => textOf(payload))
        expect(got).toEqual(["one", "two"])
      },
      WAIT_MS
    )

    test(
      "paused: messages wait, and are told of; resumed, they go; nobody else has its client identifier",
      async () => {
        await connected(broker, "five")
        await act(broker, "five", "pause")
        await until("the pause", async () => (await item(broker, "five")).state === "paused")
        const [here, there] = [await connect(broker.mqtt), await connect(open.address)]
        await there.subscribe("plant/7/five/out/#", 2)
        await there.messages(1, { timeoutMs: 200 }).catch(() => [])
        for (let each = 0; each < 5; each++)
          await here.publishWhole({ topic: "site/five/out/p", payload: `${each}`, qos: 2 })
        await until("the backlog", async () => (await item(broker, "five")).backlog_messages === 5)
        const listed = await runCommand(["bridge", "list", "--url", broker.url])
        expect([listed.code, listed.stderr]).toEqual([0, ""])
        expect(listed.stdout).toContain("paused")
        // Nor that of one that is not there now: what waits for it may be.
        for (const clientId of ["manifold-bridge-five", "manifold-bridge-gone"]) {
          const thief = await RawMqtt.open(broker.mqtt, 5)
          thief.send(encode.connect({ version: 5, clientId }))
          expect((await thief.expect("connack")).code).toBe(0x87)
        }
        expect((await runCommand(["bridge", "resume", "five", "--url", broker.url])).code).toBe(0)
        const got = (await there.wholeMessages(5)).map(({ payload }) => textOf(payload))
        expect(got).toEqual(["0", "1", "2", "3", "4"])
        const { connections } = (await item(broker, "five")) as { connections: number } & Item
        await act(broker, "five", "reconnect")
        await until("another connection", async () => Number((await item(broker, "five"))["connections"]) > connections)
        // What an administrator does is no failure, however quick he is.
        for (let round = 0; round < 5; round++) {
          await Promise.all([act(broker, "five", "pause"), act(broker, "five", "resume")])
          await act(broker, "five", "resume")
          await connected(broker, "five")
        }
        expect((await item(broker, "five")).last_error).not.toContain("it was")
        expect(broker.stderr).not.toContain("it was paused")
      },
      WAIT_MS
    )
  })

  test(`what waits is bounded, and what is given up a gap; a bridge that is taken out is forgotten; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-bridge-"))
    const away = await FakeRemote.start({ acknowledges: true })
    const { remote } = away
    away.close()
    const bridge = (more: Table): Wanted => ({ options: { remote, ...more }, out: [{ filter: "away/#" }] })
    const start = (bridges: Readonly<Record<string, Wanted>>): Promise<Broker> =>
      startBroker({
        shards,
        config: manifestOf(bridges),
        // What holds other clients off does not hold for a bridge.
        set: { "node.data": data, "protocol-mqtt.session_expiry_max": "0", "protocol-mqtt.connect_rate_max": "3" }
      })
    let broker = await start({ away: bridge({ queue_messages_max: 10 }) })
    try {
      await until("an attempt", async () => (await item(broker, "away")).state === "waiting")
      expect((await item(broker, "away")).last_error).toBe("nobody listens there")
      const here = await connect(broker.mqtt)
      for (let each = 0; each < 40; each++)
        await here.publishWhole({ topic: `away/${each % 8}`, payload: `${each}`, qos: 1 })
      await here.publishWhole({ topic: "away/kept", payload: "kept", qos: 0, retain: true })
      const known = async () => {
        const { backlog_messages, dropped_out, inflight } = await item(broker, "away")
        return { waiting: backlog_messages + Number(inflight), dropped: Number(dropped_out) }
      }
      // Each queue log keeps ten, and what was sent once to no one.
      // Asked for while an attempt is made, the numbers need not agree: they do when it is over.
      await until("the bound", async () => {
        const { waiting, dropped } = await known()
        return dropped > 0 && waiting + dropped === 40 && (await item(broker, "away")).backlog_messages <= 10 * shards
      })
      // However often they are applied, no more than one message gets where they do not reach: what is in flight.
      for (let round = 1; round <= 3; round++) {
        for (let each = 0; each < 30; each++)
          await here.publishWhole({ topic: `away/${each % 8}`, payload: `round ${round}`, qos: 1 })
        await until("the bound again", async () => (await known()).dropped >= 40 + 30 * round - 10 * shards - 1)
      }
      for (let each = 0; each < 40; each++)
        await here.publishWhole({ topic: `away/${each % 8}`, payload: `${each}`, qos: 1 })
      await until("the bound", async () => {
        const { waiting, dropped } = await known()
        return waiting + dropped === 170 && waiting <= 10 * shards + 1
      })
      expect(Number((await item(broker, "away"))["inflight"])).toBeLessThanOrEqual(1)
      expect(broker.stderr).toContain("bridge away: a gap (out)")
      broker.kill()
      broker = await start({ away: bridge({ queue_messages_max: 10 }) })
      const back = await FakeRemote.start({ acknowledges: true, port: Number(remote.split(":")[1]) })
      try {
        const got = (payload: string): boolean => back.publishes.some((each) => String(each.payload) === payload)
        await until("what is retained", () =>
          back.publishes.some(({ topic, retain }) => topic === "away/kept" && retain)
        )
        // The newest are what is kept, and most of the oldest are gone.
        for (const last of ["39", "38", "37"]) await until(`message ${last}`, () => got(last))
        expect(["1", "2", "3", "4", "5", "6", "7"].filter(got).length).toBeLessThan(7)
        const isThere = async (): Promise<boolean> =>
          (await fetch(`${broker.url}/api/v1/sessions/manifold-bridge-away`)).status === 200
        expect(await isThere()).toBe(true)
        await broker.stop()
        broker = await start({})
        await until("the end of its session", async () => !(await isThere()))
      } finally {
        back.close()
      }
    } finally {
      broker.kill()
      rmSync(data, { recursive: true, force: true })
    }
  }, 30_000)
}

for (const shards of suites.slice(-1)) {
  test(`two of ours that send each other everything: it ends; shards = ${shards}`, async () => {
    const ports = [await freePort(), await freePort()]
    const starting = ports.map((port, index) => {
      const remote = `127.0.0.1:${ports[1 - index]}`
      const config = manifestOf({ other: { options: { remote }, out: [{ filter: "pair/#", qos: 2 }] } })
      // The remote asks for a ping each second; nobody asks the bridge's own session.
      const set = { "protocol-mqtt.tcp": `127.0.0.1:${port}`, "protocol-mqtt.keep_alive_max": "1" }
      return startBroker({ shards, config, set })
    })
    const brokers = await Promise.all(starting)
    try {
      const [one, two] = brokers
      if (one === undefined || two === undefined) throw new Error("there are two")
      await Promise.all([connected(one, "other"), connected(two, "other")])
      const [here, there] = [await connect(one.mqtt), await connect(two.mqtt)]
      await here.subscribe("pair/#", 2)
      await there.subscribe("pair/#", 2)
      await here.publishWhole({ topic: "pair/a", payload: "x", qos: 2 })
      expect((await there.wholeMessages(1)).length).toBe(1)
      // What the other one sends back comes once, and goes nowhere from here.
      expect((await here.wholeMessages(2)).length).toBe(2)
      await until("its count", async () => (await item(one, "other"))["looped"] === 1)
      await Promise.all([here.quiet(200), there.quiet(200)])
      const before = (await item(one, "other"))["connections"]
      await sleep(2_000)
      expect(await item(one, "other")).toMatchObject({ state: "connected", connections: before })
    } finally {
      RawMqtt.cutAll()
      for (const broker of brokers) await broker.stop()
    }
  }, 20_000)
}

for (const shards of suites.slice(-1)) {
  test(`messages of the remote that this broker never takes hold up no others; shards = ${shards}`, async () => {
    const remote = await Mosquitto.start()
    const config = manifestOf({ full: { options: { remote: remote.remote }, in: [{ filter: "full/#", qos: 2 }] } })
    const set = { "node.retained_messages_max": "2", "protocol-mqtt.topic_levels_max": "3" }
    const broker = await startBroker({ shards, config, set })
    try {
      await connected(broker, "full")
      const [here, there] = [await connect(broker.mqtt), await connect(remote.address)]
      await here.subscribe("full/#", 0)
      // At QoS 0 there is no acknowledgement to say no with.
      for (const qos of [0, 1] as const) await there.publishWhole({ topic: "full/far/too/deep", payload: "x", qos })
      await until("the deep ones", async () => (await item(broker, "full"))["dropped_in"] === 2)
      expect(await item(broker, "full")).toMatchObject({ connections: 1, state: "connected" })
      // Mosquitto does not look at what a Response Topic is.
      const properties = [["responseTopic", "a/#"] as const]
      await there.publishWhole({ topic: "full/strange", payload: "x", qos: 1, properties })
      for (let each = 0; each < 5; each++)
        await there.publishWhole({ topic: `full/${each}`, payload: "x", qos: 1, retain: true })
      await there.publishWhole({ topic: "full/last", payload: "x", qos: 2 })
      await until("what is given up", async () => (await item(broker, "full"))["dropped_in"] === 6)
      await connected(broker, "full")
      const before = (await item(broker, "full"))["attempts"]
      await there.publishWhole({ topic: "full/after", payload: "x", qos: 2 })
      const names: Array<string> = []
      await until("the last one", async () => {
        names.push(...(await here.messages(1)).map(({ topic }) => topic))
        return names.at(-1) === "full/after"
      })
      expect(names.filter((name) => name === "full/last").length).toBe(1)
      expect(await item(broker, "full")).toMatchObject({ attempts: before, state: "connected" })
    } finally {
      RawMqtt.cutAll()
      await remote.kill()
      await broker.stop()
    }
  }, 30_000)
}

test("wrong options name the bridge", async () => {
  const config = manifestOf({
    cloud: { options: { remote: "nowhere", username: uniqueId() }, out: [{ filter: "a/#/b", qos: 3 }] }
  })
  const path = file("wrong.toml", config)
  const { code, stderr } = await runCommand(["check-config", "--config", path])
  expect(code).not.toBe(0)
  for (const words of ['found "nowhere" in "cloud"', 'found "a/#/b" in "cloud"', 'found 3 in "cloud"']) {
    expect(stderr).toContain(words)
  }
})
