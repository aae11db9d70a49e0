/** What a user of the library imports: the public entry of the core, and `start`. */
export * from "./core/mod.ts"
export { type NodeOptions, type ReadyInfo, StartError, startNode } from "./core/node/mod.ts"
