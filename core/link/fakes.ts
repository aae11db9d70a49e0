/** For tests: the link ports of several shards in one simulation, joined as they are in one thread. */
import type { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { InThreadLinks } from "./Link.ts"
import { LinkPort } from "./LinkPort.ts"

export interface JoinedShard {
  readonly port: LinkPort
  readonly turn: TurnLoop
}

/** The first shard and the second are what most tests need; `all` has every one. */
export interface JoinedShards {
  readonly here: JoinedShard
  readonly there: JoinedShard
  readonly all: ReadonlyArray<JoinedShard>
  readonly links: InThreadLinks
}

/** Joins `shards` shards, two at least. */
export function joinShards(simulation: Simulation, shards = 2): JoinedShards {
  const links = new InThreadLinks(shards, simulation.clock)
  const make = (shard: number): JoinedShard => {
    const turn = new TurnLoop(simulation.clock)
    const port = new LinkPort(shard, links.linkOf(shard), turn)
    links.setReceiver(shard, (from, bytes) => port.receive(from, bytes))
    return { port, turn }
  }
  const here = make(0)
  const there = make(1)
  const rest = Array.from({ length: Math.max(0, shards - 2) }, (_, index) => make(index + 2))
  return { here, there, all: [here, there, ...rest], links }
}
