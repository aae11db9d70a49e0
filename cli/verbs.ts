/** The table of verbs: what is typed, what it says of itself, and what it does. A verb's work is in a file of its own in verbs/. */
import type { Arguments, Flag, VerbForm } from "./arguments.ts"
import { builtins, included } from "./builtins.ts"
import type { ConfigFile } from "./configuration.ts"
import { say } from "./output.ts"
import { backupCreate } from "./verbs/backup-create.ts"
import { backupRestore } from "./verbs/backup-restore.ts"
import { checkConfig } from "./verbs/check-config.ts"
import { configPrint } from "./verbs/config-print.ts"
import { configSchema } from "./verbs/config-schema.ts"
import { checkLoadsPlugin, pluginCheck } from "./verbs/plugin-check.ts"
import { pluginList } from "./verbs/plugin-list.ts"
import { scram } from "./verbs/scram.ts"
import { start } from "./verbs/start.ts"
import { storageDump } from "./verbs/storage-dump.ts"
import { storageRepair } from "./verbs/storage-repair.ts"
import { storageStats } from "./verbs/storage-stats.ts"
import { storageVerify } from "./verbs/storage-verify.ts"
import { VERSION } from "./version.ts"

/** Does the work and returns the exit code. */
export type Verb = VerbForm & { /** What stands behind its name in the help. */ readonly usage: string } & (
    | { readonly reads: "nothing"; readonly run: (given: Arguments) => Promise<number> }
    | {
        readonly reads: "configuration"
        /** Whether it loads plugins from disk that the manifest does not name. */
        readonly loadsPlugins?: (given: Arguments) => boolean
        /** It gets the file that was asked for, with a loader where plugins from disk are to be loaded. */
        readonly run: (given: Arguments, file: ConfigFile) => Promise<number>
      }
  )

const CONFIGURATION: ReadonlyArray<Flag> = ["--config", "--data", "--set"]
const CONFIGURATION_USAGE = "[--config FILE] [--data DIR] [--set key=value]..."
/** How fast a data directory is read, and how what was found is told. */
const REPORT: ReadonlyArray<Flag> = ["--rate", "--output", "--json"]
const REPORT_USAGE = "[--rate MIB] [--output table|json]"

export const verbs: ReadonlyArray<Verb> = [
  {
    name: "start",
    flags: [...CONFIGURATION, "--insecure"],
    usage: `${CONFIGURATION_USAGE} [--insecure]`,
    reads: "configuration",
    run: start
  },
  {
    name: "check-config",
    flags: CONFIGURATION,
    usage: CONFIGURATION_USAGE,
    reads: "configuration",
    run: checkConfig
  },
  {
    name: "config print",
    flags: [...CONFIGURATION, "--origin", "--output"],
    usage: `${CONFIGURATION_USAGE} [--origin] [--output toml|json]`,
    reads: "configuration",
    run: configPrint
  },
  { name: "config schema", flags: ["--config"], usage: "[--config FILE]", reads: "configuration", run: configSchema },
  {
    name: "plugin list",
    flags: ["--config", "--output"],
    usage: "[--config FILE] [--output table|json]",
    reads: "configuration",
    run: pluginList
  },
  {
    name: "plugin check",
    flags: ["--config", "--output"],
    operandsMax: 1,
    usage: "[NAME | PATH | PACKAGE] [--config FILE] [--output table|json]",
    reads: "configuration",
    loadsPlugins: checkLoadsPlugin,
    run: pluginCheck
  },
  {
    name: "storage verify",
    flags: [...CONFIGURATION, ...REPORT],
    usage: `${CONFIGURATION_USAGE} ${REPORT_USAGE}`,
    reads: "configuration",
    run: storageVerify
  },
  {
    name: "storage repair",
    flags: [...CONFIGURATION, "--apply", "--truncate", "--quarantine", "--rebuild-manifest", ...REPORT],
    usage: `${CONFIGURATION_USAGE} [--apply] [--truncate | --quarantine] [--rebuild-manifest] ${REPORT_USAGE}`,
    reads: "configuration",
    run: storageRepair
  },
  {
    name: "storage stats",
    flags: [...CONFIGURATION, ...REPORT],
    usage: `${CONFIGURATION_USAGE} ${REPORT_USAGE}`,
    reads: "configuration",
    run: storageStats
  },
  {
    name: "storage dump",
    flags: [...CONFIGURATION, "--records"],
    operandsMax: 1,
    usage: "FILE [--records] [--config FILE]",
    reads: "configuration",
    run: storageDump
  },
  {
    name: "backup create",
    flags: ["--url", "--rate", "--output"],
    operandsMax: 1,
    sharesResource: true,
    usage: "DIR [--url URL] [--rate MIB] [--output table|json]",
    reads: "nothing",
    run: backupCreate
  },
  {
    name: "backup restore",
    flags: ["--data", "--rate", "--output"],
    operandsMax: 1,
    sharesResource: true,
    usage: "DIR --data NEW [--rate MIB] [--output table|json]",
    reads: "nothing",
    run: backupRestore
  },
  { name: "scram", flags: [], operandsMax: 1, usage: "USER < PASSWORD", reads: "nothing", run: scram },
  { name: "version", flags: [], usage: "", reads: "nothing", run: async () => tell(VERSION) },
  { name: "help", flags: [], usage: "", reads: "nothing", run: async () => tell(help()) }
]

function tell(text: string): number {
  say(text)
  return 0
}

const ABOUT_FLAGS = `  --config FILE     the configuration; without it ./manifold.toml if it is there, else the defaults
  --data DIR        the data directory (node.data)
  --set key=value   one setting, for instance protocol-mqtt.tcp=127.0.0.1:1883; lists by comma.
                    Order: file, then environment (MANIFOLD_PROTOCOL_MQTT__TCP), then --set; the later wins
  --origin          behind each key, the layer that set it
  --rate MIB        read no more than so many MiB a second; 512KiB, 64MiB, 1GiB are understood, too
  --json            the same as --output json
  --apply           do what would be done; without it nothing is changed
  --truncate        a log with a broken batch ends before it; what is behind it is moved aside
  --quarantine      a segment with a broken batch is moved aside
  --rebuild-manifest  make a manifest that is lost or damaged of the segments that are there
  --records         each record, too
  --insecure        allow addresses that other machines reach, though nobody has to log in`

const ABOUT_RESOURCES = `Of a running broker, by what it tells of itself (manifold resource list shows all):
  manifold <resource> list [--filter X] [--limit N]
  manifold <resource> get [ID]
  manifold <resource> VERB [ID] [--key value]...
  manifold <resource> --help
  --url URL         where its HTTP API answers; else MANIFOLD_URL, else http://127.0.0.1:8080
  --output json     for programs`

function help(): string {
  const width = Math.max(...verbs.map(({ name }) => name.length))
  const lines = verbs.map(({ name, usage }) => `  manifold ${name.padEnd(width)}  ${usage}`.trimEnd())
  const title = `manifold ${VERSION}: one messaging runtime, one stored log, many protocols.`
  const plugins = [...builtins.map(({ name }) => name), ...included.keys()].join(", ")
  return [title, "", ...lines, "", ABOUT_FLAGS, "", ABOUT_RESOURCES, "", `Plugins in this build: ${plugins}`].join("\n")
}
