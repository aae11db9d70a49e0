/** Starting a node. */
export type { DeclaredTopic, LoadedPlugin, NodeOptions } from "./NodeOptions.ts"
export { StartError } from "./StartError.ts"
export { type ReadyInfo, startNode } from "./start-node.ts"
