/**
 * The contract suites, for whoever writes a storage or meta plugin: `import { engineContract } from "manifold/contracts"`. Each is
 * called once in a test file of yours and runs under `bun test`, and under any runner of `node:test`. With them come the batches that
 * the suites use and services to build an engine from, for tests of your own.
 */
export * as batches from "./batches.ts"
export { engineContract } from "./engine-contract.ts"
export { keyValueContract } from "./key-value-contract.ts"
export { metaStoreContract } from "./meta-store-contract.ts"
export { type TestServices, testServices } from "./services.ts"
