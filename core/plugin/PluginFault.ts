/** Why a plugin is not loaded: one line that says what would be right, and what there is instead. */

/** Characters of what a third party says. */
const LINE_MAX = 300
/** Characters of a fault, which may hold several paths. */
const FAULT_MAX = 2_000

/** Its message is one line, whatever it was made of. */
export class PluginFault extends Error {
  override readonly name = "PluginFault"

  constructor(message: string) {
    super(oneLine(message, FAULT_MAX))
  }
}

/** The first line of a text that a plugin's author wrote, without what would move a terminal's cursor, cut short. */
export function oneLine(text: string, lengthMax = LINE_MAX): string {
  const line = (/[^\r\n]+/.exec(text)?.[0] ?? "").replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?").trim()
  return line.length > lengthMax ? `${line.slice(0, lengthMax - 3)}...` : line
}

/** What something that was thrown says; it may be anything, and may throw again when it is looked at. */
export function thrownMessage(thrown: unknown): string {
  try {
    if (typeof thrown !== "object" || thrown === null) return oneLine(String(thrown))
    const { name, message } = thrown as { readonly name?: unknown; readonly message?: unknown }
    if (typeof message !== "string" || message === "") return oneLine(String(thrown))
    const isPlain = typeof name !== "string" || name === "Error" || name === "PluginFault"
    return oneLine(isPlain ? message : `${name}: ${message}`)
  } catch {
    return "something that cannot be shown"
  }
}

/** Where in `folder` something was thrown, as far as it says: ` (at mod.ts:3:7)`, else nothing. */
export function thrownPlace(thrown: unknown, folder: string): string {
  try {
    const { stack, position } = thrown as { readonly stack?: unknown; readonly position?: unknown }
    const { file, line, column } = (position ?? {}) as Readonly<Record<string, unknown>>
    const lines = [typeof file === "string" ? `${file}:${line}:${column}` : "", typeof stack === "string" ? stack : ""]
    for (const text of lines.flatMap((each) => each.split("\n"))) {
      const start = text.indexOf(folder)
      const place = start < 0 ? null : /^[/\\]([^:]+:\d+:\d+)/.exec(text.slice(start + folder.length))
      if (place?.[1] !== undefined) return ` (at ${oneLine(place[1])})`
    }
  } catch {
    // It says nothing then.
  }
  return ""
}
