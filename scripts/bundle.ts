/**
 * `npm run bundle [-- --config FILE] [--outfile FILE]`: the broker as one JavaScript file, `dist/manifold.js`, for devices that have
 * Bun: `bun manifold.js start`. It holds the plugins that the manifest names, without one all of ours.
 *
 * Exit codes as `compile` has them. The file is there whole or not at all.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { constants, gzipSync, zstdCompressSync } from "node:zlib"
import { ROOT } from "./bootstrap.mjs"
import { bundle } from "./packaging/build.ts"
import { contentsOf } from "./packaging/contents.ts"
import { readWords, runToEnd, show } from "./packaging/run.ts"

const GZIP_LEVEL = 9
const ZSTD_LEVEL = 19
const EXECUTABLE_MODE = 0o755

await runToEnd(async () => {
  const { config, outfile } = readWords({ config: { type: "string" }, outfile: { type: "string" } })
  const contents = await contentsOf(config)
  const file = outfile === undefined ? join(ROOT, "dist/manifold.js") : resolve(outfile)
  const bytes = Buffer.from(await bundle(contents))
  mkdirSync(dirname(file), { recursive: true })
  const unfinished = join(dirname(file), `.${process.pid}-${basename(file)}`)
  try {
    writeFileSync(unfinished, bytes, { mode: EXECUTABLE_MODE })
    renameSync(unfinished, file)
  } finally {
    rmSync(unfinished, { force: true })
  }
  const gzip = gzipSync(bytes, { level: GZIP_LEVEL })
  const zstd = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } })
  const names = [...contents.builtins, ...contents.included.keys()].join(", ")
  const sizes = `${show(bytes.length)}, gzip ${show(gzip.length)}, zstd ${show(zstd.length)}`
  console.log(`${relative(process.cwd(), file)}: ${sizes}; ${names}`)
})
