/** What is wrong with a configuration, as facts, and as the one line that a person reads. */

export interface Fault {
  /** Dotted path: `topics.engine`, `plugin.2.use`, `protocol-mqtt.tcp`. */
  readonly key: string
  /** Where it came from: a file with its line, `--set`, or the environment variable. */
  readonly source: string
  readonly found: string
  readonly allowed: string
  /** The known key or value that is most like the one found. */
  readonly nearest?: string
}

const SHOWN_MAX = 80

/** `manifold.toml:12: topics.engine: found "sqllite"; allowed: memory; did you mean "sqlite"?` */
export function formatFault(fault: Fault): string {
  const hint = fault.nearest === undefined ? "" : `; did you mean "${fault.nearest}"?`
  return `${fault.source}: ${fault.key}: found ${fault.found}; allowed: ${fault.allowed}${hint}`
}

const SECRET = /pass(?:word|wd|phrase)|secret|token|credential|api_?key|access_?key$/i
/** The user's part of a URL with a password in it. */
const LOGIN = /:\/\/[^/@\s:]*:[^/@\s]+@/

/** What stands for a secret where it would have been shown. */
export const NOT_SHOWN = "(not shown)"
/** What is allowed where that was given back. */
export const SECRET_ITSELF = "the secret itself, which config print does not tell"

/** Whether `value` must not be shown: what its key is called, or what it holds, makes it a secret. */
export function isSecret(key: string, value: unknown): boolean {
  return SECRET.test(key) || (typeof value === "string" && LOGIN.test(value))
}

/** How a value is shown in a fault: as JSON, cut short; what is a secret, the value or one inside, not at all. */
export function show(value: unknown, key = ""): string {
  if (value === undefined) return "nothing"
  const text = JSON.stringify({ [key]: value }, (name, inner: unknown) => (isSecret(name, inner) ? NOT_SHOWN : inner))
  const shown = text.slice(JSON.stringify(key).length + 2, -1)
  return shown.length > SHOWN_MAX ? `${shown.slice(0, SHOWN_MAX - 3)}...` : shown
}

/** The candidate with the fewest edits from `word`, where it is near enough to be what was meant. */
export function nearestOf(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance: insertions, deletions and replacements of one character. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
