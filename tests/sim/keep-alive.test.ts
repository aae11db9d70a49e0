/**
 * Packets that take longer to arrive than the keep alive allows: the broker has to end such a connection [MQTT-3.1.2-22], and the
 * model has to know what follows from it, and to tell it from an end without a reason.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../../core/platform/simulated.ts"
import { MqttActor } from "./MqttActor.ts"
import { RetainedModel } from "./RetainedModel.ts"
import { drawScenario, LIVE_NAMES, type Persona, type Scenario } from "./Scenario.ts"
import { SimulatedNode } from "./SimulatedNode.ts"
import { type SimMessage, World } from "./World.ts"

const SEED = 7
/** So slow that a packet of 10,000 bytes takes some seconds: 64 bytes are on their way at most, for up to 20 ms. */
const SLOW = { delayMsMax: 20, windowBytesMin: 64, windowBytesMax: 64, partialWritesOfEight: 0, timerLatenessMsMax: 0 }
const LARGE_BYTES_MIN = 10_000

class Story {
  readonly taken: Array<SimMessage> = []
  readonly world: World
  readonly actor: MqttActor

  private constructor(world: World) {
    this.world = world
    const [persona] = world.scenario.personas
    assert.ok(persona !== undefined)
    this.actor = new MqttActor(world, new RetainedModel(world), persona, [], (message) => this.taken.push(message))
  }

  /** One client of an idle broker, connected. */
  static async connected(habits: Partial<Persona>, mqttBounds: Scenario["mqttBounds"] = {}): Promise<Story> {
    const drawn = drawScenario(SEED, 2, 0)
    const persona: Persona = {
      clientId: "client-0",
      version: 5,
      sessionExpiry: 0,
      receiveMaximum: 20,
      keepAlive: 1,
      cleanOf16: 0,
      willOf16: 0,
      acknowledgeMsMax: 0,
      cutsOf64: 0,
      halfOpenOf64: 0,
      pauseMs: 20,
      windowMax: 10,
      payloadBytesMax: 40 * LARGE_BYTES_MIN,
      ...habits
    }
    const scenario = { ...drawn, network: SLOW, commitMsMax: 0, immediateMsMax: 0, mqttBounds, personas: [persona] }
    const simulation = new Simulation(SEED, SLOW)
    const story = new Story(new World(simulation, new SimulatedNode(simulation), scenario, SEED))
    await story.world.node.start(scenario)
    await story.connect()
    return story
  }

  async connect(): Promise<void> {
    this.actor.connect(false)
    for (let slice = 0; slice < 100 && !this.actor.isSettled; slice++) await this.pass(10)
    assert.ok(this.actor.isSettled, this.actor.pending)
  }

  /** Sends a message that takes longer than any keep alive here; the client has done nothing wrong by then. */
  publishLarge(): SimMessage {
    this.actor.publishTo(LIVE_NAMES[0] ?? "")
    const message = this.world.messages.at(-1)
    assert.ok(message !== undefined && message.payload.length > LARGE_BYTES_MIN)
    return message
  }

  async pass(ms: number): Promise<void> {
    const { simulation } = this.world
    await simulation.runAsync(simulation.clock.monotonicMs() + ms)
  }

  async stop(): Promise<void> {
    this.actor.expectStop()
    await this.world.node.stop()
  }

  metric(name: string): number {
    return this.world.node.metric(`manifold_mqtt_${name}`)
  }
}

test("a client is not settled while what it sent is under way, though no answer is due to it", async () => {
  const story = await Story.connected({ keepAlive: 0 })
  story.actor.publishEverywhere()
  assert.equal(story.actor.isSettled, false)
  await story.pass(4_000)
  assert.ok(story.actor.isSettled, story.actor.pending)
  await story.stop()
})

for (const version of [4, 5] as const) {
  test(`version ${version}: a packet under way for longer than the keep alive allows ends its connection`, async () => {
    const story = await Story.connected({ version })
    const message = story.publishLarge()
    await story.pass(4_000)
    assert.equal(story.metric("keep_alive_timeouts_total"), 1)
    assert.ok(story.actor.isIdle, story.actor.pending)
    assert.equal(message.acknowledgedAt, 0)
    await story.stop()
  })

  test(`version ${version}: a will is due though its client said DISCONNECT, where that came behind such a packet`, async () => {
    const story = await Story.connected({ version, willOf16: 16 })
    const [will] = story.world.messages
    assert.ok(will !== undefined)
    story.publishLarge()
    story.actor.disconnect()
    await story.pass(4_000)
    assert.equal(story.metric("keep_alive_timeouts_total"), 1)
    assert.equal(story.metric("wills_published_total"), 1)
    assert.equal(will.forbidden, "")
    // What became of it is judged when the next connection stands.
    await story.connect()
    assert.deepEqual(story.taken, [will])
    await story.stop()
  })

  test(`version ${version}: an end that the keep alive does not ask for is still one without a reason`, async () => {
    for (const isLeaving of [false, true]) {
      // The broker is made to wait for less than the client said, which is told to nobody below version 5 and ignored here.
      const story = await Story.connected({ version, keepAlive: 10 }, { keep_alive_max: 1 })
      story.publishLarge()
      if (isLeaving) story.actor.disconnect()
      await assert.rejects(story.pass(4_000), { name: "Violation" })
      assert.equal(story.metric("keep_alive_timeouts_total"), 1)
    }
  })
}
