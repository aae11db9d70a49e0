/**
 * For tests: a broker whose topics are real ones over a meta store in a Map, so that what administrators change is what the core makes of it.
 * It has the topic "t" of two partitions.
 */
import { Effect, Scope } from "effect"
import type { TopicInfo } from "../../../core/mod.ts"
import { Simulation } from "../../../core/platform/simulated.ts"
import { type JoinedTopics, type JoinTopicsOptions, joinTopics } from "../../../core/topics/fakes.ts"
import { encodeTopic, topicKey } from "../../../core/topics/topic-codec.ts"
import { makeAdministration } from "../Administration.ts"
import { makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { ClientQuotas } from "../quotas/ClientQuotas.ts"
import { QUOTA_PREFIX } from "../quotas/quota-entity.ts"
import type { Api, Decoded, Encodable } from "../wire/schema.ts"

const T = { engine: "memory", mode: "memory", origin: "kafka" } as const

export interface AdminFixture {
  readonly broker: TestBroker
  readonly client: TestClient
  readonly joined: JoinedTopics
  /** One request of the client, with the time that its answer takes. */
  readonly call: <A extends Api>(
    api: A,
    version: number,
    request: Encodable<A["request"]>
  ) => Promise<Decoded<A["response"]>>
}

export interface AdminFixtureOptions extends JoinTopicsOptions {
  readonly access?: TestBroker["access"]
  /** The shard that the client is connected to. */
  readonly shard?: number
  /** Of the plugin. */
  readonly settings?: object
}

export function makeAdminFixture(options: AdminFixtureOptions = {}): AdminFixture {
  const simulation = new Simulation(1)
  const topic: TopicInfo = { ...T, tenant: 0, name: "t", id: TOPIC_ID, partitions: 2 }
  const meta = [{ key: topicKey(topic), value: encodeTopic(topic), version: 1 }, ...(options.meta ?? [])]
  const joined = joinTopics(simulation, { ...options, meta, compacts: true })
  const topics = joined.shards[options.shard ?? 0]?.topics
  if (topics === undefined) throw new RangeError("no such shard")
  const quotas = new ClientQuotas(1)
  const watched = joined.meta.watch(QUOTA_PREFIX, (change) => quotas.changed(change))
  Effect.runSync(Scope.provide(watched, Scope.makeUnsafe()))
  const logDirectory = "/data"
  const usableBytes = Effect.succeed(1_000_000)
  const admin = makeAdministration({ topics, logDirectory, usableBytes, meta: joined.meta, quotas })
  const { access, settings = {} } = options
  const made = makeTestBroker({ settings, ...(access === undefined ? {} : { access }) })
  const broker: TestBroker = { ...made, topics, admin, quotas }
  const client = new TestClient(broker)
  const call = async <A extends Api>(
    api: A,
    version: number,
    request: Encodable<A["request"]>
  ): Promise<Decoded<A["response"]>> => {
    const frame = client.frame(api, version, request)
    client.send(frame)
    for (let round = 0; round < 200; round++) {
      await broker.time.settle()
      const [answer] = client.takeAnswers(api, version)
      if (answer !== undefined) return answer
      simulation.run(simulation.clock.monotonicMs() + 1)
    }
    throw new Error(`${api.name} was not answered`)
  }
  return { broker, client, joined, call }
}
