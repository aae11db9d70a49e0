/** How a bridge connects where one of its two sessions has gone: both brokers are played, one call after the other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Fiber } from "effect"
import { generate, type Packet, parser } from "mqtt-packet"
import * as v from "valibot"
import { ConnectError, InvariantViolation, ResourceError, type Socket, type SocketReceiver } from "../../core/mod.ts"
import type { Agreed } from "./Agreement.ts"
import { Bridge, type BridgeParts } from "./Bridge.ts"
import { connect } from "./connecting.ts"
import { options } from "./Settings.ts"

/** A broker that answers what it is asked, and keeps its one session unless a test takes it away. */
class Player {
  readonly got: Array<Packet> = []
  hasSession = false
  properties: object = {}
  /** Nobody can connect to it. */
  isAway = false
  /** The network says nothing about it. */
  isSilent = false
  /** A filter that it does not take. */
  refuses = ""
  /** Called with each packet before it is answered; true = it is not. */
  before: (packet: Packet) => boolean = () => false
  #socket: Socket | undefined

  /** The end that the bridge's bytes go to. */
  accept(say: (bytes: Uint8Array) => void): SocketReceiver {
    const stream = parser({ protocolVersion: 5 })
    stream.on("packet", (packet: Packet) => {
      this.got.push(packet)
      if (this.before(packet)) return
      const answer = this.#answerOf(packet)
      if (answer !== undefined) say(new Uint8Array(generate(answer, { protocolVersion: 5 })))
    })
    return { data: (bytes) => void stream.parse(Buffer.from(bytes)), drain: () => {}, closed: () => {} }
  }

  /** As this broker: its service for hosted clients. */
  readonly here = (socket: Socket): SocketReceiver => {
    this.#socket = socket
    return this.accept((bytes) => void socket.write(bytes, 0, bytes.length))
  }

  /** As the remote: the far end of a socket. */
  readonly there = (open: (socket: Socket) => SocketReceiver): void => {
    const far = this.accept((bytes) => receiver.data(bytes))
    const end = (): void => queueMicrotask(() => receiver.closed())
    const receiver = open({
      peerAddress: "",
      write: (bytes, start, stop) => {
        const copy = bytes.slice(start, stop)
        queueMicrotask(() => far.data(copy))
        return stop - start
      },
      pause: () => {},
      resume: () => {},
      end,
      terminate: end
    })
  }

  cut(): void {
    this.#socket?.terminate()
  }

  count(cmd: Packet["cmd"]): number {
    return this.got.filter((packet) => packet.cmd === cmd).length
  }

  #answerOf(packet: Packet): Packet | undefined {
    switch (packet.cmd) {
      case "connect": {
        const sessionPresent = packet.clean !== true && this.hasSession
        this.hasSession = (packet.properties?.sessionExpiryInterval ?? 0) > 0
        return { cmd: "connack", reasonCode: 0, sessionPresent, properties: this.properties } as Packet
      }
      case "subscribe":
        return {
          cmd: "suback",
          messageId: packet.messageId ?? 0,
          granted: packet.subscriptions.map(({ topic, qos }) => (topic === this.refuses ? 0x8f : qos))
        } as Packet
      case "unsubscribe":
        return {
          cmd: "unsuback",
          messageId: packet.messageId ?? 0,
          granted: packet.unsubscriptions.map(() => 0)
        } as Packet
      case "pubrel":
        return { cmd: "pubcomp", messageId: packet.messageId ?? 0 } as Packet
    }
    return undefined
  }
}

class Bench {
  readonly here = new Player()
  readonly there = new Player()
  row: Agreed | undefined
  received = 0
  readonly log: Array<string> = []
  /** What was asked of the clock, ms. */
  readonly timers: Array<number> = []
  /** What was thrown where nothing catches it. */
  readonly thrown: Array<unknown> = []
  readonly #parts: BridgeParts
  bridge: Bridge

  constructor() {
    const item = () => ({
      connected: false,
      inflight: 0,
      queued_messages: 0,
      queued_bytes: 0,
      queued_since: null,
      received: this.received
    })
    const gone = new ResourceError({ reason: "not-found", code: "session-not-found", message: "none" })
    const get = () => Effect.suspend(() => (this.here.hasSession ? Effect.succeed(item()) : Effect.fail(gone)))
    this.#parts = {
      net: {
        connectTcp: (address: string, open: never) =>
          Effect.suspend(() => {
            const { there } = this
            if (there.isSilent) return Effect.never
            if (!there.isAway) return Effect.sync(() => there.there(open))
            return Effect.fail(new ConnectError({ address, reason: "nobody listens there" }))
          })
      } as never,
      files: { readText: () => Effect.succeed("") },
      clock: {
        nowMs: () => 0,
        monotonicMs: () => 0,
        after: (ms) => {
          this.timers.push(ms)
          return { cancel: () => {} }
        },
        microtask: queueMicrotask,
        immediate: (task) =>
          queueMicrotask(() => {
            try {
              task()
            } catch (error) {
              this.thrown.push(error)
            }
          })
      },
      random: { uint32: () => 0, fill: () => {} },
      log: { warn: (_area: string, line: string) => this.log.push(line), info: () => {} } as never,
      shard: {
        index: 0,
        forward: (_shard: number, _service: string, socket: Socket) => this.here.here(socket)
      } as never,
      agreements: {
        read: () => this.row,
        write: (_name: string, agreed: Agreed | undefined) => {
          this.row = agreed
          return Promise.resolve(true)
        }
      } as never,
      resources: () => [{ name: "session", get }] as never,
      identity: "0123456789ab",
      isServing: () => true
    }
    this.bridge = this.restart(["o/#"])
  }

  /** The bridge as a new process has it, with these filters. */
  restart(out: ReadonlyArray<string>, inward: ReadonlyArray<string> = ["i/#"]): Bridge {
    const rules = { out: out.map((filter) => ({ filter })), in: inward.map((filter) => ({ filter })) }
    const { bridge } = v.parse(options, {
      bridge: [{ name: "b", remote: "far.example:1883", keep_alive: 10, ...rules }]
    })
    this.bridge = new Bridge(bridge[0] as never, "manifold-bridge-b", this.#parts)
    return this.bridge
  }

  /** One attempt, until it ends, or stands and is cut here; why it ended. */
  async attempt(): Promise<string> {
    const { bridge } = this
    const { connections } = bridge.counts
    const ending = Effect.runPromise(Effect.flip(Effect.scoped(connect({ ...this.#parts, bridge }))))
    const watching = async (): Promise<void> => {
      for (let turn = 0; turn < 1_000 && bridge.counts.connections === connections; turn++) await Promise.resolve()
      if (bridge.counts.connections > connections) this.here.cut()
    }
    const [{ reason }] = await Promise.all([ending, watching()])
    return bridge.counts.connections > connections ? "stood" : reason
  }
}

test("a session that is ended here while an attempt is under way: the next one begins anew, with its subscriptions", async () => {
  const bench = new Bench()
  const { here, there, bridge } = bench
  assert.equal(await bench.attempt(), "stood")
  assert.equal(bench.row?.isAgreed, true)
  // It goes when the remote is asked already.
  there.before = ({ cmd }) => {
    if (cmd === "connect") here.hasSession = false
    return false
  }
  assert.equal(await bench.attempt(), "its session here has gone")
  assert.deepEqual([bench.row, bridge.isPrepared], [undefined, false])
  there.before = () => false
  here.got.length = there.got.length = 0
  assert.equal(await bench.attempt(), "stood")
  // What the failed attempt has left is not taken for the session of before, and the remote begins anew with it.
  assert.equal(here.got[0]?.cmd === "connect" && here.got[0].clean, true)
  assert.equal(there.got[0]?.cmd === "connect" && there.got[0].clean, true)
  assert.ok(here.count("subscribe") > 0)
})

test("a session that is ended here before it is swept, or before its bounds are looked at, is not begun in passing", async () => {
  const bench = new Bench()
  const { here, there } = bench
  assert.equal(await bench.attempt(), "stood")
  bench.received = 1
  there.before = ({ cmd }) => {
    if (cmd === "connect") here.hasSession = there.hasSession = false
    return false
  }
  assert.equal(await bench.attempt(), "its session here has gone")
  assert.deepEqual([bench.row, here.count("pubrel")], [undefined, 0])
})

test("a remote that has lost its session: that is told, it begins anew with what is retained, and a kill before the sweep forgets nothing", async () => {
  const bench = new Bench()
  const { here, there, bridge } = bench
  assert.equal(await bench.attempt(), "stood")
  assert.deepEqual([bench.row?.retained, bridge.counts.gaps, bridge.warning], [["o/#"], 0, ""])
  assert.equal(await bench.attempt(), "stood")
  assert.deepEqual([bridge.counts.gaps, bridge.warning], [0, ""])
  there.hasSession = false
  there.properties = { sessionExpiryInterval: 5 }
  bench.received = 1
  // A message of the session that has gone.
  bridge.refusals.refused("in", 1)
  // What a kill would leave at the moment when the sweep begins.
  let left: unknown
  here.before = ({ cmd }) => {
    if (cmd === "pubrel") left ??= bench.row
    return false
  }
  here.got.length = 0
  assert.equal(await bench.attempt(), "stood")
  assert.equal((left as { isAgreed: boolean }).isAgreed, false)
  assert.equal(bridge.refusals.has("in"), false)
  assert.equal(here.count("pubrel"), 65_535)
  assert.equal(bridge.counts.gaps, 1)
  assert.equal(bridge.warning, "the remote had lost its session; the remote keeps the session for 5 s only")
  assert.match(bench.log.join(), /a gap \(in\): the remote had lost its session/)
  // Retain Handling 0: what is retained goes to the session that is new.
  const asked = here.got.flatMap((packet) => (packet.cmd === "subscribe" ? packet.subscriptions : []))
  assert.deepEqual([asked.at(-1)?.topic, asked.at(-1)?.rh], ["o/#", 0])
  assert.equal(bench.row?.isAgreed, true)
})

test("what the remote refused is forgotten with the session here, also where the remote is away when that is begun anew", async () => {
  const bench = new Bench()
  const { here, there, bridge } = bench
  assert.equal(await bench.attempt(), "stood")
  bridge.refusals.refused("out", 1)
  here.hasSession = false
  there.isAway = true
  assert.equal(await bench.attempt(), "nobody listens there")
  there.isAway = false
  assert.equal(await bench.attempt(), "stood")
  assert.equal(bridge.refusals.has("out"), false)
  // The session here goes on, and so does what is known of its messages.
  bridge.refusals.refused("out", 1)
  assert.equal(await bench.attempt(), "stood")
  assert.equal(bridge.refusals.has("out"), true)
})

test("a filter that is taken out and comes back is a new one: its retained messages go out again", async () => {
  const bench = new Bench()
  const { here } = bench
  const asked = async (...filters: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
    bench.restart(filters)
    here.got.length = 0
    assert.equal(await bench.attempt(), "stood")
    const wishes = here.got.flatMap((packet) => (packet.cmd === "subscribe" ? packet.subscriptions : []))
    return wishes.filter(({ rh }) => rh === 0).map(({ topic }) => topic)
  }
  assert.deepEqual(await asked("o/#", "p/#"), ["o/#", "p/#"])
  assert.deepEqual(await asked("o/#", "p/#"), [])
  assert.deepEqual(await asked("o/#"), [])
  assert.deepEqual(await asked("o/#", "p/#"), ["p/#"])
})

test("filters of an attempt that failed in its midst are taken off when they have left the options", async () => {
  const bench = new Bench()
  const { here, there } = bench
  assert.equal(await bench.attempt(), "stood")
  const takenOff = (player: Player): ReadonlyArray<string> =>
    player.got.flatMap((packet) => (packet.cmd === "unsubscribe" ? packet.unsubscriptions : []))
  bench.restart(["o/#", "new/#", "odd/#"])
  here.refuses = "odd/#"
  assert.equal(await bench.attempt(), 'this broker refused the filter "odd/#": 0x8f')
  bench.restart(["o/#"])
  assert.equal(await bench.attempt(), "stood")
  assert.ok(takenOff(here).includes("new/#"))
  // The same at the remote, which is lost when it has subscribed to them.
  bench.restart(["o/#"], ["i/#", "more/#"])
  there.before = ({ cmd }) => {
    if (cmd === "subscribe") here.cut()
    return cmd === "subscribe"
  }
  assert.equal(await bench.attempt(), "this broker closed the connection")
  there.before = () => false
  bench.restart(["o/#"])
  assert.equal(await bench.attempt(), "stood")
  assert.deepEqual(takenOff(there), ["more/#"])
  assert.deepEqual([bench.row?.local, bench.row?.there], [["o/#"], ["i/#"]])
})

test("the remote may want to be asked more often than the options say, and never less", async () => {
  for (const [serverKeepAlive, seconds] of [
    [0, 10],
    [65_535, 10],
    [2, 2]
  ] as const) {
    const bench = new Bench()
    bench.there.properties = { serverKeepAlive }
    assert.equal(await bench.attempt(), "stood")
    assert.ok(bench.timers.includes(seconds * 750), `${serverKeepAlive}: ${bench.timers}`)
    assert.ok(!bench.timers.includes(serverKeepAlive * 750) || serverKeepAlive === seconds)
  }
})

test("the highest QoS of the remote's session is remembered while it is the same one", async () => {
  const bench = new Bench()
  const { there } = bench
  const attempt = async (maximumQos?: number): Promise<unknown> => {
    there.properties = maximumQos === undefined ? {} : { maximumQoS: maximumQos }
    await bench.attempt()
    return bench.row?.qos
  }
  assert.deepEqual([await attempt(1), await attempt(), await attempt(1)], [1, 2, 2])
  there.hasSession = false
  assert.equal(await attempt(1), 1)
})

test("an attempt that the network does not answer ends at once where an administrator says so", async () => {
  const bench = new Bench()
  const { there, bridge } = bench
  there.isSilent = true
  let ended = ""
  void bench.attempt().then((reason) => {
    ended = reason
  })
  for (let turn = 0; turn < 20; turn++) await Effect.runPromise(Effect.yieldNow)
  assert.equal(ended, "")
  bridge.pause()
  for (let turn = 0; turn < 20; turn++) await Effect.runPromise(Effect.yieldNow)
  assert.equal(ended, "it was paused")
})

test("what the remote has not granted is told once, however long it is", () => {
  const { bridge, log } = new Bench()
  const warning = `the remote refused the filter "${"x".repeat(300)}": 0x87`
  bridge.warn(warning)
  bridge.warn(warning)
  assert.deepEqual([log.length, bridge.warning], [1, warning.slice(0, 200)])
  bridge.warn("")
  bridge.warn(warning)
  assert.equal(log.length, 2)
})

test("a broken invariant that an attempt comes upon ends the process, not the bridge alone", async () => {
  const bench = new Bench()
  const broken = new InvariantViolation("a row is a row")
  bench.here.before = () => {
    throw broken
  }
  const fiber = Effect.runFork(Effect.scoped(Effect.andThen(bench.bridge.run(), Effect.never)))
  for (let turn = 0; turn < 100 && bench.thrown.length === 0; turn++) await Effect.runPromise(Effect.yieldNow)
  await Effect.runPromise(Fiber.interrupt(fiber))
  assert.deepEqual(bench.thrown, [broken])
})
