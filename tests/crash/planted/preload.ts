/** Loaded into a broker's process before its own source: plants the bug that MANIFOLD_PLANTED names. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { plugin } from "bun"
import { BUGS } from "./bugs.ts"

const ROOT = join(import.meta.dir, "../../..")
const name = process.env.MANIFOLD_PLANTED ?? ""
const bug = BUGS.find((known) => known.name === name)
if (bug === undefined) throw new Error(`no bug is called "${name}"`)
const byFile = Map.groupBy(bug.replacements, ({ file }) => join(ROOT, file))
const sources = new Map<string, string>()
for (const [path, replacements] of byFile) {
  let source = readFileSync(path, "utf8")
  for (const { text, by } of replacements) {
    if (source.split(text).length !== 2) throw new Error(`${path} does not hold "${text}" once: plant it anew`)
    source = source.replace(text, () => by)
  }
  sources.set(path, source)
}
plugin({
  name: "planted",
  setup(build) {
    const names = [...sources.keys()].map((path) => path.replace(/[.\\/+-]/g, "\\$&"))
    build.onLoad({ filter: new RegExp(`^(?:${names.join("|")})$`) }, ({ path }) => ({
      contents: sources.get(path) ?? readFileSync(path, "utf8"),
      loader: "ts"
    }))
  }
})
