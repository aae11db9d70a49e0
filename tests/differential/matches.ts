/** Whether a topic filter, of a shared subscription too, matches a topic name. */
import { matches } from "../sim/matches.ts"

export const isShared = (filter: string): boolean => filter.startsWith("$share/")

export function matchesShared(filter: string, name: string): boolean {
  return matches(isShared(filter) ? filter.split("/").slice(2).join("/") : filter, name)
}
