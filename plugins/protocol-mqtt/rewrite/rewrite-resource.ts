/** `topic-rewrite`: the rules, and a dry run that says what a name or filter becomes. */
import { Effect } from "effect"
import * as v from "valibot"
import type { MetaStoreShape, Resource } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { NOT_AUTHORIZED } from "../reasons.ts"
import { judgeFilter } from "../subscribing.ts"
import { TOPIC_FILTER_INVALID } from "../wire/reason-codes.ts"
import { delayOf, isRefusedName, judgeName } from "./resolve-name.ts"
import { NOT_ALLOWED, type Rewritten } from "./TopicRewrite.ts"

const input = v.strictObject({
  topic: v.pipe(v.string(), v.minLength(1), v.maxLength(65_535), v.description("topic name or filter")),
  action: v.pipe(v.optional(v.picklist(["publish", "subscribe"]), "publish"), v.description("what a client does")),
  clientid: v.pipe(v.optional(v.string(), ""), v.description("its client identifier")),
  username: v.pipe(v.optional(v.string(), ""), v.description("its user name")),
  host: v.pipe(v.optional(v.string(), ""), v.description("its address"))
})

export function rewriteResource(broker: Broker, meta: MetaStoreShape): Resource {
  const { rewrite } = broker
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
              const isNot = made?.topic === NOT_ALLOWED
              return answer(topic, made, isNot ? TOPIC_FILTER_INVALID : judgeFilter(broker, made?.topic ?? topic))
            }
            const refusal = judgeName(broker, topic)
            if (refusal !== 0) return answer(topic, undefined, refusal)
            const delay = delayOf(topic)
            const name = topic.slice(delay.length)
            const made = rewrite.rewritten("publish", name, principal)
            const withDelay = made === undefined ? undefined : { ...made, topic: `${delay}${made.topic}` }
            return answer(topic, withDelay, isRefusedName(broker, name, principal) ? NOT_AUTHORIZED : 0)
          })
      }
    ]
  }
}
