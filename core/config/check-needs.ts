/** What a node needs of its plugins together: the services that it cannot do without, and engines that do not share a name. */
import type { LoadedPlugin } from "../node/NodeOptions.ts"
import type { Plugin } from "../plugin/Plugin.ts"
import type { Place } from "./check-value.ts"
import { type Fault, show } from "./faults.ts"
import type { PluginEntries } from "./schema.ts"

interface Need {
  readonly what: string
  readonly isMet: (plugin: Plugin) => boolean
}

const NEEDS: ReadonlyArray<Need> = [
  { what: "a meta store", isMet: ({ kind }) => kind === "meta" },
  { what: "a key-value store", isMet: (plugin) => plugin.kind === "storage" && plugin.keyValueStore !== undefined }
]

/** `entries` is the file's list; the plugins that it names have been found. */
export function checkNeeds(
  plugins: ReadonlyArray<LoadedPlugin>,
  entries: PluginEntries | undefined,
  builtins: ReadonlyArray<Plugin>,
  place: Place,
  faults: Array<Fault>
): void {
  for (const { what, isMet } of NEEDS) {
    if (plugins.some(({ plugin }) => isMet(plugin))) continue
    const able = builtins.filter(isMet).map(({ name }) => name)
    const switchedOff = [...(entries ?? [])].find(([, { use, enabled }]) => !enabled && able.includes(use))
    if (switchedOff === undefined) {
      const known = able.length === 0 ? "" : `, such as ${able.join(" or ")}`
      const allowed = `a plugin that brings ${what}${known}`
      faults.push({ key: "plugin", source: place(["plugin"]), found: `none that brings ${what}`, allowed })
      continue
    }
    const path = ["plugin", String(switchedOff[0]), "enabled"]
    const allowed = `true for ${switchedOff[1].use}, or another plugin that brings ${what}`
    faults.push({ key: path.join("."), source: place(path), found: "false", allowed })
  }
  const owners = new Map<string, string>()
  for (const { plugin } of plugins) {
    for (const { name } of plugin.kind === "storage" ? plugin.engines : []) {
      const owner = owners.get(name)
      owners.set(name, plugin.name)
      if (owner === undefined) continue
      const allowed = `each engine once; ${owner} and ${plugin.name} both bring it: switch one off`
      faults.push({ key: "plugin", source: place(["plugin"]), found: `engine ${show(name)}`, allowed })
    }
  }
}
