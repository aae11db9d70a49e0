/** Reading and checking the configuration. */
export { type Fault, formatFault, nearestOf } from "./faults.ts"
export { type Config, type ConfigSource, type Loaded, loadConfig } from "./load.ts"
