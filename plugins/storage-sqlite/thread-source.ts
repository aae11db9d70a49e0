/**
 * Where the storage thread's module lies. A build puts another module in this one's place, which holds it as a text
 * (scripts/packaging/build.ts).
 */
export function threadSource(): string {
  return new URL("./thread.ts", import.meta.url).href
}
