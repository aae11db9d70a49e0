/** The micro benchmarks by name; each is imported only when it is asked for. */
import type { MicroSuite } from "./suite.ts"

export const SUITES: Readonly<Record<string, () => Promise<{ readonly suite: MicroSuite }>>> = {
  crc32c: () => import("./crc32c.ts"),
  compression: () => import("./compression.ts"),
  "record-batch": () => import("./record-batch.ts"),
  "memory-append": () => import("./memory-append.ts"),
  "publish-scan": () => import("./publish-scan.ts"),
  "topic-match": () => import("./topic-match.ts"),
  "in-process": () => import("./in-process.ts")
}
