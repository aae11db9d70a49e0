/**
 * aedes is a library: this is the smallest broker that can be made of it. Runs under Node.
 *
 * `node aedes.mjs PORT MODULES [LEVEL]`: MODULES is the folder whose node_modules holds aedes, LEVEL the folder of the
 * LevelDB persistence (none: memory).
 */
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { pathToFileURL } from "node:url"

const [port, modules, level] = process.argv.slice(2)
const load = createRequire(`${modules}/package.json`)
const { Aedes } = await import(pathToFileURL(`${modules}/node_modules/aedes/aedes.js`).href)

async function persistence() {
  if (level === undefined) return undefined
  const { Level } = load("level")
  const AsyncPersistence = load("aedes-persistence-level/asyncPersistence.js")
  return new AsyncPersistence(new Level(level))
}

const kept = await persistence()
const broker = await Aedes.createBroker(kept === undefined ? {} : { persistence: kept })
createServer({ noDelay: true }, broker.handle).listen(Number(port), "127.0.0.1")
process.on("SIGTERM", () => broker.close(() => process.exit(0)))
