/** What the shape of the manifest cannot say: engines that are there, modes that they promise, bindings that fit together. */
import type { EngineFact } from "../plugin/Plugin.ts"
import { checkTopicFilter, parseShared } from "../router/topic-filter.ts"
import { partitioningFault } from "../topics/check-compaction.ts"
import { isKafkaTopicName } from "../topics/default-binding.ts"
import { compareRank, filtersOverlap } from "../topics/filter-relations.ts"
import { isPartitionBy } from "../topics/partition-by.ts"
import { RETENTION_BYTES, RETENTION_MS } from "../topics/retention-configs.ts"
import { checkTopicConfigs } from "../topics/topic-configs.ts"
import type { TopicConfigs } from "../topics/topic-settings.ts"
import type { Path, Place } from "./check-value.ts"
import { type Fault, nearestOf, show } from "./faults.ts"
import type { Bindings, Topics } from "./schema.ts"
import { matchesPattern } from "./topic-defaults.ts"

/** What `auto_create_mqtt = "memory"` makes its topics with. */
const MEMORY_ENGINE = "memory"

export function checkTopics(
  topics: Topics,
  engines: ReadonlyArray<EngineFact>,
  place: Place,
  faults: Array<Fault>
): void {
  checkEngine(topics.engine, topics.mode, engines, ["topics"], place, faults)
  for (const [index, rule] of topics.rule.entries()) {
    checkConfigs(rule.configs ?? {}, ["topics", "rule", String(index), "configs"], place, faults)
    if (rule.engine === undefined && rule.mode === undefined) continue
    const path = ["topics", "rule", String(index)]
    checkEngine(rule.engine ?? topics.engine, rule.mode ?? topics.mode, engines, path, place, faults)
  }
  if (topics.auto_create_mqtt === "memory" && !engines.some(({ name }) => name === MEMORY_ENGINE)) {
    const path = ["topics", "auto_create_mqtt"]
    const allowed = `default | off, for no engine "${MEMORY_ENGINE}" is loaded`
    faults.push({ key: path.join("."), source: place(path), found: show("memory"), allowed })
  }
}

/** Each by itself, and what belongs together. What a rule says of retention in its own words it says in these alone. */
function checkConfigs(configs: TopicConfigs, path: Path, place: Place, faults: Array<Fault>): void {
  const tell = (key: Path, found: string, allowed: string): void => {
    faults.push({ key: key.join("."), source: place(key), found: show(found), allowed })
  }
  const before = faults.length
  for (const [name, value] of Object.entries(configs)) {
    const at = [...path, name]
    const instead = name === RETENTION_MS ? "retention_time" : name === RETENTION_BYTES ? "retention_bytes" : undefined
    const checked = checkTopicConfigs({ [name]: value })
    if (instead !== undefined) tell(at, value, `${instead} of the rule, which says the same`)
    else if (typeof checked === "string") tell(at, value, checked)
  }
  if (faults.length > before) return
  const whole = checkTopicConfigs(configs)
  if (typeof whole === "string") tell(path, JSON.stringify(configs), whole)
}

export function checkBindings(
  bindings: Bindings,
  topics: Topics,
  engines: ReadonlyArray<EngineFact>,
  place: Place,
  faults: Array<Fault>
): void {
  const seen = new Set<string>()
  const filters: Array<string> = []
  for (const [index, binding] of bindings) {
    const { topic, filter } = binding
    const path = ["binding", String(index)]
    const fault = (key: string, found: string, allowed: string): void => {
      faults.push({ key: [...path, key].join("."), source: place([...path, key]), found: show(found), allowed })
    }
    if (!isKafkaTopicName(topic)) fault("topic", topic, "1 to 249 of A-Z a-z 0-9 . _ -")
    else if (seen.has(topic)) fault("topic", topic, "each topic once")
    seen.add(topic)
    if (binding.engine !== undefined || binding.mode !== undefined) {
      const rule = topics.rule.find(({ match }) => matchesPattern(match, topic))
      const engine = binding.engine ?? rule?.engine ?? topics.engine
      checkEngine(engine, binding.mode ?? rule?.mode ?? topics.mode, engines, path, place, faults)
    }
    const ruled = topics.rule.find(({ match }) => matchesPattern(match, topic))?.configs
    if (isUncompactable(binding.partition_by, ruled)) {
      fault("partition_by", binding.partition_by ?? "", 'name, for the rule of its name says cleanup.policy "compact"')
    }
    if (checkTopicFilter(filter) !== 0 || parseShared(filter) !== undefined) {
      fault("filter", filter, "an MQTT topic filter, + for one level, # at the end")
      continue
    }
    const rival = filters.find((other) => compareRank(other, filter) === 0 && filtersOverlap(other, filter))
    filters.push(filter)
    if (rival !== undefined) {
      fault("filter", filter, `no overlap with "${rival}", which has the same rank: a name has one home`)
    }
  }
}

function isUncompactable(by: string | undefined, configs: TopicConfigs | undefined): boolean {
  if (configs === undefined || by === undefined || !isPartitionBy(by)) return false
  return partitioningFault({ partitionBy: by, configs }) !== undefined
}

function checkEngine(
  engine: string,
  mode: string,
  engines: ReadonlyArray<EngineFact>,
  path: Path,
  place: Place,
  faults: Array<Fault>
): void {
  const known = engines.find((fact) => fact.name === engine)
  if (known === undefined) {
    const names = engines.map((fact) => fact.name)
    const allowed = names.length === 0 ? "none, for no storage plugin is loaded" : names.join(" | ")
    tell("engine", engine, names, `${allowed} (the engines of this release and of the plugins that are loaded)`)
  } else if (!known.modes.some((possible) => possible === mode)) {
    tell("mode", mode, known.modes, `${known.modes.join(" | ")} (what engine "${engine}" promises)`)
  }
  function tell(key: string, found: string, known: ReadonlyArray<string>, allowed: string): void {
    const nearest = nearestOf(found, known)
    const fault = { key: [...path, key].join("."), source: place([...path, key]), found: show(found), allowed }
    faults.push(nearest === undefined ? fault : { ...fault, nearest })
  }
}
