import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { CLOSED, type Socket, type SocketReceiver } from "./Net.ts"
import { SIMULATED_EPOCH_MS, Simulation } from "./simulated.ts"
import type { SimulatedSocket } from "./simulated-net.ts"

/** Keeps what it gets and checks the receiver's side of the contract. */
class Recorder implements SocketReceiver {
  readonly pieces: Array<Uint8Array> = []
  drains = 0
  closes = 0
  data(bytes: Uint8Array): void {
    assert.equal(this.closes, 0, "no bytes after the end")
    assert.ok(bytes.length > 0 && bytes.length <= 524_288)
    this.pieces.push(bytes)
  }
  drain(): void {
    assert.equal(this.closes, 0, "no drain after the end")
    this.drains += 1
  }
  closed(): void {
    this.closes += 1
    assert.equal(this.closes, 1)
  }
  get bytes(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

/** Writes all of `bytes`, going on at each drain. */
class Sender extends Recorder {
  position = 0
  onDone: (() => void) | undefined
  readonly socket: Socket
  readonly source: Uint8Array
  constructor(socket: Socket, source: Uint8Array) {
    super()
    this.socket = socket
    this.source = source
  }
  send(): void {
    if (this.position === this.source.length) return
    const taken = this.socket.write(this.source, this.position, this.source.length)
    assert.ok(taken >= 0)
    this.position += taken
    if (this.position === this.source.length) this.onDone?.()
  }
  override drain(): void {
    super.drain()
    this.send()
  }
}

function joined(simulation: Simulation): { client: SimulatedSocket; server: SimulatedSocket } {
  return simulation.net.pair()
}

function numbered(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >>> 8)) & 255)
}

const seeds = fc.integer({ min: 0, max: 0xffffffff })

test("microtasks run before anything else, then what was asked for first, then time goes on", () => {
  const simulation = new Simulation(1)
  const { clock } = simulation
  const seen: Array<string> = []
  clock.after(5, () => seen.push(`five at ${clock.monotonicMs()}`))
  clock.after(1, () => {
    seen.push(`one at ${clock.monotonicMs()}`)
    clock.immediate(() => seen.push("immediate of one"))
    clock.microtask(() => {
      seen.push("microtask of one")
      clock.microtask(() => seen.push("microtask of the microtask"))
    })
  })
  clock.after(1, () => seen.push("also one"))
  clock.immediate(() => seen.push("immediate"))
  clock.microtask(() => seen.push("microtask"))
  simulation.run()
  assert.deepEqual(seen, [
    "microtask",
    "immediate",
    "one at 1",
    "microtask of one",
    "microtask of the microtask",
    "also one",
    "immediate of one",
    "five at 5"
  ])
})

test("a cancelled timer never runs and does not keep the run alive", () => {
  const simulation = new Simulation(1)
  const timer = simulation.clock.after(1_000, () => assert.fail("cancelled"))
  const fired = simulation.clock.after(10, () => {})
  timer.cancel()
  simulation.run()
  fired.cancel()
  assert.equal(simulation.clock.monotonicMs(), 10)
})

test("run stops at its time and stands there", () => {
  const simulation = new Simulation(1)
  let fired = 0
  simulation.clock.after(100, () => (fired += 1))
  simulation.run(99)
  assert.equal(fired, 0)
  assert.equal(simulation.clock.monotonicMs(), 99)
  simulation.run(100)
  assert.equal(fired, 1)
})

test("a stall makes everything late at once, in order; the wall clock may jump alone", () => {
  const simulation = new Simulation(1)
  const { clock } = simulation
  const seen: Array<number> = []
  clock.after(20, () => seen.push(20))
  clock.after(10, () => seen.push(10))
  simulation.stall(50)
  assert.deepEqual(seen, [])
  simulation.run()
  assert.deepEqual(seen, [10, 20])
  assert.equal(clock.monotonicMs(), 50)
  simulation.jumpWallClock(-3_600_000)
  assert.equal(clock.nowMs(), SIMULATED_EPOCH_MS + 50 - 3_600_000)
  assert.equal(clock.monotonicMs(), 50)
})

test("late timers are late, never early", () => {
  const simulation = new Simulation(5, { timerLatenessMsMax: 30 })
  const late: Array<number> = []
  for (let index = 0; index < 50; index++) {
    simulation.clock.after(100, () => late.push(simulation.clock.monotonicMs() - 100))
  }
  simulation.run()
  assert.ok(Math.min(...late) >= 0 && Math.max(...late) <= 30 && new Set(late).size > 10)
})

test("what never comes to rest is stopped, and the seed is named", () => {
  const simulation = new Simulation(77)
  const again = (): void => void simulation.clock.after(1, again)
  again()
  simulation.run(1_000)
  const spin = (): void => simulation.clock.immediate(spin)
  spin()
  assert.throws(() => simulation.run(), /seed 77/)
})

test("promises are settled between events", async () => {
  const simulation = new Simulation(1)
  const seen: Array<string> = []
  const wait = (delayMs: number): Promise<void> =>
    new Promise((resolve) => void simulation.clock.after(delayMs, () => resolve()))
  const story = async (): Promise<void> => {
    await wait(10)
    seen.push(`a ${simulation.clock.monotonicMs()}`)
    await wait(10)
    seen.push(`b ${simulation.clock.monotonicMs()}`)
  }
  void story()
  simulation.clock.after(15, () => seen.push("between"))
  await simulation.runAsync()
  assert.deepEqual(seen, ["a 10", "between", "b 20"])
})

test("bytes arrive whole and in order, however they are cut, both ways at once", () => {
  fc.assert(
    fc.property(seeds, fc.nat(40_000), fc.nat(3_000), (seed, forth, back) => {
      const simulation = new Simulation(seed)
      const { client, server } = joined(simulation)
      const sender = new Sender(client, numbered(forth))
      const answerer = new Sender(server, numbered(back))
      client.receiver = sender
      server.receiver = answerer
      sender.send()
      answerer.send()
      simulation.run()
      assert.ok(answerer.bytes.equals(numbered(forth)) && sender.bytes.equals(numbered(back)))
    }),
    { numRuns: 60 }
  )
})

test("writes are taken in part, drains come, no more than the window is under way", () => {
  let partial = 0
  let drains = 0
  for (let seed = 0; seed < 40; seed++) {
    const simulation = new Simulation(seed, { windowBytesMin: 100, windowBytesMax: 1_000 })
    const { client, server } = joined(simulation)
    const sender = new Sender(client, numbered(10_000))
    client.receiver = sender
    server.receiver = new Recorder()
    sender.send()
    if (sender.position < Math.min(10_000, client.windowBytes)) partial += 1
    while (simulation.step()) assert.ok(client.bytesUnderway <= client.windowBytes)
    drains += sender.drains
  }
  assert.ok(partial > 3, `${partial} partial writes`)
  assert.ok(drains > 100, `${drains} drains`)
})

test("the caller may reuse its bytes as soon as write returns", () => {
  const simulation = new Simulation(4, { partialWritesOfEight: 0 })
  const { client, server } = joined(simulation)
  const receiver = new Recorder()
  client.receiver = new Recorder()
  server.receiver = receiver
  const scratch = Uint8Array.of(9, 1, 2, 3, 9)
  assert.equal(client.write(scratch, 1, 4), 3)
  scratch.fill(0)
  simulation.run()
  assert.deepEqual([...receiver.bytes], [1, 2, 3])
})

test("a paused receiver gets nothing until it resumes, not even the end", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const simulation = new Simulation(seed, { partialWritesOfEight: 0 })
      const { client, server } = joined(simulation)
      const receiver = new Recorder()
      client.receiver = new Recorder()
      server.receiver = receiver
      server.pause()
      client.write(numbered(200), 0, 200)
      client.end()
      simulation.run()
      assert.equal(receiver.pieces.length, 0)
      assert.equal(receiver.closes, 0)
      server.resume()
      simulation.run()
      assert.ok(receiver.bytes.equals(numbered(200)))
      assert.equal(receiver.closes, 1)
    })
  )
})

test("an end arrives after the bytes before it, closes both sides once, and writes are refused", () => {
  fc.assert(
    fc.property(seeds, fc.nat(2_000), (seed, length) => {
      const simulation = new Simulation(seed)
      const { client, server } = joined(simulation)
      const sender = new Sender(client, numbered(length))
      const receiver = new Recorder()
      client.receiver = sender
      server.receiver = receiver
      sender.onDone = () => client.end()
      if (length === 0) client.end()
      else sender.send()
      simulation.run()
      assert.ok(receiver.bytes.equals(numbered(length)))
      assert.equal(receiver.closes, 1)
      assert.equal(sender.closes, 1)
      assert.equal(server.write(numbered(1), 0, 1), CLOSED)
      assert.equal(client.write(numbered(1), 0, 1), CLOSED)
      client.end()
      client.terminate()
      simulation.run()
      assert.equal(sender.closes, 1)
    })
  )
})

test("terminate closes both sides once, at once or later, and loses what was under way", () => {
  let told = 0
  for (let seed = 0; seed < 40; seed++) {
    const simulation = new Simulation(seed, { delayMsMax: 10 })
    const { client, server } = joined(simulation)
    const here = new Recorder()
    const there = new Recorder()
    client.receiver = here
    server.receiver = there
    client.write(numbered(100), 0, 100)
    client.terminate()
    told += here.closes
    assert.equal(client.write(numbered(1), 0, 1), CLOSED)
    simulation.run()
    assert.deepEqual([here.closes, there.closes, there.bytes.length], [1, 1, 0])
  }
  assert.ok(told > 5 && told < 35, `${told} of 40 told inside the call`)
})

test("a listener accepts, refuses a second one on its port, and goes with its scope", async () => {
  const simulation = new Simulation(9)
  const scope = Scope.makeUnsafe()
  const accepted: Array<Recorder> = []
  const accept = (): Recorder => {
    const receiver = new Recorder()
    accepted.push(receiver)
    return receiver
  }
  const { address } = await Effect.runPromise(Scope.provide(simulation.net.listenTcp("127.0.0.1:0", accept), scope))
  assert.match(address, /^127\.0\.0\.1:[1-9]\d+$/)
  const second = await Effect.runPromise(Effect.exit(Effect.scoped(simulation.net.listenTcp(address, accept))))
  assert.ok(Exit.isFailure(second))
  const bad = await Effect.runPromise(Effect.exit(Effect.scoped(simulation.net.listenTcp("nowhere", accept))))
  assert.ok(Exit.isFailure(bad))
  for (let count = 0; count < 20; count++) {
    const client = simulation.net.connect(address, () => new Recorder())
    assert.ok(client !== undefined)
    // Bytes written before the other side was accepted wait for it.
    assert.ok(client.write(numbered(10), 0, 10) >= 0)
  }
  await Effect.runPromise(simulation.net.connectTcp(address, () => new Recorder()))
  const nobody = await Effect.runPromise(Effect.exit(simulation.net.connectTcp("127.0.0.1:1", () => new Recorder())))
  assert.ok(Exit.isFailure(nobody))
  simulation.run()
  assert.equal(accepted.length, 21)
  assert.ok(accepted.some((receiver) => receiver.bytes.length === 10))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.equal(
    simulation.net.connect(address, () => new Recorder()),
    undefined
  )
})

test("HTTP listeners answer", async () => {
  const simulation = new Simulation(9)
  const program = Effect.gen(function* () {
    const handler = (request: Request, peer: string): Response =>
      new Response(`${new URL(request.url).pathname} ${peer}`)
    const { address } = yield* simulation.net.serveHttp("127.0.0.1:0", handler)
    const response = yield* Effect.promise(() => simulation.net.request(address, new Request("http://x/a")))
    return yield* Effect.promise(() => response.text())
  })
  assert.equal(await Effect.runPromise(Effect.scoped(program)), "/a 10.0.0.2")
})

test("files: operations are in the trace, and a sync is done by an event of its own", async () => {
  const hashes = ["a", "b"].map((content) => {
    const simulation = new Simulation(1)
    Effect.runSync(simulation.files.ensureWritableDirectory("/data"))
    const file = simulation.files.openUnsafe(`/data/${content}`, "create")
    file.writeUnsafe(Uint8Array.of(65), 0, 1, 0)
    return simulation.traceHash
  })
  assert.notEqual(hashes[0], hashes[1])
  const simulation = new Simulation(1)
  Effect.runSync(simulation.files.ensureWritableDirectory("/data"))
  let isSynced = false
  const synced = simulation.files.openUnsafe("/data/file", "create").sync()
  void synced.then(() => {
    isSynced = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isSynced, false)
  await simulation.runAsync()
  await synced
})

/** A story that touches everything; returns its trace hash. */
function story(seed: number, length = 5_000): string {
  const simulation = new Simulation(seed, { timerLatenessMsMax: 3 })
  const { client, server } = joined(simulation)
  const sender = new Sender(client, numbered(length))
  client.receiver = sender
  server.receiver = new Recorder()
  sender.onDone = () => client.end()
  simulation.clock.after(2, () => sender.send())
  simulation.clock.immediate(() => simulation.clock.microtask(() => simulation.note("microtask")))
  simulation.run()
  simulation.note(`${simulation.random.uint32()}`)
  return simulation.traceHash
}

test("one seed, one trace; another seed or another byte, another trace", () => {
  const hashes = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    const hash = story(seed)
    assert.equal(story(seed), hash)
    hashes.add(hash)
  }
  assert.equal(hashes.size, 200)
  assert.notEqual(story(1, 5_001), story(1))
})

test("these traces are the same on every machine", () => {
  assert.equal([1, 2, 3, 4].map((seed) => story(seed)).join(" "), "f616e5b8 c31f78b8 11aae104 a06796d5")
})
