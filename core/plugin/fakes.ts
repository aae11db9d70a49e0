/** Plugins on disk, in a folder of the test's own, and a host that runs none of them. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type ModuleGuard, type ModuleImport, ModuleSyntaxError, type Modules } from "../platform/Modules.ts"
import { moduleFiles } from "../platform/module-files.ts"

/** A temporary folder; `close` removes it. */
export class TestFolder {
  readonly path = realpathSync.native(mkdtempSync(join(tmpdir(), "manifold-plugin-")))

  /** Writes files by their paths in the folder and returns the folder. */
  write(files: Readonly<Record<string, string | Uint8Array>>): string {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.path, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
    }
    return this.path
  }

  link(name: string, target: string): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path)
  }

  close(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** Reads real files; a line of a module is `import X`, `call X`, `require X` or nothing of note; `!` is a syntax error. */
export class FakeModules implements Modules {
  readonly files = moduleFiles
  /** What an import of the path gives. */
  readonly exports = new Map<string, () => Promise<unknown>>()
  readonly imported: Array<string> = []
  published: ReadonlyArray<string> = []
  guarded: ModuleGuard | undefined

  scan(_path: string, text: string): ReadonlyArray<ModuleImport> {
    return text.split("\n").flatMap((line, index) => {
      const [word = "", specifier = ""] = line.split(" ")
      if (word === "!") throw new ModuleSyntaxError("Unexpected !", index + 1, 1)
      const kind = ({ import: "import", call: "dynamic-import", require: "require" } as const)[word]
      return kind === undefined ? [] : [{ specifier, kind }]
    })
  }

  isBuiltin(specifier: string): boolean {
    return specifier.startsWith("node:")
  }

  publish(modules: ReadonlyMap<string, unknown>): void {
    this.published = [...modules.keys()]
  }

  guard(guard: ModuleGuard): void {
    this.guarded = guard
  }

  import(path: string): Promise<unknown> {
    this.imported.push(path)
    return this.exports.get(path)?.() ?? Promise.resolve({})
  }
}
