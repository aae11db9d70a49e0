/** Reading and checking the configuration. */
export { address, addressList } from "./address-list.ts"
export { type Effective, type EffectiveKey, type EffectiveTable, effectiveConfig } from "./effective.ts"
export { effectiveOrigins, effectiveToml, effectiveValues } from "./effective-text.ts"
export { type ExternalPlugin, externalPlugins } from "./external.ts"
export { type Fault, formatFault, nearestOf } from "./faults.ts"
export { type Config, type ConfigSource, type Loaded, loadConfig, loadConfigPrepared } from "./load.ts"
export type { ManifestInput } from "./schema.ts"
