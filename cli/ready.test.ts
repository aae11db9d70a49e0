import assert from "node:assert"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { oneLine } from "./output.ts"
import { readyLine, tryLines } from "./ready.ts"
import { VERSION } from "./version.ts"

const listener = (plugin: string, name: string, address: string) => ({ plugin, listener: name, address })

test("the ready line names the node, the defaults of topics and every listener", () => {
  const listeners = [
    listener("protocol-mqtt", "tcp", "127.0.0.1:1883"),
    listener("protocol-mqtt", "tcp", "[::1]:1883"),
    listener("protocol-mqtt", "websocket", "127.0.0.1:8083"),
    listener("protocol-kafka", "tcp", "127.0.0.1:9092")
  ]
  assert.equal(
    readyLine({ id: "node-1", shards: 2, engine: "sqlite", mode: "persistent", listeners, startMs: 43.4 }),
    "ready node=node-1 shards=2 topics.engine=sqlite topics.mode=persistent protocol-mqtt.tcp=127.0.0.1:1883,[::1]:1883 " +
      "protocol-mqtt.websocket=127.0.0.1:8083 protocol-kafka.tcp=127.0.0.1:9092 in=43ms"
  )
})

const tries: ReadonlyArray<readonly [string, string, string]> = [
  ["127.0.0.1:1883", "-h 127.0.0.1 -p 1883 ", "-b 127.0.0.1:1883 "],
  ["0.0.0.0:5", "-h 127.0.0.1 -p 5 ", "-b 127.0.0.1:5 "],
  ["[::1]:5", "-h ::1 -p 5 ", "-b [::1]:5 "],
  ["[::]:5", "-h ::1 -p 5 ", "-b [::1]:5 "],
  ["localhost:5", "-h localhost -p 5 ", "-b localhost:5 "]
]
for (const [address, mqtt, kafka] of tries) {
  test(`the lines to try reach ${address}`, () => {
    const [publish = "", fetch = "", ...more] = tryLines([
      listener("protocol-mqtt", "tcp", address),
      listener("protocol-kafka", "tcp", address)
    ])
    assert.deepEqual(more, [])
    assert.ok(publish.startsWith(`mosquitto_pub ${mqtt}-t sensors/room1 `), publish)
    assert.ok(fetch.startsWith(`kcat ${kafka}-C -t sensors.room1 `), fetch)
  })
}

test("nothing to try where nothing listens", () => {
  assert.deepEqual(tryLines([listener("admin-http", "tcp", "127.0.0.1:8080")]), [])
})

test("an error is told in its first line", () => {
  assert.equal(oneLine(new Error("one\ntwo")), "one")
  assert.equal(oneLine(new TypeError("one")), "TypeError: one")
  assert.equal(oneLine("text\nmore"), "text")
})

test("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))
  assert.equal(VERSION, version)
})
