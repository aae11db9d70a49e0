/**
 * `${clientid}`, `${username}` and `${host}` in topic names and filters of rules: what a client is called goes in as one level, or a
 * part of one.
 *
 * Invariant: what a client chose can widen no filter and climb to no other level: with `+`, `#` or `/` in it, with `$` at the beginning
 * of a filter, or where there is nothing to put in, the rule does not hold for that client.
 */
import type { Principal } from "../../../core/mod.ts"

const PLACEHOLDER = /\$\{([^}]*)\}/g
const NAMES = ["clientid", "username", "host"]
/** Behind it a filter begins. */
const SHARE = /^\$share\/[^/]*\//
const WIDENING = /[+#/\0]/

/** The first placeholder of a text that means nothing; undefined = none. */
export function unknownPlaceholder(text: string): string | undefined {
  for (const [whole, name = ""] of text.matchAll(PLACEHOLDER)) if (!NAMES.includes(name)) return whole
  // One that is not closed is none, and was meant to be one.
  return text.replaceAll(PLACEHOLDER, "").includes("\u0024{") ? "\u0024{" : undefined
}

/** Puts a plain word in for every placeholder: for a look at the form of the rest. */
export function withoutPlaceholders(text: string): string {
  return text.replaceAll(PLACEHOLDER, "x")
}

/** What stands for a placeholder; undefined where the rule does not hold for this client. */
export function placeholderValue(
  name: string,
  { clientIdentifier, user, peerAddress }: Principal,
  isFirst = false
): string | undefined {
  const value = name === "clientid" ? clientIdentifier : name === "username" ? user : peerAddress
  return value === "" || WIDENING.test(value) || (isFirst && value.startsWith("$")) ? undefined : value
}

/** Puts in what a client is called; undefined where the rule does not hold for it. */
export function fillIn(text: string, principal: Principal): string | undefined {
  let isFit = true
  const share = SHARE.exec(text)?.[0].length ?? 0
  const filled = text.replaceAll(PLACEHOLDER, (_whole, name: string, offset: number) => {
    const value = placeholderValue(name, principal, offset === 0 || offset === share)
    if (value === undefined) isFit = false
    return value ?? ""
  })
  return isFit ? filled : undefined
}
