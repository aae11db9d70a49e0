/** A rule by which every client that connects is subscribed: its form, in the manifest and as a resource. */
import * as v from "valibot"
import { checkTopicFilter, parseShared } from "../../../core/mod.ts"
import { whole } from "../listener-options.ts"
import { replayFilter } from "../replay/replay-from.ts"
import { unknownPlaceholder, withoutPlaceholders } from "../rules/placeholders.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

export interface AutoRule {
  readonly name: string
  readonly topic: string
  readonly qos: number
  readonly no_local: boolean
  readonly retain_as_published: boolean
  readonly retain_handling: number
}

const schema = v.pipe(
  v.strictObject({
    name: ruleName,
    topic: v.pipe(
      v.string(),
      v.check(
        (topic) => unknownPlaceholder(topic) === undefined,
        "known placeholders: \u0024{clientid}, \u0024{username}, \u0024{host}"
      ),
      v.check(isFilter, "expected a topic filter, also $share/name/filter, and not $exclusive/ or $replay/"),
      v.description("topic filter; \u0024{clientid}, \u0024{username} and \u0024{host} stand for the client's")
    ),
    qos: v.pipe(v.optional(whole(0, 2), 0), v.description("highest QoS of what it gets by it")),
    no_local: v.pipe(v.optional(v.boolean(), false), v.description("whether its own messages are left out")),
    retain_as_published: v.pipe(
      v.optional(v.boolean(), false),
      v.description("whether the RETAIN flag stays as it was sent")
    ),
    retain_handling: v.pipe(
      v.optional(whole(0, 2), 0),
      v.description("retained messages: 0 = at every connection, 1 = where the subscription is new, 2 = none")
    )
  }),
  v.check(
    ({ topic, no_local }) => !no_local || parseShared(withoutPlaceholders(topic)) === undefined,
    "expected no_local = false for a shared subscription [MQTT-3.8.3-4]"
  )
)

function isFilter(topic: string): boolean {
  const filter = withoutPlaceholders(topic)
  const isPlain = !filter.startsWith("$exclusive/") && replayFilter(filter) === undefined
  return checkTopicFilter(filter) === 0 && typeof parseShared(filter) !== "number" && isPlain
}

export const autoRules: RuleKind<AutoRule> = {
  resource: "auto-subscribe",
  description: "Topic filters that every client is subscribed to when it connects",
  schema
}

/** As an entry of `[[plugin.options.auto_subscribe]]`. */
export const autoSubscribeOptions = schema
