/**
 * `$exclusive/<filter>`: a subscription that one client at a time may have. The form is EMQX's and RobustMQ's.
 *
 * What is subscribed to is the filter behind the prefix: ordinary subscriptions to it are not affected, and one of the same client is
 * replaced, as by any other SUBSCRIBE with that filter.
 */
import { checkTopicFilter } from "../../../core/mod.ts"

const PREFIX = "$exclusive/"
/** What stands in no valid exclusive filter: other forms of subscription. */
const OTHER_FORMS: ReadonlyArray<string> = [PREFIX, "$share/", "$replay/"]

/** The filter behind the prefix; undefined where a filter is not exclusive, "" where what is behind it cannot be. */
export function exclusiveFilterOf(filter: string): string | undefined {
  if (!filter.startsWith(PREFIX)) return undefined
  const inner = filter.slice(PREFIX.length)
  return checkTopicFilter(inner) === 0 && !OTHER_FORMS.some((form) => inner.startsWith(form)) ? inner : ""
}
