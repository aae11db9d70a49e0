/** `topic-rewrite`: the rules, and a dry run that says what a name or filter becomes. */
import { Effect } from "effect"
import * as v from "valibot"
import type { MetaStoreShape, Resource } from "../../../core/mod.ts"
import type { TopicRewrite } from "./TopicRewrite.ts"

const input = v.strictObject({
  topic: v.pipe(v.string(), v.minLength(1), v.maxLength(65_535), v.description("topic name or filter")),
  action: v.pipe(v.optional(v.picklist(["publish", "subscribe"]), "publish"), v.description("what a client does")),
  clientid: v.pipe(v.optional(v.string(), ""), v.description("its client identifier")),
  username: v.pipe(v.optional(v.string(), ""), v.description("its user name")),
  host: v.pipe(v.optional(v.string(), ""), v.description("its address"))
})

export function rewriteResource(rewrite: TopicRewrite, meta: MetaStoreShape): Resource {
  const resource = rewrite.rules.resource(meta)
  return {
    ...resource,
    verbs: [
      ...(resource.verbs ?? []),
      {
        name: "test",
        description: "Says what a topic name or filter becomes, and by which rule",
        target: "collection",
        input,
        run: (_id, given) =>
          Effect.sync(() => {
            const { topic, action, clientid, username, host } = v.parse(input, given)
            const principal = { tenant: 0, user: username, clientIdentifier: clientid, peerAddress: host }
            const made = rewrite.rewritten(action, topic, principal)
            return { topic: made?.topic ?? topic, rule: made?.rule ?? null }
          })
      }
    ]
  }
}
