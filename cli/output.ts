/** The command's three voices: results on stdout, the log on stderr, and the one line that says why it failed. */
import { writeSync } from "node:fs"

const STDOUT = 1
const STDERR = 2

/** Characters that would act on a terminal, or turn the order of what is shown; a line's end and a tab stay. */
const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g

/** What others wrote (a broker's answer, a manifest) as it can be shown. */
export function shown(text: string): string {
  return text.replace(ACTING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

/** One line of the result. */
export function say(line: string): void {
  write(STDOUT, `${shown(line)}\n`)
}

/** One finished line of the log. */
export function writeLog(line: string): void {
  write(STDERR, `${line}\n`)
}

/** One line for the operator, with its time. */
export function logLine(line: string): void {
  write(STDERR, `${new Date().toISOString()} ${line}\n`)
}

/** Something to know beside the result. */
export function note(line: string): void {
  write(STDERR, `${line}\n`)
}

/** Why the command failed. */
export function fail(line: string): void {
  write(STDERR, `manifold: ${shown(line)}\n`)
}

/** An error's first line: what a person needs. */
export function oneLine(error: unknown): string {
  const text =
    error instanceof Error ? `${error.name === "Error" ? "" : `${error.name}: `}${error.message}` : String(error)
  return text.split("\n")[0] ?? ""
}

/** Written before it returns, so that a line is never lost by the exit that follows; a reader that has gone is no reason to stop. */
function write(descriptor: number, text: string): void {
  const bytes = Buffer.from(text)
  let position = 0
  for (let attempt = 0; position < bytes.length && attempt < 100; attempt++) {
    try {
      position += writeSync(descriptor, bytes, position)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return
    }
  }
}
