/** What a user of the library imports: the public entry of the core, and what starts a broker inside a program. */
export * from "./core/mod.ts"
export { type NodeOptions, type ReadyInfo, StartError, startNode } from "./core/node/mod.ts"
export * from "./embedded/mod.ts"
