/** What shards tell each other of topics that a PUBLISH made in memory: these are the coordinator's own and stand in no store. */
import { CHANNEL_TOPIC, type LinkPort } from "../link/LinkPort.ts"
import type { TopicInfo } from "./TopicInfo.ts"

export interface TopicNewsListener {
  readonly added: (info: TopicInfo) => void
  readonly removed: (id: string) => void
}

export class TopicNews {
  readonly #port: LinkPort

  /** `listener` hears what the other shards tell. */
  constructor(port: LinkPort, { added, removed }: TopicNewsListener) {
    this.#port = port
    port.handle(CHANNEL_TOPIC, (_from, reader) => {
      const isAdded = reader.uint8() === 1
      const text = reader.text()
      if (isAdded) added(JSON.parse(text) as TopicInfo)
      else removed(text)
    })
  }

  tellAdded(info: TopicInfo): void {
    this.#tell(1, JSON.stringify(info))
  }

  tellRemoved(id: string): void {
    this.#tell(0, id)
  }

  #tell(added: number, text: string): void {
    const port = this.#port
    for (let shard = 0; shard < port.shards; shard++) {
      if (shard === port.shard) continue
      const outbox = port.begin(shard, CHANNEL_TOPIC)
      outbox.uint8(added)
      outbox.text(text)
      port.end(outbox)
    }
  }
}
