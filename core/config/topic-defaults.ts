/** Engine, mode and partitions of a topic by its name: the first rule that matches, then the defaults. */
import { assert } from "../assert.ts"
import type { Mode } from "../log/Engines.ts"
import type { TopicDefaults } from "../topics/Topics.ts"
import type { Topics } from "./schema.ts"

const MODES: ReadonlyArray<Mode> = ["memory", "hybrid", "persistent"]

/** The mode of this name, which must have been checked against its engine. */
export function modeOf(name: string): Mode {
  const mode = MODES.find((known) => known === name)
  assert(mode !== undefined, "a mode is checked against its engine before it is used")
  return mode
}

/** `topics` must be free of faults. */
export function topicDefaults(topics: Topics): TopicDefaults {
  return {
    autoCreate: topics.auto_create,
    autoCreateMqtt: topics.auto_create_mqtt,
    forName: (name) => {
      const rule = topics.rule.find(({ match }) => matchesPattern(match, name))
      return {
        partitions: rule?.partitions ?? topics.partitions,
        engine: rule?.engine ?? topics.engine,
        mode: modeOf(rule?.mode ?? topics.mode),
        retention: {
          ms: (rule?.retention_time ?? topics.retention_time) * 1_000,
          bytes: rule?.retention_bytes ?? topics.retention_bytes
        },
        compression: rule?.compression ?? topics.compression,
        ...(rule?.configs === undefined ? {} : { configs: rule.configs })
      }
    }
  }
}

/**
 * Whether `name` matches `pattern`, in which `*` stands for any characters, dots too, and everything else for itself. At most
 * pattern x name steps: names come from clients, and a regular expression made of a pattern could take exponentially many.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0
  let position = 0
  /** Where to try again: behind the last star, with that star taking one character more. */
  let starAt = -1
  let starPosition = 0
  while (position < name.length) {
    if (pattern[at] === "*") {
      starAt = at++
      starPosition = position
    } else if (pattern[at] === name[position]) {
      at++
      position++
    } else if (starAt >= 0) {
      at = starAt + 1
      position = ++starPosition
    } else return false
  }
  while (pattern[at] === "*") at++
  return at === pattern.length
}
