/**
 * Which partition of its home a message goes to.
 *
 * Source: docs/interop.md, "Names"; Kafka's murmur2 of the chosen text, as Kafka's producers compute it of a key ({@link partitionForKey}).
 */
import { partitionForKey } from "../log/murmur2.ts"
import type { PartitionBy, TopicInfo } from "./TopicInfo.ts"

/** Names have no more levels. */
const LEVELS_MAX = 128
const LEVEL = /^level:([1-9][0-9]{0,2})$/
const encoder = new TextEncoder()
const scratch = new Uint8Array(65_535 * 3)

/** Whether it says what partitions are chosen by. */
export function isPartitionBy(text: string): text is PartitionBy {
  if (text === "name" || text === "client") return true
  const level = Number(LEVEL.exec(text)?.[1] ?? 0)
  return level >= 1 && level <= LEVELS_MAX
}

/** The partition of all messages on a topic name; of a topic that is partitioned by client, that whose owner has all its partitions. */
export function partitionOfName({ partitions, partitionBy }: TopicInfo, name: string): number {
  if (partitions === 1 || partitionBy === "client") return 0
  return partitionOf(
    partitionBy === undefined || partitionBy === "name" ? name : levelOf(name, partitionBy),
    partitions
  )
}

/** The partition of a message of this client where its topic is partitioned by client. */
export function partitionOfClient({ partitions }: TopicInfo, clientIdentifier: string): number {
  return partitions === 1 ? 0 : partitionOf(clientIdentifier, partitions)
}

/** The level of that number; the whole of a name that has fewer. */
function levelOf(name: string, partitionBy: PartitionBy): string {
  const number = Number(LEVEL.exec(partitionBy)?.[1] ?? 0)
  return name.split("/")[number - 1] ?? name
}

function partitionOf(text: string, partitions: number): number {
  const { written } = encoder.encodeInto(text, scratch)
  return partitionForKey(scratch, 0, written, partitions)
}
