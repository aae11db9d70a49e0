/** admin-http: health, metrics in the Prometheus text format, resources as JSON; and what must not work. */
import { expect, test } from "bun:test"
import { createConnection } from "node:net"
import { brokerSuite } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch } from "../support/record-batch.ts"
import { until } from "../support/until.ts"

/** One line of the Prometheus text format, version 0.0.4. */
const SAMPLE =
  /^[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\\n])*"(,(?=[a-zA-Z_])|(?=\})))*\})? (-?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+)|[+-]Inf|NaN)$/

brokerSuite("http", { config: '[node]\nid = "lighthouse"\n' }, (broker, shards) => {
  /** The whole answer to bytes that are no good HTTP, or "" where the connection just ends. */
  async function rawHttp(bytes: string): Promise<string> {
    const socket = createConnection({ host: broker().http.host, port: broker().http.port })
    let answer = ""
    let isEnded = false
    socket.setEncoding("latin1").on("data", (text) => {
      answer += text
    })
    for (const event of ["close", "end", "error"]) {
      socket.on(event, () => {
        isEnded = true
      })
    }
    socket.write(bytes)
    await until("an HTTP answer", () => isEnded || answer.includes("\r\n\r\n"))
    socket.destroy()
    return answer
  }

  for (const path of ["/health/live", "/health/ready"]) {
    test(`GET ${path} is 200`, async () => {
      const answer = await fetch(`${broker().url}${path}`)
      expect(answer.status).toBe(200)
      await answer.text()
      expect((await fetch(`${broker().url}${path}`, { method: "HEAD" })).status).toBe(200)
    })
  }

  test("/metrics is the Prometheus text format, each series once, each name with one TYPE", async () => {
    const answer = await fetch(`${broker().url}/metrics`)
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain/)
    const text = await answer.text()
    expect(text.endsWith("\n")).toBe(true)
    const lines = text.split("\n").filter((line) => line !== "")
    const samples = lines.filter((line) => !line.startsWith("#"))
    expect(samples.filter((line) => !SAMPLE.test(line))).toEqual([])
    const series = samples.map((line) => line.slice(0, line.lastIndexOf(" ")))
    expect(series.filter((each, index) => series.indexOf(each) !== index)).toEqual([])
    const types = lines.filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2])
    expect(types.filter((each, index) => types.indexOf(each) !== index)).toEqual([])
    expect(samples.every((line) => line.startsWith("manifold_") || line.startsWith("process_"))).toBe(true)
    const untyped = samples.map((line) => (/^[\w:]+/.exec(line)?.[0] ?? "").replace(/_(bucket|sum|count)$/, ""))
    expect([...new Set(untyped)].filter((name) => !types.includes(name) && !types.includes(`${name}_count`))).toEqual(
      []
    )
  })

  test("counters rise by what was sent: 7 PUBLISH packets, 1 Produce of 3 records", async () => {
    const values = async (): Promise<Map<string, number>> => {
      const lines = (await broker().metrics()).split("\n").filter((line) => /^\w/.test(line))
      return new Map(
        lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))])
      )
    }
    const topic = uniqueLevel("m")
    const kafka = await RawKafka.open(broker().kafka)
    await kafka.topic(topic)
    const before = await values()
    const client = await RawMqtt.connect(broker().mqtt)
    for (let index = 0; index < 7; index++) await client.publishWhole({ topic: `${topic}/a`, payload: "x", qos: 1 })
    await kafka.produce(topic, 0, batch([{ value: "1" }, { value: "2" }, { value: "3" }]))
    const rises = await until("the counters", async () => {
      const found = [...(await values())].map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
      const isThere = (pattern: RegExp, by: number): boolean =>
        found.some(([name, rise]) => pattern.test(name) && rise === by)
      return isThere(/mqtt/, 7) && isThere(/kafka|ingress|record|topic/, 3) ? found : undefined
    })
    expect(rises.length).toBeGreaterThan(0)
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  test("/api/v1/cluster/info names the node, and is JSON", async () => {
    const answer = await fetch(`${broker().url}/api/v1/cluster/info`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/)
    const text = JSON.stringify(await answer.json())
    expect(text).toContain('"lighthouse"')
    expect(text).toMatch(new RegExp(`"shards":(${shards}\\b|\\[)`))
    expect(text).toMatch(/"version":"\d+\.\d+\.\d+/)
  })

  test("/api/v1/resources tells of every resource, itself included, each under a name that can be asked for", async () => {
    const answer = await fetch(`${broker().url}/api/v1/resources`)
    const { items } = (await answer.json()) as { items: ReadonlyArray<{ name: string; path: string }> }
    expect(items.map(({ name }) => name)).toEqual(expect.arrayContaining(["cluster/info", "resource"]))
    for (const { name, path } of items) {
      const one = await fetch(`${broker().url}/api/v1/resources/${encodeURIComponent(name)}`)
      expect(one.status).toBe(200)
      expect(await one.json()).toEqual(items.find((item) => item.name === name))
      expect((await fetch(`${broker().url}/api/v1/${path}`)).status).toBe(200)
    }
  })

  test("an unknown path is 404, another method is refused, nothing answers 500", async () => {
    for (const path of [
      "/",
      "/nothing",
      "/api/v1/nothing",
      "/api/v1/cluster/info/x",
      "/api/v1/__proto__",
      "/api/v1/constructor/prototype",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/api/v1/cluster/%ff"
    ]) {
      const status = (await fetch(`${broker().url}${path}`)).status
      expect([path, status < 500 && status !== 200 ? "refused" : status]).toEqual([
        path,
        path === "/" && status === 200 ? 200 : "refused"
      ])
    }
    expect((await fetch(`${broker().url}/nothing`)).status).toBe(404)
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const status = (await fetch(`${broker().url}/api/v1/cluster/info`, { method, body: "{}" })).status
      expect([method, status]).toEqual([method, status === 404 || status === 405 ? status : -1])
    }
  })

  test("no page of another origin may read it", async () => {
    const answer = await fetch(`${broker().url}/api/v1/cluster/info`, { headers: { origin: "http://evil.example" } })
    expect(answer.headers.get("access-control-allow-origin")).toBeNull()
  })

  test("what is no HTTP is refused or cut, headers are bounded, the broker lives", async () => {
    expect(await rawHttp("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")).not.toMatch(/^HTTP\/1\.1 (2|500)/)
    expect(await rawHttp("GET /metrics\r\n\r\n")).not.toMatch(/^HTTP\/1\.1 (2|500)/)
    expect(await rawHttp(`GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(20_000)}\r\n`)).not.toMatch(
      /^HTTP\/1\.1 (2|5)/
    )
    expect(
      await rawHttp("POST /api/v1/cluster/info HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nx")
    ).not.toMatch(/^HTTP\/1\.1 (2|500)/)
    expect((await fetch(`${broker().url}/health/live`)).status).toBe(200)
  })
})
