/**
 * Where the replays of a kept session are, as rows: `sc` session(8) filter, a zero byte, topic id, `/`, partition. docs/formats/state.md has them byte
 * by byte.
 */
import type { KeyValueWrite } from "../../../core/mod.ts"
import { numberedKey, read, written } from "../session-rows.ts"
import type { ReplayPlace } from "./find-start.ts"

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

/** What a row says. */
export type KeptPlace = Pick<ReplayPlace, "offset" | "incarnation">

export function rowOfPlace(number: number, filter: string, place: ReplayPlace): KeyValueWrite {
  return { key: replayKey(number, filter, place.topic.id, place.partition), value: encodeReplayPlace(place) }
}

/** A log that outlives the process needs no name, nor does one that is not known. */
export function encodeReplayPlace({ offset, incarnation = 0 }: KeptPlace): Uint8Array {
  return written((writer) => {
    writer.uint53(offset)
    if (incarnation !== 0) writer.uint53(incarnation)
  })
}

export function decodeReplayPlace(value: Uint8Array): KeptPlace {
  const reader = read(value)
  const offset = reader.uint53()
  return { offset, incarnation: reader.position === reader.end ? undefined : reader.uint53() }
}
