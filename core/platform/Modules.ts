/**
 * Loading code from disk while the process runs: what a plugin that is not built in is loaded with. The runtime's adapter does what
 * is said here and no more; which code may be loaded is decided in core/plugin. Plugins are ES modules.
 *
 * Invariants
 *  - Once a guard is set, no module that a plugin's code imports runs unless the guard's `load` gave its bytes, and those bytes are
 *    the ones that run; the files of the host itself are none of the guard's concern.
 *  - Every path is absolute; the paths that a guard is asked for are real: no symbolic link is left in them.
 */

/** What one module names of others. */
export interface ModuleImport {
  /** As it is written. */
  readonly specifier: string
  /** `import`: a statement, or `export ... from`, followed before the module runs; the others are calls with a text. */
  readonly kind: "import" | "dynamic-import" | "require"
}

/** A module's text does not parse. Lines and columns count from 1; 0 = not known. */
export class ModuleSyntaxError extends Error {
  override readonly name = "ModuleSyntaxError"
  readonly line: number
  readonly column: number

  constructor(message: string, line: number, column: number) {
    super(message)
    this.line = line
    this.column = column
  }
}

/** Stands in the way of every module from disk. Both throw to refuse; the message is one line, for the operator. */
export interface ModuleGuard {
  /** Is told of what the module at `importer` asks for, where the runtime tells it; `load` has the last word. */
  readonly resolve: (specifier: string, importer: string) => void
  /** The bytes of the module at `path`; undefined = no plugin's file: the runtime goes on if it is the host's own, else refuses it. */
  readonly load: (path: string) => Uint8Array | undefined
}

/** The files that code lies in. They are read at once and whole: a runtime may ask for a module in the middle of a call. */
export interface ModuleFiles {
  /** What is at `path`, symbolic links followed; undefined = nothing, or something that is neither. */
  kind(path: string): "file" | "folder" | undefined
  /** `path` without symbolic links; undefined = it is not there. */
  realPath(path: string): string | undefined
  /** Throws what the runtime throws. */
  read(path: string): Uint8Array
}

export interface Modules {
  readonly files: ModuleFiles
  /**
   * What the module with this text names of others, in any order, each as often as it likes; imports of types alone are left out,
   * and what is computed cannot be seen. `path` tells the language by its extension: .ts .mts .js .mjs. Throws
   * {@link ModuleSyntaxError}.
   */
  scan(path: string, text: string): ReadonlyArray<ModuleImport>
  /** Whether the runtime itself brings the module: `node:fs`, `fs`, under Bun `bun:sqlite`. */
  isBuiltin(specifier: string): boolean
  /** Makes the host's own modules known by name, for the life of the process; each name's exports are given as they are. Once. */
  publish(modules: ReadonlyMap<string, Readonly<Record<string, unknown>>>): void
  /** Sets the guard, for the life of the process. Once. */
  guard(guard: ModuleGuard): void
  /** Imports the module at `path` (.ts .mts .js .mjs) and returns its exports, or throws what it throws. May never settle. */
  import(path: string): Promise<unknown>
}
