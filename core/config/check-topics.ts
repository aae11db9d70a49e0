/** What the shape of the manifest cannot say: engines that are there, modes that they promise, bindings that fit together. */
import type { EngineFact } from "../plugin/Plugin.ts"
import { checkTopicFilter, parseShared } from "../router/topic-filter.ts"
import { isKafkaTopicName } from "../topics/default-binding.ts"
import { compareRank, filtersOverlap } from "../topics/filter-relations.ts"
import { type Fault, nearestOf, show } from "./faults.ts"
import type { Manifest } from "./schema.ts"

type Place = (path: ReadonlyArray<string>) => string

export function checkTopics(
  manifest: Manifest,
  engines: ReadonlyArray<EngineFact>,
  place: Place,
  faults: Array<Fault>
): void {
  const { topics } = manifest
  checkEngine(topics.engine, topics.mode, engines, ["topics"], place, faults)
  for (const [index, rule] of topics.rule.entries()) {
    const path = ["topics", "rule", String(index)]
    checkEngine(rule.engine ?? topics.engine, rule.mode ?? topics.mode, engines, path, place, faults)
  }
  const seen = new Set<string>()
  for (const [index, { topic, filter }] of manifest.binding.entries()) {
    const path = ["binding", String(index)]
    const fault = (key: string, found: string, allowed: string): void => {
      faults.push({ key: [...path, key].join("."), source: place([...path, key]), found: show(found), allowed })
    }
    if (!isKafkaTopicName(topic)) fault("topic", topic, "1 to 249 of A-Z a-z 0-9 . _ -")
    if (seen.has(topic)) fault("topic", topic, "each topic once")
    seen.add(topic)
    if (checkTopicFilter(filter) !== 0 || parseShared(filter) !== undefined) {
      fault("filter", filter, "an MQTT topic filter, + for one level, # at the end")
      continue
    }
    const rival = manifest.binding
      .slice(0, index)
      .find((other) => compareRank(other.filter, filter) === 0 && filtersOverlap(other.filter, filter))
    if (rival !== undefined) {
      fault("filter", filter, `no overlap with "${rival.filter}", which has the same rank: a name has one home`)
    }
  }
}

export function checkEngine(
  engine: string,
  mode: string,
  engines: ReadonlyArray<EngineFact>,
  path: ReadonlyArray<string>,
  place: Place,
  faults: Array<Fault>
): void {
  const known = engines.find((fact) => fact.name === engine)
  const names = engines.map((fact) => fact.name)
  if (known === undefined) {
    const nearest = nearestOf(engine, names)
    const fault = {
      key: [...path, "engine"].join("."),
      source: place([...path, "engine"]),
      found: show(engine),
      allowed: `${names.join(", ")} (the engines of this release and of the plugins that are loaded)`
    }
    faults.push(nearest === undefined ? fault : { ...fault, nearest })
  } else if (!known.modes.some((possible) => possible === mode)) {
    faults.push({
      key: [...path, "mode"].join("."),
      source: place([...path, "mode"]),
      found: show(mode),
      allowed: `${known.modes.join(", ")} (what engine "${engine}" promises)`
    })
  }
}
