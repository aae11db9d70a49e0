/**
 * From where on a subscription wants what is stored: `earliest`, `latest`, an offset, or a time.
 *
 * Version 5 says it with the user property `manifold-from` of a SUBSCRIBE, every version with `$replay/<from>/<filter>`, and of a shared
 * subscription `$share/<share name>/$replay/<from>/<filter>`. A time is ISO 8601; in a filter in UTC with `Z`, for a level cannot hold a `+`.
 */
import * as v from "valibot"
import type { UserProperties } from "../wire/properties.ts"

/** The user property of a SUBSCRIBE. */
export const REPLAY_PROPERTY = "manifold-from"
const PREFIX = "$replay/"
const SHARE_PREFIX = "$share/"
const OFFSET = /^(?:0|[1-9]\d{0,15})$/

export type ReplayFrom =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  | { readonly kind: "offset"; readonly offset: number }
  /** Ms since 1970. */
  | { readonly kind: "time"; readonly atMs: number }

const TIME = v.pipe(v.string(), v.isoTimestamp())

/** Reads where to begin; undefined where the text says nothing of that kind. */
export function parseReplayFrom(text: string): ReplayFrom | undefined {
  if (text === "earliest" || text === "latest") return { kind: text }
  if (OFFSET.test(text)) {
    const offset = Number(text)
    return Number.isSafeInteger(offset) ? { kind: "offset", offset } : undefined
  }
  const atMs = v.is(TIME, text) && isDay(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(atMs) ? undefined : { kind: "time", atMs }
}

/** Whether there is the day with which a time begins: the 31st of February would be one of March. */
function isDay(text: string): boolean {
  const day = text.slice(0, 10)
  const atMs = Date.parse(day)
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(day)
}

/** What a SUBSCRIBE's user properties say; undefined where they say nothing of it. The last one holds. */
export function replayProperty(properties: UserProperties): string | undefined {
  return properties.findLast(([name]) => name === REPLAY_PROPERTY)?.[1]
}

/** A filter that begins with `$replay/`, also behind a share name, in its parts; undefined where it does not. */
export function replayFilter(filter: string): { readonly from: string; readonly filter: string } | undefined {
  const share = filter.startsWith(SHARE_PREFIX) ? filter.indexOf("/", SHARE_PREFIX.length) + 1 : 0
  if (!filter.startsWith(PREFIX, share)) return undefined
  const parts = partsOf(filter.slice(share))
  return { from: parts.from, filter: filter.slice(0, share) + parts.filter }
}

function partsOf(filter: string): { readonly from: string; readonly filter: string } {
  const slash = filter.indexOf("/", PREFIX.length)
  if (slash < 0) return { from: filter.slice(PREFIX.length), filter: "" }
  return { from: filter.slice(PREFIX.length, slash), filter: filter.slice(slash + 1) }
}

/** The filter without `$replay/<from>/` in front. */
export function withoutReplay(filter: string): string {
  return replayFilter(filter)?.filter ?? filter
}
