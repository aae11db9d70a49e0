/** `topic-rewrite`: the rules, and a dry run that says what a name or filter becomes. */
import { Effect } from "effect"
import * as v from "valibot"
import { checkTopicFilter, checkTopicName, type MetaStoreShape, parseShared, type Resource } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { exclusiveFilterOf } from "../exclusive/exclusive-filter.ts"
import { NOT_AUTHORIZED } from "../reasons.ts"
import { isReservedText } from "../reserved-names.ts"
import { TOPIC_FILTER_INVALID, TOPIC_NAME_INVALID } from "../wire/reason-codes.ts"
import { delayOf, isRefusedName } from "./resolve-name.ts"
import { NOT_ALLOWED, type Rewritten } from "./TopicRewrite.ts"

const input = v.strictObject({
  topic: v.pipe(v.string(), v.minLength(1), v.maxLength(65_535), v.description("topic name or filter")),
  action: v.pipe(v.optional(v.picklist(["publish", "subscribe"]), "publish"), v.description("what a client does")),
  clientid: v.pipe(v.optional(v.string(), ""), v.description("its client identifier")),
  username: v.pipe(v.optional(v.string(), ""), v.description("its user name")),
  host: v.pipe(v.optional(v.string(), ""), v.description("its address"))
})

export function rewriteResource(broker: Broker, meta: MetaStoreShape): Resource {
  const { rewrite, refusals } = broker
  const resource = rewrite.rules.resource(meta)
  const answer = (topic: string, made: Rewritten | undefined, reasonCode: number): object => ({
    topic: made?.topic ?? topic,
    rule: made?.rule ?? null,
    reasonCode
  })
  return {
    ...resource,
    verbs: [
      ...(resource.verbs ?? []),
      {
        name: "test",
        description: "Says what a topic name or filter becomes, by which rule, and the Reason Code where it is refused",
        target: "collection",
        input,
        run: (_id, given) =>
          Effect.sync(() => {
            const { topic, action, clientid, username, host } = v.parse(input, given)
            const principal = { tenant: 0, user: username, clientIdentifier: clientid, peerAddress: host }
            if (action === "subscribe") {
              const made = rewrite.rewritten("subscribe", topic, principal)
              const filter = exclusiveFilterOf(made?.topic ?? topic) ?? made?.topic ?? topic
              const shared = parseShared(filter)
              if (made?.topic === NOT_ALLOWED || typeof shared === "number" || checkTopicFilter(filter) !== 0) {
                return answer(topic, made, TOPIC_FILTER_INVALID)
              }
              const isRefused = refusals.isSubscribeRefused(shared?.filter ?? filter)
              return answer(topic, made, isRefused ? NOT_AUTHORIZED : 0)
            }
            const delay = delayOf(topic)
            const name = topic.slice(delay.length)
            if (checkTopicName(name) !== 0) return answer(topic, undefined, TOPIC_NAME_INVALID)
            if (isReservedText(name)) return answer(topic, undefined, NOT_AUTHORIZED)
            const made = rewrite.rewritten("publish", name, principal)
            const withDelay = made === undefined ? undefined : { ...made, topic: `${delay}${made.topic}` }
            return answer(topic, withDelay, isRefusedName(broker, name, principal) ? NOT_AUTHORIZED : 0)
          })
      }
    ]
  }
}
