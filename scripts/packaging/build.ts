/**
 * Bundles the command with the plugins of its contents. What differs from the source is put in the place of its modules while
 * bundling, in memory: nothing of a build lies in the tree, and two builds know nothing of each other.
 *
 * The command and with-plugins.ts (the command with all that plugins from disk may import) are bundled apart: entries that are bundled
 * together keep whatever one of them needs, and that one needs all of effect.
 */
import { join } from "node:path"
import type { BuildConfig, BunPlugin } from "bun"
import { ROOT } from "../bootstrap.mjs"
import { builtinsModule, type Contents } from "./contents.ts"
import type { Target } from "./targets.ts"

const CLI = join(ROOT, "cli")
const MAIN = join(CLI, "main.ts")
const BUILTINS = join(CLI, "builtins.ts")
const IMPORT_WITH_PLUGINS = join(CLI, "import-with-plugins.ts")
/** It exists in builds alone. */
const WITH_PLUGINS = join(CLI, "with-plugins.js")

/**
 * The first line of the bundle, for `./manifold.js start`: what `bun manifold.js` reads and does before our first line runs (.env,
 * bunfig.toml, fetching packages that a plugin lacks) is nothing that a broker should. `bun` takes the same flags.
 */
const HASHBANG = "#!/usr/bin/env -S bun --no-env-file --no-install --config=/dev/null"

/** The module that a storage thread runs: bundled apart, and held by the one that starts it as a text. */
const SQLITE = join(ROOT, "plugins/storage-sqlite")
const THREAD = join(SQLITE, "thread.ts")
const THREAD_SOURCE = join(SQLITE, "thread-source.ts")
/** It exists in builds alone. */
const THREAD_TEXT = join(SQLITE, "thread.js")

/** What chooses between runtimes, for the one that is built for. */
const PLATFORM = join(ROOT, "core/platform")
const bunAlone: Readonly<Record<string, string>> = {
  [join(PLATFORM, "host.ts")]: reexport("bunPlatform as hostPlatform", "./bun/mod.ts"),
  [join(PLATFORM, "module-loader.ts")]: reexport("bunModules as hostModuleLoader", "./bun/modules.ts")
}

function reexport(names: string, path: string): string {
  return `export { ${names} } from ${JSON.stringify(path)}`
}

/** The build failed; the message says why, in as many lines as there are reasons. */
export class BuildError extends Error {
  override readonly name = "BuildError"
}

/** What a plugin that is compiled in imports by name is the host's own, whatever lies beside the plugin. */
const hostModules: BunPlugin = {
  name: "manifold host modules",
  setup(build) {
    build.onResolve({ filter: /^manifold$/ }, () => ({ path: join(ROOT, "core/mod.ts") }))
    build.onResolve({ filter: /^(?:effect|valibot)(?:\/|$)/ }, ({ path }) => ({ path: Bun.resolveSync(path, ROOT) }))
  }
}

const common = {
  target: "bun",
  // Some of effect's modules read import.meta, which the default format of bytecode cannot.
  format: "esm",
  minify: true,
  plugins: [hostModules],
  // Without the folder "cli" the second file of an executable lies beside the first.
  root: CLI
} satisfies Partial<BuildConfig>

/** Writes the executable to `outfile`; returns the bytes of JavaScript in it. Throws {@link BuildError}. */
export async function compileExecutable(contents: Contents, target: Target, outfile: string): Promise<number> {
  const files = await filesOf(contents)
  const beside = `import { join } from "node:path"
    export const importWithPlugins = () => import(join(import.meta.dir, "with-plugins.js"))`
  const withPlugins = await bundleWithPlugins(files)
  const { metafile } = await build({
    ...common,
    entrypoints: [MAIN, WITH_PLUGINS],
    files: { ...files, [WITH_PLUGINS]: withPlugins, [IMPORT_WITH_PLUGINS]: beside },
    bytecode: true,
    metafile: true,
    compile: {
      // Bun's types name fewer targets than it builds for.
      target: `bun-${target}` as Bun.Build.CompileTarget,
      outfile,
      // The configuration is manifold.toml alone, whatever lies in the folder that it is started in.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false
    }
  })
  return Object.values(metafile?.outputs ?? {}).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** The whole command as one JavaScript file. Throws {@link BuildError}. */
export async function bundle(contents: Contents): Promise<string> {
  const files = await filesOf(contents)
  // As a text it costs neither time nor memory until a manifest names a plugin from disk.
  const inside = `import text from ${JSON.stringify(WITH_PLUGINS)} with { type: "text" }
    export const importWithPlugins = () =>
      import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })))`
  const withPlugins = await bundleWithPlugins(files)
  const text = await bundleOne(MAIN, { ...files, [WITH_PLUGINS]: withPlugins, [IMPORT_WITH_PLUGINS]: inside })
  return text.replace(/^#!.*/, HASHBANG)
}

/** What is built as it stands here, not as it lies on disk. */
async function filesOf(contents: Contents): Promise<Record<string, string>> {
  const decoder = new TextDecoder()
  const sources = [...contents.sources].map(([path, bytes]) => [path, decoder.decode(bytes)] as const)
  const files = { ...Object.fromEntries(sources), ...bunAlone, [BUILTINS]: builtinsModule(contents) }
  if (!contents.builtins.includes("storage-sqlite")) return files
  const inside = `import text from ${JSON.stringify(THREAD_TEXT)} with { type: "text" }
    let url
    export const threadSource = () => (url ??= URL.createObjectURL(new Blob([text], { type: "text/javascript" })))`
  return { ...files, [THREAD_TEXT]: await bundleOne(THREAD, bunAlone), [THREAD_SOURCE]: inside }
}

async function bundleWithPlugins(files: Readonly<Record<string, string>>): Promise<string> {
  // It has what it would import.
  const none = "export const importWithPlugins = undefined"
  return await bundleOne(join(CLI, "with-plugins.ts"), { ...files, [IMPORT_WITH_PLUGINS]: none })
}

async function bundleOne(entry: string, files: Record<string, string>): Promise<string> {
  const { outputs } = await build({ ...common, entrypoints: [entry], files })
  const [output, ...more] = outputs
  if (output === undefined || more.length > 0)
    throw new BuildError(`${entry}: one file expected, got ${outputs.length}`)
  return await output.text()
}

/** Bun tells of what went wrong in its errors, and has been seen to succeed with errors in its log. */
async function build(config: BuildConfig): Promise<Bun.BuildOutput> {
  let logs: ReadonlyArray<unknown>
  try {
    const output = await Bun.build(config)
    logs = output.logs.filter(({ level }) => level === "error")
    if (output.success && logs.length === 0) return output
  } catch (error) {
    logs = error instanceof AggregateError && error.errors.length > 0 ? error.errors : [error]
  }
  throw new BuildError(logs.map(String).join("\n"))
}
