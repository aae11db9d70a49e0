/** The `topic` resource over HTTP and on the command line, and what of it a restart keeps. */
import { expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { HAS_DURABLE_STORAGE } from "../crash/has-durable-storage.ts"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

async function call(broker: Broker, method: string, path: string, body?: unknown): Promise<Answer> {
  const content =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
  const answer = await fetch(`${broker.url}/api/v1/${path}`, { method, ...content })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text === "" ? {} : JSON.parse(text) }
}

/** The end of the first partition. */
async function endOf(kafka: RawKafka, topic: string): Promise<number> {
  return (await kafka.listOffset(topic, 0, -1)).offset
}

brokerSuite("topic", {}, (broker) => {
  test("POST creates, GET shows, DELETE deletes; each refusal has its code", async () => {
    const name = uniqueLevel("made")
    const created = await call(broker(), "POST", "topics", { name, partitions: 3 })
    expect([created.status, created.headers.get("location")]).toEqual([201, `/api/v1/topics/${name}`])
    expect(created.body).toMatchObject({ name, partitions: 3, filter: null, origin: "admin" })
    expect((await call(broker(), "GET", `topics/${name}`)).body).toEqual(created.body)
    const rows: ReadonlyArray<readonly [body: unknown, status: number, code: string]> = [
      [{ name }, 409, "topic-exists"],
      [{ name: "a/b" }, 422, "invalid-topic-name"],
      [{ name: `${name}x`, engine: "none" }, 422, "engine-not-available"],
      [{ name: `${name}x`, engine: "memory", mode: "persistent" }, 422, "mode-not-available"],
      [{ name: `${name}x`, filter: "a/#/b" }, 422, "invalid-topic-filter"],
      [{ name: `${name}x`, partitions: 0 }, 422, "invalid"],
      [{ name: `${name}x`, more: 1 }, 422, "invalid"],
      [{}, 422, "invalid"]
    ]
    for (const [body, status, code] of rows) {
      const refused = await call(broker(), "POST", "topics", body)
      expect([refused.status, refused.body["code"]]).toEqual([status, code])
      expect(refused.headers.get("content-type")).toMatch(/^application\/problem\+json/)
    }
    expect((await call(broker(), "DELETE", `topics/${name}`)).status).toBe(204)
    for (const method of ["GET", "DELETE"]) {
      const gone = await call(broker(), method, `topics/${name}`)
      expect([gone.status, gone.body["code"]]).toEqual([404, "topic-not-found"])
    }
    expect((await call(broker(), "GET", `topics/${name}x`)).status).toBe(404)
  })

  test("a topic that is created with a filter is the home of the names that match it; two homes are refused", async () => {
    const level = uniqueLevel("bound")
    const made = await call(broker(), "POST", "topics", { name: level, filter: `${level}/+/in` })
    expect(made.body["filter"]).toBe(`${level}/+/in`)
    const rival = await call(broker(), "POST", "topics", { name: `${level}2`, filter: `${level}/+/+` })
    expect(rival.status).toBe(201)
    const same = await call(broker(), "POST", "topics", { name: `${level}3`, filter: `${level}/+/in` })
    expect([same.status, same.body["code"]]).toEqual([409, "topic-filter-conflict"])
    const client = await RawMqtt.connect(broker().mqtt)
    await client.publishWhole({ topic: `${level}/7/in`, payload: "x", qos: 1 })
    const kafka = await RawKafka.open(broker().kafka)
    expect(await endOf(kafka, level)).toBe(1)
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  test("a list is paged in the order of names, and a filter picks", async () => {
    const level = uniqueLevel("page")
    const names = Array.from({ length: 7 }, (_, index) => `${level}-${index}`)
    for (const name of names.toReversed()) await call(broker(), "POST", "topics", { name })
    const seen: Array<unknown> = []
    for (let cursor = ""; ; ) {
      const page = await call(broker(), "GET", `topics?limit=3&filter=${level}&cursor=${cursor}`)
      const items = page.body["items"] as ReadonlyArray<{ name: string }>
      seen.push(...items.map(({ name }) => name))
      if (page.body["cursor"] === undefined) break
      cursor = String(page.body["cursor"])
    }
    expect(seen).toEqual(names)
    for (const name of names) await call(broker(), "DELETE", `topics/${name}`)
  })

  test("the command line creates, lists and deletes: topic create --name --partitions", async () => {
    const name = uniqueLevel("cli")
    const url = ["--url", broker().url]
    const created = await runCommand(["topic", "create", "--name", name, "--partitions", "2", ...url])
    expect([created.code, created.stderr]).toEqual([0, ""])
    expect(created.stdout).toContain(name)
    const again = await runCommand(["topic", "create", "--name", name, ...url])
    expect([again.code === 0, again.stderr.includes("topic-exists")]).toEqual([false, true])
    const listed = await runCommand(["topic", "list", "--filter", name, "--output", "json", ...url])
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name, partitions: 2 }])
    const deleted = await runCommand(["topic", "delete", name, ...url])
    expect([deleted.code, deleted.stdout]).toEqual([0, `topic delete ${name} done\n`])
    expect((await runCommand(["topic", "get", name, ...url])).code).not.toBe(0)
  })

  test("a deleted topic forgets its records; one of its name begins anew", async () => {
    const name = uniqueLevel("again")
    const kafka = await RawKafka.open(broker().kafka)
    const first = (await call(broker(), "POST", "topics", { name })).body["id"]
    await kafka.produce(name, 0, batch([{ value: "1" }]))
    expect(await endOf(kafka, name)).toBe(1)
    await call(broker(), "DELETE", `topics/${name}`)
    const second = (await call(broker(), "POST", "topics", { name })).body["id"]
    expect(second).not.toBe(first)
    expect(await endOf(kafka, name)).toBe(0)
    await call(broker(), "DELETE", `topics/${name}`)
    RawKafka.cutAll()
  })
})

const keeping = '[topics]\nengine = "sqlite"\nmode = "persistent"\nauto_create_mqtt = "default"\n'

test.skipIf(IS_EXTERNAL || !HAS_DURABLE_STORAGE)(
  "a restart keeps topics with their ids and records; a message is stored when it is acknowledged",
  async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-topic-"))
    const declared = '[[binding]]\ntopic = "declared"\nfilter = "d/#"\n'
    const start = (config: string): Promise<Broker> =>
      startBroker({ config: keeping + config, set: { "node.data": data } })
    const topics = async (broker: Broker): Promise<unknown> => (await call(broker, "GET", "topics")).body["items"]
    try {
      let broker = await start(declared)
      await call(broker, "POST", "topics", { name: "made", partitions: 2, filter: "m/+" })
      await call(broker, "POST", "topics", { name: "gone" })
      await call(broker, "DELETE", "topics/gone")
      const client = await RawMqtt.connect(broker.mqtt)
      for (const payload of ["1", "2", "3"]) await client.publishWhole({ topic: "plain/name", payload, qos: 1 })
      const before = await topics(broker)
      expect((before as ReadonlyArray<{ name: string }>).map(({ name }) => name)).toEqual([
        "declared",
        "made",
        "plain.name"
      ])
      RawMqtt.cutAll()
      broker.signal("SIGKILL")
      await broker.end()
      broker = await start(declared)
      expect(await topics(broker)).toEqual(before)
      const kafka = await RawKafka.open(broker.kafka)
      expect(await endOf(kafka, "plain.name")).toBe(3)
      expect(broker.stderr).not.toContain("declared")
      RawKafka.cutAll()
      await broker.stop()
      broker = await start('[[binding]]\ntopic = "declared"\nfilter = "d/#"\npartitions = 5\n')
      expect(broker.stderr).toContain('topic "declared" stays as it is, with partitions 1 where the manifest says 5')
      await broker.stop()
      broker = await start("")
      expect(broker.stderr).toContain('topic "declared" is no longer declared')
      await broker.stop()
      broker = await start("")
      expect(broker.stderr).not.toContain("declared")
      expect(((await topics(broker)) as ReadonlyArray<unknown>).length).toBe(3)
      await broker.stop()
    } finally {
      rmSync(data, { recursive: true, force: true })
    }
  },
  60_000
)
