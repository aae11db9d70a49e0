/**
 * Regular expressions of others, matched in a time that grows with the length of the text and the size of the expression alone: RE2's, by
 * re2js.
 *
 * It takes more than a megabyte of memory, so it is loaded with the first rule, not with the broker.
 *
 * Source: https://github.com/google/re2/wiki/Syntax. Topics may hold line breaks: `.` matches them.
 */
import type { RE2JS } from "re2js"

export type Expression = RE2JS

export const EXPRESSION_LENGTH_MAX = 1_024
/** Instructions of a compiled one. */
const PROGRAM_SIZE_MAX = 500

let engine: typeof RE2JS | undefined

export function areExpressionsLoaded(): boolean {
  return engine !== undefined
}

export async function loadExpressions(): Promise<void> {
  engine ??= (await import("re2js")).RE2JS
}

/** The expression of a text; undefined where it is none, or too large. Only when {@link loadExpressions} has settled. */
export function expressionOf(text: string): Expression | undefined {
  if (text.length > EXPRESSION_LENGTH_MAX) return undefined
  const expression = compiled(text)
  return expression !== undefined && expression.programSize() <= PROGRAM_SIZE_MAX ? expression : undefined
}

/** Whether a text is an expression, as far as that can be said now. */
export function isExpression(text: string): boolean {
  return text.length <= EXPRESSION_LENGTH_MAX && (engine === undefined || expressionOf(text) !== undefined)
}

/** What to say of an expression that is only too large; undefined where it is not. */
export function sizeFault(text: string): string | undefined {
  if (text.length > EXPRESSION_LENGTH_MAX) return `expected at most ${EXPRESSION_LENGTH_MAX} characters`
  const size = compiled(text)?.programSize() ?? 0
  return size > PROGRAM_SIZE_MAX
    ? `expected an expression of at most ${PROGRAM_SIZE_MAX} instructions, found ${size}: fewer or smaller repetitions`
    : undefined
}

/** Instructions of an expression; 0 where that cannot be said. */
export function expressionSize(text: string): number {
  return compiled(text)?.programSize() ?? 0
}

/** How many groups an expression has; undefined where that cannot be said. */
export function groupCountOf(text: string): number | undefined {
  return compiled(text)?.groupCount()
}

function compiled(text: string): Expression | undefined {
  try {
    return engine?.compile(text, engine.DOTALL)
  } catch {
    return undefined
  }
}
