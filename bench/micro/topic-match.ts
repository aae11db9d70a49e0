/** Which subscriptions match a topic name: the walk that a resolution is made from when a name is not cached. */
import { FilterIndex } from "../../core/router/FilterIndex.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const NAMES = 1000
/** So many devices subscribe to their own command topic. */
const DEVICES = 100_000

class Value {
  readonly number: number
  constructor(number: number) {
    this.number = number
  }
}

/** 100,000 exact filters, and with `wildcards` also `+` by level and `#` by prefix: 5 matches a name. */
function index(wildcards: boolean): FilterIndex<Value> {
  const filters = new FilterIndex<Value>(1)
  for (let device = 0; device < DEVICES; device++) {
    filters.add(`tenant/${device % 100}/device/${device}/command`, new Value(device))
  }
  if (!wildcards) return filters
  for (let tenant = 0; tenant < 100; tenant++) {
    filters.add(`tenant/${tenant}/#`, new Value(tenant))
    filters.add(`tenant/${tenant}/device/+/command`, new Value(tenant))
  }
  filters.add("tenant/+/device/+/command", new Value(1))
  filters.add("+/+/+/+/+", new Value(2))
  return filters
}

/** Names spread over all devices; `suffix` makes them hit or miss the exact filters. */
function match(name: string, wildcards: boolean, suffix: string): MicroCase {
  const filters = index(wildcards)
  const names = Array.from({ length: NAMES }, (_, number) => {
    const device = (number * 7919) % DEVICES
    return `tenant/${device % 100}/device/${device}/${suffix}`
  })
  const out: Value[] = []
  return {
    name,
    bytes: names[0]?.length ?? 0,
    operations: NAMES,
    run: () => {
      let check = 1
      for (const topicName of names) {
        out.length = 0
        check += filters.matchInto(topicName, out) * 1000
        for (const value of out) check += value.number
      }
      return check
    }
  }
}

function churn(): MicroCase {
  const filters = index(true)
  const value = new Value(1)
  const wanted = Array.from({ length: NAMES }, (_, number) => `tenant/${number % 100}/+/${number}/#`)
  return {
    name: "subscribe and unsubscribe, wildcard",
    bytes: wanted[0]?.length ?? 0,
    operations: NAMES,
    run: () => {
      let check = 1
      for (const filter of wanted) if (filters.add(filter, value)) check += 1
      for (const filter of wanted) if (filters.remove(filter, value)) check += filters.valueCount
      return check
    }
  }
}

export const suite: MicroSuite = {
  name: "topic-match (100,000 filters of 5 levels)",
  cases: [
    match("exact filters, 1 match", false, "command"),
    match("exact filters, no match", false, "status"),
    match("exact and wildcard filters, 5 matches", true, "command"),
    match("exact and wildcard filters, 2 matches", true, "status"),
    churn()
  ]
}
