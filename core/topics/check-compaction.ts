/** Whether a topic can be kept where it is to be, with what its cleanup.policy says. */
import type { Engines } from "../log/Engines.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { settingsOf, type TopicConfigs } from "./topic-settings.ts"

/** Why what a topic is partitioned by keeps it from being compacted, a sentence for a person; undefined where it does not. */
export function partitioningFault({
  partitionBy = "name",
  configs
}: Pick<TopicInfo, "partitionBy" | "configs">): string | undefined {
  if (partitionBy === "name" || configs === undefined || !settingsOf({ configs }).isCompacted) return undefined
  return `partitioned by ${partitionBy}: the records of a key would be in several partitions, and compacted in each`
}

/** Why an engine cannot keep a topic with these configurations, a sentence for a person; undefined where it can. */
export function compactionFault(
  engines: Pick<typeof Engines.Service, "get" | "names">,
  engine: string,
  configs: TopicConfigs | undefined
): string | undefined {
  if (configs === undefined || !settingsOf({ configs }).isCompacted) return undefined
  const found = engines.get(engine)
  if (found === undefined || found.compaction !== undefined) return undefined
  const able = engines.names().filter((name) => engines.get(name)?.compaction !== undefined)
  const others = able.length === 0 ? "no engine that is loaded does" : `${able.join(" and ")} can`
  return `cleanup.policy "compact": engine "${engine}" cannot compact topics, ${others}`
}
