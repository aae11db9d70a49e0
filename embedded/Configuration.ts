/**
 * The configuration of a broker inside a program: the words of `manifold.toml` as a plain, typed object.
 *
 * Invariants
 *  - The types come from the schemas that check the values: a wrong name of a built-in plugin's option does not compile, and whatever
 *    else is wrong is a fault at start, with its key.
 *  - Nothing listens and no protocol runs unless it is asked for; a listener that is not named is not opened.
 *  - Nothing is kept on disk unless a directory is named for it.
 */
import type { InferInput } from "valibot"
import type { ManifestInput } from "../core/config/mod.ts"
import type { Plugin } from "../core/mod.ts"
import type { plugin as adminHttp } from "../plugins/admin-http/mod.ts"
import type { plugin as bridgeMqtt } from "../plugins/bridge-mqtt/mod.ts"
import type { plugin as protocolKafka } from "../plugins/protocol-kafka/mod.ts"
import type { plugin as protocolMqtt } from "../plugins/protocol-mqtt/mod.ts"
import type { plugin as storageMemory } from "../plugins/storage-memory/mod.ts"
import type { plugin as storageSegment } from "../plugins/storage-segment/mod.ts"
import type { plugin as storageSqlite } from "../plugins/storage-sqlite/mod.ts"

/** The same with nothing to be changed, so that a constant configuration is one too. */
type Constant<Value> =
  Value extends ReadonlyArray<infer Item>
    ? ReadonlyArray<Constant<Item>>
    : Value extends object
      ? { readonly [Key in keyof Value]: Constant<Value[Key]> }
      : Value

/** What the built-in plugins can be told, by their names. */
export interface BuiltinOptions {
  readonly "admin-http": Constant<InferInput<(typeof adminHttp)["options"]>>
  readonly "bridge-mqtt": Constant<InferInput<(typeof bridgeMqtt)["options"]>>
  readonly "meta-raft": Readonly<Record<string, never>>
  readonly "protocol-kafka": Constant<InferInput<(typeof protocolKafka)["options"]>>
  readonly "protocol-mqtt": Constant<InferInput<(typeof protocolMqtt)["options"]>>
  readonly "storage-memory": Constant<InferInput<(typeof storageMemory)["options"]>>
  readonly "storage-segment": Constant<InferInput<(typeof storageSegment)["options"]>>
  readonly "storage-sqlite": Constant<InferInput<(typeof storageSqlite)["options"]>>
}

/** A built-in plugin by its name. */
type BuiltinEntry = {
  [Name in keyof BuiltinOptions]: {
    readonly use: Name
    readonly enabled?: boolean
    readonly options?: BuiltinOptions[Name]
  }
}[keyof BuiltinOptions]

/** A plugin as a value: one that is imported, or a third party's. */
interface ValueEntry {
  readonly use: Plugin
  readonly enabled?: boolean
  /** Checked at start by the plugin's own schema. */
  readonly options?: Readonly<Record<string, unknown>>
}

export interface Configuration extends Constant<ManifestInput> {
  /** Protocols and the HTTP face that are to run, options for storage plugins, plugins of your own. */
  readonly plugin?: ReadonlyArray<BuiltinEntry | ValueEntry>
}

/** What surrounds the broker, and is no part of a manifest. */
export interface Surroundings {
  /** Takes the log, a finished line at a time; where it is left out nobody reads it. */
  readonly log?: (line: string) => void
  /** Settings that come over the configuration, as `MANIFOLD_NODE__ID`; pass `process.env` to have them read. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Allows listeners that other machines reach, though nobody has to log in. */
  readonly insecure?: boolean
}
