/** Where a group stands: in the queue logs while something is kept for it there, and in partitions where it replays. */
import type { SharedCursor, SharedPosition } from "../../../core/mod.ts"
import type { GroupReplay } from "./GroupReplay.ts"
import { SOURCES_FROM } from "./GroupReplay.ts"
import type { Held } from "./group-contract.ts"
import { type GroupRow, type Handed, keyOfPlace, type Place } from "./group-rows.ts"

export class GroupPlaces {
  /** In the queue logs. */
  queue: SharedCursor | undefined
  readonly replay: GroupReplay | undefined

  constructor(replay: GroupReplay | undefined) {
    this.replay = replay
  }

  get sum(): number {
    return (this.queue?.sum ?? 0) + (this.replay?.sum ?? 0)
  }

  acquire({ log, offset }: Place): void {
    if (log >= SOURCES_FROM) this.replay?.cursorOf(log)?.acquire(0, offset)
    else this.queue?.acquire(log, offset)
  }

  acknowledge({ log, offset }: Place): void {
    if (log >= SOURCES_FROM) this.replay?.cursorOf(log)?.acknowledge(0, offset)
    else this.queue?.acknowledge(log, offset)
  }

  release({ log, offset }: Place): void {
    if (log >= SOURCES_FROM) this.replay?.cursorOf(log)?.release(0, offset)
    else this.queue?.release(log, offset)
  }

  hold({ log, offset }: Place): void {
    if (log >= SOURCES_FROM) this.replay?.cursorOf(log)?.hold(0, offset)
    else this.queue?.hold(log, offset)
  }

  /**
   * What the row says where these are on their way and of those it says that they are done with; undefined = there is none. It says all or
   * nothing: while it is not known where the group stands in the queue logs it would begin at their ends after a crash.
   */
  state(number: number, handed: Iterable<Handed>, gone: ReadonlySet<string>): GroupRow | undefined {
    const { queue, replay } = this
    if (queue === undefined) return undefined
    const without = ({ next, open }: SharedPosition, log: number): SharedPosition => {
      return { next, open: open.filter((offset) => !gone.has(keyOfPlace({ log, offset }))) }
    }
    const positions = queue.state()
    const row = {
      number,
      positions: gone.size === 0 ? positions : positions.map(without),
      handed: [...handed]
    }
    if (replay === undefined) return row
    const { last, sources } = replay.state()
    const left = sources.map((source) => ({ ...source, position: without(source.position, source.log) }))
    return { ...row, replay: { last, sources: gone.size === 0 ? sources : left } }
  }
}

/** Those of QoS 2 whose members' sessions end with their connections: nobody else may have them after a crash. */
export function goneOf(held: ReadonlyMap<string, Held>): ReadonlySet<string> {
  const gone = new Set<string>()
  for (const [key, { isGone }] of held) if (isGone) gone.add(key)
  return gone
}
