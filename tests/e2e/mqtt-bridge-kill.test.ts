/**
 * A bridge to mosquitto while either broker is killed, and the link cut, at random: QoS 2 comes exactly once and QoS 1 at least once, both
 * ways. `MANIFOLD_BRIDGE_KILLS=50 bun test tests/e2e/mqtt-bridge-kill.test.ts` kills 50 times; a seed is printed, and taken from
 * MANIFOLD_BRIDGE_SEED.
 *
 * Ours is killed with SIGKILL, as it is. Mosquitto answers before it saves: killed as it is it loses what it has acknowledged, whoever
 * sent it. So its links are cut first, in the midst of whatever it does; then it is told to save, and killed. What nobody heard it
 * acknowledge may be there or not; what somebody heard is there. Anything lost or doubled then is the bridge's doing. Beyond its
 * max_inflight_messages (20) mosquitto 2.0 also forgets, when it starts again, which messages it had been sent PUBREC for: it has room.
 */
import { afterAll, afterEach, expect } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Address, type Broker, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { Mosquitto } from "../support/mosquitto.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { SturdyClient } from "../support/sturdy-client.ts"
import { TcpProxy } from "../support/tcp-proxy.ts"
import { type Tool, testWith, tools } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const KILLS = Number(process.env.MANIFOLD_BRIDGE_KILLS ?? 3)
const SEED = Number(process.env.MANIFOLD_BRIDGE_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Messages of each kind between two looks at the clock. */
const BURST = 5
const BURST_MS = 10
/** Messages of one direction that are on their way. */
const UNDERWAY_MAX = 300

/** Numbers from a seed. */
function chanceOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Under Deno it is the test's own clients that stand still; a broker on Deno is tried with MANIFOLD_TEST_COMMAND. */
const driver: Tool = "Deno" in globalThis ? { missing: "its clients need Bun" } : { path: process.execPath }

const directories: Array<string> = []
afterEach(() => RawMqtt.cutAll())
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

function configOf(remote: string, protocol: string, level: string): string {
  const rules = (direction: string) =>
    [1, 2].map(
      (qos) => `[[plugin.options.bridge.${direction}]]\nfilter = "${level}/${direction}/${qos}"\nqos = ${qos}\n`
    )
  return `
[[plugin]]
use = "protocol-mqtt"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
[[plugin]]
use = "bridge-mqtt"
[[plugin.options.bridge]]
name = "far"
remote = "${remote}"
protocol = "${protocol}"
backoff_min_ms = 20
backoff_max_ms = 100
${rules("out").join("")}${rules("in").join("")}`
}

/** Payloads that did not come, and those that came more than once. */
function outcomeOf(sent: ReadonlyArray<string>, received: ReadonlyMap<string, number>) {
  const lost = sent.filter((payload) => !received.has(payload))
  const doubled = sent.filter((payload) => (received.get(payload) ?? 0) > 1)
  return { lost, doubled }
}

for (const [index, shards] of (IS_EXTERNAL ? [] : SHARD_COUNTS).entries()) {
  // Each shard count with each version, over the seeds.
  const protocol = (SEED + index) % 2 === 0 ? "5.0" : "3.1.1"
  testWith(
    [tools.mosquitto, driver],
    `QoS 2 exactly once and QoS 1 without loss over ${KILLS} kills, MQTT ${protocol}, shards = ${shards}, seed ${SEED}`,
    async () => {
      const chance = chanceOf(SEED + index)
      const data = mkdtempSync(join(tmpdir(), "manifold-bridge-"))
      directories.push(data)
      const level = uniqueLevel()
      const mosquitto = await Mosquitto.start({ lines: ["max_inflight_messages 1000"] })
      const proxy = await TcpProxy.start(mosquitto.address)
      const config = configOf(proxy.remote, protocol, level)
      const start = (): Promise<Broker> => startBroker({ shards, config, set: { "node.data": data } })
      let broker = await start()
      let near: Address | undefined = broker.mqtt
      const far = (): Address | undefined => (proxy.isCut ? undefined : proxy.address)
      const here = new SturdyClient(() => near, `${level}/in/+`)
      const there = new SturdyClient(far, `${level}/out/+`)
      const sent = { out: [[], []] as Array<Array<string>>, in: [[], []] as Array<Array<string>> }
      let isLoading = true
      try {
        const load = (async () => {
          await until("both clients", () => here.isReady && there.isReady)
          await until("the bridge", async () => (await broker.sumOf("manifold_bridge_connected")) === 1)
          const numbers = { out: 0, in: 0 }
          while (isLoading) {
            // What is under way is not to grow without end.
            for (const [client, other, direction] of [
              [here, there, "out"],
              [there, here, "in"]
            ] as const) {
              if (numbers[direction] * BURST * 2 - other.received.size > UNDERWAY_MAX) continue
              const number = numbers[direction]++
              for (let each = 0; each < BURST; each++) {
                for (const qos of [1, 2] as const) {
                  const payload = `${direction} ${qos} ${number}.${each}`
                  sent[direction][qos - 1]?.push(payload)
                  client.publish(`${level}/${direction}/${qos}`, payload, qos)
                }
              }
            }
            await sleep(BURST_MS)
          }
        })()
        let [ours, theirs, cuts] = [0, 0, 0]
        await until("some load", () => there.received.size > 0 && here.received.size > 0, 10_000)
        for (let kill = 0; kill < KILLS; kill++) {
          await sleep(100 + chance(500))
          // Each of them once at least.
          const which = kill < 2 ? kill : chance(2)
          if (which === 0) {
            ours += 1
            near = undefined
            broker.kill()
            await broker.end()
            broker = await start()
            near = broker.mqtt
          } else {
            theirs += 1
            proxy.cut()
            await sleep(20)
            await mosquitto.saveAndKill()
            await mosquitto.again()
            proxy.mend()
          }
          if (chance(2) === 0) {
            await sleep(chance(300))
            cuts += 1
            proxy.cut()
            proxy.mend()
          }
        }
        isLoading = false
        await load
        const all = [...sent.out, ...sent.in].flat()
        const come = (): number => here.received.size + there.received.size
        await until("everything to be acknowledged", () => here.pending + there.pending === 0, 30_000)
        // As long as something comes: what does not come within five seconds does not.
        for (let before = -1; come() < all.length && come() > before; ) {
          before = come()
          await until("everything to come", () => come() === all.length).catch(() => {})
        }
        // What would come twice comes now.
        await sleep(500)
        const outcomes = [
          ...sent.out.map((each) => outcomeOf(each, there.received)),
          ...sent.in.map((each) => outcomeOf(each, here.received))
        ]
        const counts = outcomes.map(({ lost, doubled }) => [lost.length, doubled.length])
        console.log(
          `${all.length} messages, ${ours} kills of ours, ${theirs} of mosquitto, ${cuts} cuts; lost and doubled: ` +
            `out QoS 1 ${counts[0]}, out QoS 2 ${counts[1]}, in QoS 1 ${counts[2]}, in QoS 2 ${counts[3]}`
        )
        const first = (payloads: ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
          (payloads ?? []).slice(0, 5)
        expect(outcomes.map(({ lost }) => first(lost))).toEqual([[], [], [], []])
        expect([first(outcomes[1]?.doubled), first(outcomes[3]?.doubled)]).toEqual([[], []])
        expect([here.sessionsLost, there.sessionsLost]).toEqual([0, 0])
        expect(all.length).toBeGreaterThan(KILLS * 40)
      } finally {
        isLoading = false
        here.stop()
        there.stop()
        proxy.close()
        await mosquitto.kill()
        await broker.stop()
      }
    },
    60_000 + KILLS * 5_000
  )
}
