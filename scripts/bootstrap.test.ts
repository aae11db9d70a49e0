/** Which package manager installs, and where the pinned Bun is found. */
import assert from "node:assert"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { BootstrapError, bunPath, denoPath, installer } from "./bootstrap.mjs"

let modules = ""
beforeEach(() => {
  modules = mkdtempSync(join(tmpdir(), "manifold-modules-"))
})
afterEach(() => {
  rmSync(modules, { recursive: true, force: true })
})

function program(path: string, text: string): void {
  const file = join(modules, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  chmodSync(file, 0o755)
}
const PLACEHOLDER = "#!/bin/sh\necho 'run the install script' >&2\nexit 1\n"
const OTHER_VERSION = "#!/bin/sh\necho 0.0.1\n"
/** A Bun that is not the pinned one runs this. */
const STRANGER = "0.0.1"

test("npm installs from the lock file first, and adds to what is there afterwards", () => {
  const environment = { npm_execpath: "/usr/lib/npm-cli.js", npm_config_user_agent: "npm/11.0.0 node/v20.0.0" }
  assert.deepStrictEqual(installer(environment, false, false).slice(1, 3), ["/usr/lib/npm-cli.js", "ci"])
  assert.deepStrictEqual(installer(environment, false, true).slice(1, 4), [
    "/usr/lib/npm-cli.js",
    "install",
    "--no-save"
  ])
  assert.deepStrictEqual(installer({}, false, false).slice(0, 2), ["npm", "ci"])
})

test("bun installs where bun started us, with or without node between", () => {
  const environment = { npm_execpath: "/opt/bun", npm_config_user_agent: "bun/1.4.5 npm/? node/v24.0.0" }
  assert.deepStrictEqual(installer(environment, false, false).slice(0, 3), ["/opt/bun", "install", "--no-save"])
  assert.deepStrictEqual(installer({}, true, false).slice(0, 2), [process.execPath, "install"])
})

test("a Bun of the pinned version runs the rest itself; any other looks for the pinned one", () => {
  const pinned = process.versions["bun"] ?? ""
  assert.strictEqual(bunPath(modules, pinned), process.execPath)
  assert.throws(() => bunPath(modules, STRANGER), BootstrapError)
})

test("a placeholder and a wrong version are passed over for the platform's own package", () => {
  program("bun/bin/bun.exe", PLACEHOLDER)
  program("@oven/bun-linux-x64-android/bin/bun", OTHER_VERSION)
  assert.throws(() => bunPath(modules, STRANGER), /no Bun .* in node_modules/)
  mkdirSync(join(modules, "@oven/bun-linux-x64/bin"), { recursive: true })
  const real = join(modules, "@oven/bun-linux-x64/bin/bun")
  symlinkSync(process.execPath, real)
  assert.strictEqual(bunPath(modules, STRANGER), real)
})

test("the pinned Deno, where its install script was refused too", () => {
  assert.throws(() => denoPath(modules), /no Deno .* in node_modules/)
  program("deno/deno", OTHER_VERSION)
  assert.throws(() => denoPath(modules), BootstrapError)
  const real = denoPath()
  mkdirSync(join(modules, "@deno/linux-x64-glibc"), { recursive: true })
  symlinkSync(real, join(modules, "@deno/linux-x64-glibc/deno"))
  assert.strictEqual(denoPath(modules), join(modules, "@deno/linux-x64-glibc/deno"))
})
