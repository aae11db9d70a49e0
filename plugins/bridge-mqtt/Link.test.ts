/** One link between a broker and a remote of a simulated network, which cuts bytes into pieces of any size: its beginning, its holds, its end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit } from "effect"
import { generate, type Packet, parser } from "mqtt-packet"
import type { ShardShape, Socket, SocketReceiver } from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { Agreements } from "./Agreement.ts"
import { Counts } from "./Counts.ts"
import { Link } from "./Link.ts"
import { Refusals } from "./Refusals.ts"
import { FULL_BYTES, RemoteSide } from "./RemoteSide.ts"
import { TopicMap } from "./TopicMap.ts"

const CONNECT = {
  version: 5,
  isPrivate: false,
  clientIdentifier: "b",
  cleanStart: false,
  keepAlive: 0,
  username: undefined,
  password: undefined,
  sessionExpiryInterval: 100,
  receiveMaximum: 20,
  maximumPacketSize: 0
} as const
const CONNACK: Packet = { cmd: "connack", reasonCode: 0, sessionPresent: true }

/** A broker at one end: what it got, and what it says. */
class Peer implements SocketReceiver {
  readonly got: Array<string> = []
  closes = 0
  readonly #stream = parser({ protocolVersion: 5 })
  #socket: Socket | undefined

  constructor() {
    this.#stream.on("packet", (packet: Packet) => {
      const { messageId = "" } = packet as { messageId?: number }
      this.got.push(`${packet.cmd} ${messageId}`.trim())
    })
  }
  readonly accept = (socket: Socket): SocketReceiver => {
    this.#socket = socket
    return this
  }
  data(bytes: Uint8Array): void {
    this.#stream.parse(Buffer.from(bytes))
  }
  drain(): void {}
  closed(): void {
    this.closes += 1
  }
  say(...packets: ReadonlyArray<Packet>): void {
    const bytes = new Uint8Array(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: 5 }))))
    for (let at = 0; at < bytes.length; ) {
      const taken = this.#socket?.write(bytes, at, bytes.length) ?? 0
      assert.ok(taken >= 0)
      at += taken
      if (taken === 0) assert.fail("the window is large enough")
    }
  }
  /** As much of these bytes as there is room for on the way. */
  sayRaw(bytes: Uint8Array): number {
    return Math.max(0, this.#socket?.write(bytes, 0, bytes.length) ?? 0)
  }
  reads(isReading: boolean): void {
    if (isReading) this.#socket?.resume()
    else this.#socket?.pause()
  }
  end(): void {
    this.#socket?.terminate()
  }
}

interface Story {
  readonly simulation: Simulation
  readonly link: Link
  readonly here: Peer
  readonly there: Peer
  readonly counts: Counts
}

function makeStory(seed: number): Story {
  const simulation = new Simulation(seed, { windowBytesMin: 8_192, partialWritesOfEight: 0 })
  const here = new Peer()
  const shard = {
    index: 0,
    count: 1,
    forward: (_shard, _service, socket) => here.accept(socket)
  } as Partial<ShardShape>
  const { clock } = simulation
  const parts = { clock, shard: shard as ShardShape, remoteVersion: 5, packetSizeMax: 10_000, answerMs: 1_000 } as const
  const there = new Peer()
  const link = new Link(parts)
  const { client, server } = simulation.net.pair()
  server.receiver = there.accept(server)
  client.receiver = link.remote.accept(client)
  return { simulation, link, here, there, counts: new Counts() }
}

function begin({ link, counts }: Story): void {
  const rules = [{ filter: "#", qos: 2, from: "", to: "" }]
  link.begin({
    maximumQos: 2,
    sessionQos: 2,
    retainAvailable: true,
    remotePacketSizeMax: 10_000,
    localPacketSizeMax: 10_000,
    outTopics: new TopicMap(rules),
    inTopics: new TopicMap(rules),
    own: Uint8Array.of(1),
    hopsMax: 0,
    counts,
    refusals: new Refusals(),
    dropped: () => {}
  })
}

const publish = (messageId: number): Packet => ({
  cmd: "publish",
  topic: "a",
  payload: "x",
  qos: 1,
  messageId,
  dup: false,
  retain: false
})

/** Lets as much time pass as bytes need to arrive. */
function pass({ simulation }: Story, ms = 100): void {
  simulation.run(simulation.clock.monotonicMs() + ms)
}

/** Begins an effect; its value, or why it failed, once it has ended. */
async function settle<Value>(effect: Effect.Effect<Value, Error>): Promise<Value | string> {
  const exit = await Effect.runPromiseExit(effect)
  return Exit.isSuccess(exit) ? exit.value : String(exit.cause)
}

/** The remote takes the connection. */
async function connectFar(story: Story): Promise<void> {
  const far = settle(story.link.connectRemote(CONNECT))
  pass(story)
  story.there.say(CONNACK)
  pass(story)
  await far
}

/** This broker does, too. */
async function connectBoth(seed: number): Promise<Story> {
  const story = makeStory(seed)
  await connectFar(story)
  const near = settle(story.link.connectLocal(CONNECT, false))
  story.here.say(CONNACK)
  pass(story)
  await near
  return story
}

/** A link between two brokers that have agreed. */
async function standing(seed: number): Promise<Story> {
  const story = await connectBoth(seed)
  begin(story)
  story.link.releaseRemote()
  return story
}

test("packets wait at either side until both sessions are known to agree; then they pass, whatever the pieces", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const story = makeStory(seed)
    const { link, here, there } = story
    const far = settle(link.connectRemote(CONNECT))
    pass(story)
    assert.deepEqual(there.got, ["connect"])
    there.say(CONNACK, publish(1), publish(2))
    pass(story)
    assert.equal(typeof (await far), "object")
    const near = settle(link.connectLocal(CONNECT, true))
    here.say(CONNACK, publish(7))
    pass(story)
    assert.equal(typeof (await near), "object")
    assert.deepEqual([here.got, there.got], [["connect"], ["connect"]])
    begin(story)
    link.releaseRemote()
    pass(story)
    assert.deepEqual(here.got, ["connect", "publish 1", "publish 2"])
    assert.deepEqual(there.got, ["connect"])
    link.releaseLocal()
    pass(story)
    assert.deepEqual(there.got, ["connect", "publish 7"])
    there.say({ cmd: "puback", messageId: 7 })
    here.say({ cmd: "puback", messageId: 1 }, { cmd: "puback", messageId: 2 })
    pass(story)
    assert.deepEqual([here.got.at(-1), there.got.slice(2)], ["puback 7", ["puback 1", "puback 2"]])
  }
})

test("when one side goes the other goes, and the reason is told once", async () => {
  for (const end of [(story: Story) => story.there.end(), (story: Story) => story.here.end()]) {
    const story = await connectBoth(3)
    const ended = settle(story.link.ended)
    end(story)
    pass(story, 10_000)
    assert.match(String(await ended), /closed the connection/)
    assert.deepEqual([story.here.closes, story.there.closes], [1, 1])
    story.link.end("again")
  }
})

test("where a message is refused for now the link ends when what is under way has been acknowledged", async () => {
  const story = await standing(5)
  const { link, here, there } = story
  const ended = settle(link.ended)
  there.say(publish(1), publish(2))
  pass(story)
  here.say({ cmd: "puback", messageId: 1, reasonCode: 0x97 })
  pass(story)
  here.say({ cmd: "puback", messageId: 2 })
  pass(story, 2_000)
  assert.match(String(await ended), /this broker takes no messages now \(0x97\)/)
  assert.deepEqual(there.got, ["connect", "puback 2", "disconnect"])
})

test("a remote that does not answer, or says something else first, is left", async () => {
  const silent = makeStory(1)
  const nothing = settle(silent.link.connectRemote(CONNECT))
  pass(silent, 2_000)
  assert.match(String(await nothing), /the remote's CONNACK has not come in time/)
  const rude = makeStory(2)
  const far = settle(rude.link.connectRemote(CONNECT))
  pass(rude)
  rude.there.say(publish(1))
  pass(rude)
  assert.match(String(await far), /something else before its CONNACK/)
})

test("silence is asked about, and in the end is the end", async () => {
  const story = makeStory(4)
  await connectFar(story)
  story.link.keepAlive(10)
  const ended = settle(story.link.ended)
  pass(story, 60_000)
  assert.match(String(await ended), /silent for too long/)
  assert.ok(story.there.got.filter((packet) => packet === "pingreq").length >= 2)
})

test("a remote that sends and does not read: nothing more is read from it, what waits for it is bounded, and nothing is left out", async () => {
  const story = await standing(5)
  const { there, link } = story
  // No message may have a name that begins with $ here: each is settled by the bridge itself.
  const message = new Uint8Array(generate({ ...publish(9), topic: "$a" } as Packet, { protocolVersion: 5 }))
  const block = new Uint8Array(message.length * 2_000).map((_, at) => message[at % message.length] ?? 0)
  let [said, at] = [0, 0]
  there.reads(false)
  for (let round = 0; round < 4_000; round++) {
    const taken = there.sayRaw(block.subarray(at))
    said += taken
    at = (at + taken) % block.length
    pass(story, 20)
    assert.ok(link.remote.out.length < FULL_BYTES * 2, `${link.remote.out.length} bytes wait`)
  }
  assert.equal(story.link.remote.isFull, true)
  assert.equal(there.sayRaw(block.subarray(at)), 0)
  there.reads(true)
  pass(story, 60_000)
  const whole = Math.floor(said / message.length)
  assert.equal(there.got.filter((packet) => packet === "puback 9").length, whole)
  // It does not answer to pings either.
  there.reads(false)
  for (let round = 0; round < 4_000; round++) {
    at = (at + there.sayRaw(block.subarray(at))) % block.length
    pass(story, 20)
  }
  const ended = settle(link.ended)
  link.keepAlive(10)
  pass(story, 60_000)
  assert.match(String(await ended), /silent for too long/)
})

test("what was written to a remote that always has something waiting is let go", () => {
  let room = 0
  const owner = { remoteCame() {}, remoteDrained() {}, remoteClosed() {} }
  const side = new RemoteSide(owner, 1_000)
  const written: Array<number> = []
  const write = (bytes: Uint8Array, start: number, end: number): number => {
    const taken = Math.min(room, end - start)
    written.push(...bytes.subarray(start, start + taken))
    return taken
  }
  side.accept({ peerAddress: "", write, pause() {}, resume() {}, end() {}, terminate() {} })
  const said = Array.from({ length: 20_000 }, (_, index) => index % 251)
  side.out.raw(Uint8Array.from(said.slice(0, 20)))
  for (let at = 20; at < said.length; at += 10) {
    side.out.raw(Uint8Array.from(said.slice(at, at + 10)))
    side.flush()
    room = 10
    side.drain()
    room = 0
    assert.ok(side.out.length <= 80, `${side.out.length} bytes are kept`)
  }
  assert.deepEqual(written, said.slice(0, written.length))
  assert.ok(written.length >= said.length - 30)
})

test("a link that has ended is not pinged", async () => {
  const story = await standing(6)
  story.there.end()
  pass(story)
  const before = story.simulation.clock.monotonicMs()
  story.link.keepAlive(10)
  // Nothing is left that the time has to come for.
  story.simulation.run()
  assert.ok(story.simulation.clock.monotonicMs() - before < 5_000)
})

test("the row of a bridge: written, read, taken away; what cannot be read is none", async () => {
  const rows = new Map<string, Uint8Array>()
  const tickets = { whenCommitted: (_ticket: number, done: () => void) => done(), failureOf: () => 0 }
  const agreements = new Agreements(
    {
      tickets,
      submit: ({ writes }: { writes: ReadonlyArray<{ key: Uint8Array; value: Uint8Array | undefined }> }) => {
        for (const { key, value } of writes) {
          if (value === undefined) rows.delete(key.toHex())
          else rows.set(key.toHex(), value)
        }
        return 1
      }
    } as never,
    {
      get: (key: Uint8Array) => rows.get(key.toHex()),
      range: () => [...rows].map(([key, value]) => ({ key: Uint8Array.fromHex(key), value }))
    } as never
  )
  const agreed = { remote: "r:1", clientId: "c", isAgreed: true, local: ["a"], retained: [], there: ["b"], qos: 1 }
  assert.equal(agreements.read("cloud"), undefined)
  assert.equal(await agreements.write("cloud", agreed), true)
  assert.deepEqual([agreements.read("cloud"), agreements.names()], [agreed, ["cloud"]])
  for (const broken of ["{", "[]", '{"remote":1}']) {
    const [key = ""] = rows.keys()
    rows.set(key, new TextEncoder().encode(broken))
    assert.equal(agreements.read("cloud"), undefined)
  }
  await agreements.write("cloud", undefined)
  assert.deepEqual(agreements.names(), [])
})
