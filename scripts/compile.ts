/**
 * `npm run compile [-- --target TARGET]... [--config FILE] [--outfile FILE]`: an executable for each target (this machine's, or
 * `all`), `dist/manifold-<target>`, that needs nothing installed. It holds the plugins that the manifest names, without one all of
 * ours.
 *
 * Exit codes: 0 built, 1 not (a fault of the manifest, of the build, or not the format that was asked for), 2 what was typed makes
 * no sense. An executable is there whole or not at all: it is built in a folder of its own, checked, then renamed.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { ROOT } from "./bootstrap.mjs"
import { BuildError, compileExecutable } from "./packaging/build.ts"
import { type Contents, contentsOf } from "./packaging/contents.ts"
import { formatOfFile, targetOf } from "./packaging/executable-format.ts"
import { readWords, runToEnd, show } from "./packaging/run.ts"
import { chooseTargets, fileName, type Target, UsageError } from "./packaging/targets.ts"

await runToEnd(async () => {
  const { target, config, outfile } = readWords({
    target: { type: "string", multiple: true },
    config: { type: "string" },
    outfile: { type: "string" }
  })
  const targets = chooseTargets(target ?? [])
  if (outfile !== undefined && targets.length > 1) throw new UsageError("--outfile takes one --target")
  const contents = await contentsOf(config)
  for (const one of targets) {
    await compile(contents, one, outfile === undefined ? join(ROOT, "dist", fileName(one)) : resolve(outfile))
  }
})

async function compile(contents: Contents, target: Target, file: string): Promise<void> {
  const startedMs = performance.now()
  mkdirSync(dirname(file), { recursive: true })
  // Beside the file, so that it can be renamed; the working directory, because that is where Bun puts what is not finished.
  const workshop = mkdtempSync(join(dirname(file), ".manifold-"))
  const home = process.cwd()
  try {
    process.chdir(workshop)
    // Bun puts .exe behind the name of what it builds for Windows where it does not stand.
    const unfinished = join(workshop, fileName(target))
    const scriptBytes = await compileExecutable(contents, target, unfinished)
    const built = targetOf(formatOfFile(unfinished))
    if (built !== target) throw new BuildError(`${target} was asked for, ${built} was built`)
    renameSync(unfinished, file)
    const names = [...contents.builtins, ...contents.included.keys()].join(", ")
    const sizes = `${show(statSync(file).size)}, of it ${show(scriptBytes)} JavaScript`
    console.log(`${relative(home, file)}: ${sizes}; ${names}; in ${Math.round(performance.now() - startedMs)} ms`)
  } finally {
    process.chdir(home)
    rmSync(workshop, { recursive: true, force: true })
  }
}
