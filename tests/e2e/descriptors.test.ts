/** A broker without descriptors: new connections have to wait, those that stand go on, and it takes new ones when it can again. */
import { afterEach, expect } from "bun:test"
import { readdirSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { brokerSuite } from "../support/broker.ts"
import { encode } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { RawWebSocket } from "../support/raw-websocket.ts"
import { programPath } from "../support/runtime.ts"
import { pathOf, run, type Tool, testWith } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const found = programPath("prlimit")
const prlimit: Tool = found === undefined ? { missing: "prlimit is not installed" } : { path: found }
/** Descriptors that are left, and clients that want one. */
const LEFT = 20
const CLIENTS = 100

brokerSuite("few descriptors", {}, (broker) => {
  const opened: Array<Socket> = []
  const cut = (): void => {
    for (const socket of opened.splice(0)) socket.destroy()
  }
  afterEach(() => {
    cut()
    RawMqtt.cutAll()
  })

  /** Whether every listener takes a client. */
  async function isServed(): Promise<boolean> {
    const client = await RawMqtt.connect(broker().mqtt)
    client.cut()
    const webSocket = await RawWebSocket.open(broker().websocket)
    webSocket.binary(encode.connect({ clientId: uniqueId() }))
    const answer = hex(await webSocket.bytes(4))
    webSocket.socket.destroy()
    const kafka = await RawKafka.open(broker().kafka)
    const { error } = await kafka.apiVersions()
    kafka.socket.destroy()
    const { status } = await fetch(`${broker().url}/health/ready`)
    return answer === "20020000" && error === 0 && status === 200
  }

  testWith(
    [prlimit],
    "on every listener, none left costs new connections alone",
    async () => {
      const level = uniqueLevel()
      const standing = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await standing.subscribe(`${level}/#`)
      const limit = async (count: number): Promise<void> => {
        const { code } = await run(pathOf(prlimit), ["--pid", String(broker().pid), `--nofile=${count}:`])
        expect(code).toBe(0)
      }
      await limit(readdirSync(`/proc/${broker().pid}/fd`).length + LEFT)
      for (const { host, port } of [broker().mqtt, broker().websocket, broker().kafka, broker().http]) {
        for (let count = 0; count < CLIENTS; count++) {
          const socket = connect(port, host)
          socket.on("error", () => {})
          opened.push(socket)
        }
        await sleep(500)
        standing.publish({ topic: `${level}/a`, payload: String(port) })
        await standing.messages(1)
        expect(broker().isAlive).toBe(true)
        cut()
        await until("every listener to take a client", () => isServed().catch(() => false))
      }
      // What is refused is told, not once for each attempt.
      expect(broker().stderr.split("\n").length).toBeLessThan(60)
    },
    30_000
  )
})
