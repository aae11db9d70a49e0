/** Where one replay is in one partition or queue log. */
import type { TopicInfo } from "../../../core/mod.ts"
import type { ReplayPlace } from "./find-start.ts"
import { LogTail } from "./LogTail.ts"

export interface Cursor {
  readonly topic: TopicInfo
  readonly partition: number
  readonly key: string
  next: number
  /** Which log that is an offset of; undefined = not known yet. */
  incarnation: number | undefined
  /** What its row says, where its session is kept. */
  kept: number
  readonly tail: LogTail
  stopWaiting: (() => void) | undefined
}

/** A partition of a topic at whose end somebody rests. */
export type RestingPlace = Pick<ReplayPlace, "topic" | "partition">

/** One that has no row yet. */
export function cursorAt({ topic, partition, offset: next, incarnation }: ReplayPlace): Cursor {
  const key = keyOf(topic, partition)
  return { topic, partition, key, next, incarnation, kept: -1, tail: new LogTail(), stopWaiting: undefined }
}

export function placeOf({ topic, partition, next: offset, incarnation }: Cursor): ReplayPlace {
  return { topic, partition, offset, incarnation }
}

/** Names a partition or queue log. */
export function keyOf({ id }: TopicInfo, partition: number): string {
  return `${id}/${partition}`
}
