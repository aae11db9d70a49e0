/**
 * What a topic was bound to before, and from which offsets on: for readers that were away, and for records that lie before the last change.
 *
 * Invariant: a binding holds from its own offsets to those of the next one, the last former one to {@link TopicInfo.boundFrom}.
 */
import { nameOfTopic } from "./default-binding.ts"
import { filtersOverlap } from "./filter-relations.ts"
import type { FormerBinding, TopicInfo } from "./TopicInfo.ts"

/** Changes of one topic that are remembered; a reader that was away for more of them does not find what is older. */
export const FORMER_MAX = 32

/** What a topic was bound to, with its present binding among it, when it is bound otherwise. */
export function formerlyWith({ filter, formerly = [], boundFrom = [] }: TopicInfo): ReadonlyArray<FormerBinding> {
  const present: FormerBinding = { ...(filter === undefined ? {} : { filter }), from: boundFrom }
  return [...formerly, present].slice(-FORMER_MAX)
}

/** Whether a topic's binding was changed between two states of it, to the same filter again too. */
export function isBoundOtherwise(one: TopicInfo, other: TopicInfo): boolean {
  return one.filter !== other.filter || one.boundFrom?.join() !== other.boundFrom?.join()
}

/** Whether the topic was the home of names that match a filter. */
export function wasHomeOf(topic: TopicInfo, filter: string): boolean {
  return (topic.formerly ?? []).some((binding) => isOf(topic, binding, filter))
}

/** The first offset of a partition from which on the topic was the home of names that match a filter, as far as is known; else from where it is. */
export function homeFrom(topic: TopicInfo, partition: number, filter: string): number {
  const first = (topic.formerly ?? []).find((binding) => isOf(topic, binding, filter))
  return (first?.from ?? topic.boundFrom)?.[partition] ?? 0
}

/** The binding under which the record at `offset` was stored; undefined = the present one. */
export function bindingAt(
  { formerly, boundFrom }: TopicInfo,
  partition: number,
  offset: number
): FormerBinding | undefined {
  if (offset >= (boundFrom?.[partition] ?? 0)) return undefined
  return formerly?.findLast(({ from }) => offset >= (from[partition] ?? 0))
}

function isOf({ name }: TopicInfo, { filter = nameOfTopic(name) }: FormerBinding, wanted: string): boolean {
  return filter !== undefined && filtersOverlap(filter, wanted)
}
