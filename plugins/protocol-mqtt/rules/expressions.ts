/**
 * Regular expressions of others, matched in a time that grows with the length of the text alone: RE2's, by re2js.
 *
 * It takes more than a megabyte of memory, so it is loaded with the first rule, not with the broker.
 */
import type { RE2JS } from "re2js"

export type Expression = RE2JS

let engine: typeof RE2JS | undefined

export function areExpressionsLoaded(): boolean {
  return engine !== undefined
}

export async function loadExpressions(): Promise<void> {
  engine ??= (await import("re2js")).RE2JS
}

/** The expression of a text; undefined where it is none. Only when {@link loadExpressions} has settled. */
export function expressionOf(text: string): Expression | undefined {
  try {
    return engine?.compile(text)
  } catch {
    return undefined
  }
}
