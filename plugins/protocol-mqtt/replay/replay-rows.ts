/**
 * Where the replays of a kept session are, as rows: `sc` session(8) filter, a zero byte, topic id, `/`, partition. docs/formats/state.md has them byte
 * by byte.
 */
import type { KeyValueWrite } from "../../../core/mod.ts"
import { numberedKey, read, written } from "../session-rows.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Where a replay is: its key under a session's number. A filter holds no zero byte. */
export function replayKey(number: number, filter: string, topicId: string, partition: number): Uint8Array {
  const name = encoder.encode(`${filter}\0${topicId}/${partition}`)
  const key = numberedKey("sc", number, name.length)
  key.set(name, 10)
  return key
}

export function ofReplayKey(key: Uint8Array): {
  readonly filter: string
  readonly topicId: string
  readonly partition: number
} {
  const [filter = "", place = ""] = decoder.decode(key.subarray(10)).split("\0")
  const [topicId = "", partition = ""] = place.split("/")
  return { filter, topicId, partition: Number(partition) }
}

/** The end of all places of one replay. */
export function dropReplay(number: number, filter: string): KeyValueWrite {
  const name = encoder.encode(`${filter}\0`)
  const key = numberedKey("sc", number, name.length)
  key.set(name, 10)
  const end = key.slice()
  end[end.length - 1] = 1
  return { key, value: undefined, end }
}

export function encodeReplayPlace(next: number): Uint8Array {
  return written((writer) => writer.uint53(next))
}

export function decodeReplayPlace(value: Uint8Array): number {
  return read(value).uint53()
}
