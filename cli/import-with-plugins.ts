/**
 * Imports with-plugins.ts at the moment that it is needed. A module of its own because a build replaces it: the executable keeps
 * with-plugins.ts as a second file, the bundle as a text (scripts/packaging/build.ts).
 */
export function importWithPlugins(): Promise<typeof import("./with-plugins.ts")> {
  return import("./with-plugins.ts")
}
