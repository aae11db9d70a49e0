/** For tests: the face of a program over real shards on a simulated clock. */
import { type AccessShape, allowAll } from "../../core/access/Access.ts"
import { type IngressShard, joinIngress } from "../../core/ingress/fakes.ts"
import { ShardLogs } from "../../core/log/ShardLogs.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import type { TopicDefaults } from "../../core/topics/Topics.ts"
import { Counts } from "./Counts.ts"
import { Dispatcher } from "./Dispatcher.ts"
import { Face } from "./Face.ts"

export interface FaceOptions {
  readonly shards?: number
  readonly defaults?: Partial<TopicDefaults>
  readonly access?: AccessShape
}

/** Topics that a publish makes are persistent, on partitions that commit when the test says so. */
export const LATE: Partial<TopicDefaults> = {
  autoCreateMqtt: "default",
  forName: () => ({ partitions: 1, engine: "memory", mode: "persistent" })
}

export interface FaceFixture {
  readonly simulation: Simulation
  readonly face: Face
  readonly counts: Counts
  readonly shards: ReadonlyArray<IngressShard>
  /** Settles promises and runs what they cause for a little virtual time. */
  readonly rest: () => Promise<void>
}

export function faceOf(options: FaceOptions = {}): FaceFixture {
  const simulation = new Simulation(1)
  const joined = joinIngress(simulation, { shards: 1, ...options })
  const [first] = joined.shards
  const turn = joined.joined.all[0]?.turn
  if (first === undefined || turn === undefined) throw new Error("there is a first shard")
  const { clock } = simulation
  const [logs] = joined.shards.map(
    ({ port, topics, produced }, index) =>
      new ShardLogs(
        port,
        joined.joined.all[index]?.turn ?? turn,
        topics,
        (log, bytes, start, end, records) => produced.appendUnsafe(log, bytes, start, end, records),
        clock
      )
  )
  if (logs === undefined) throw new Error("the first shard has logs")
  const counts = new Counts()
  const face = new Face({
    access: options.access ?? allowAll,
    clock,
    turn,
    counts,
    ingress: first.ingress,
    logs,
    router: first.router,
    topics: first.topics,
    principal: { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" },
    dispatcher: new Dispatcher(turn, clock)
  })
  const rest = (): Promise<void> => simulation.runAsync(clock.monotonicMs() + 20)
  return { simulation, face, counts, shards: joined.shards, rest }
}

/** Runs the simulation until the promise has settled. */
export async function settled<T>(promise: Promise<T>, rest: () => Promise<void>): Promise<T> {
  await Promise.all([promise.then(() => {}).catch(() => {}), rest()])
  return await promise
}
