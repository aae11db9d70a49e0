/**
 * Metrics: plain numbers on the hot path, text at scrape.
 *
 * A counter is an object with one number that its owner raises; a gauge is a function that is asked at scrape. Shards of one thread
 * share a registry, those of other threads have their own, which the node's includes; either way what agrees in name and labels is
 * added up, and a shard is told apart only where its owner made it a label.
 *
 * Names are `manifold_<area>_<what>`, with the unit at the end; a counter's ends in `_total`.
 * Invariants
 *  - A family (name) has one type, one help text and one set of buckets; a series (name and labels, in any order) is rendered once.
 *  - At most {@link SERIES_MAX} registrations, and at most {@link LABEL_VALUES_MAX} label values that come up while running for each of
 *    them: what is beyond is added up as "other". What a client names never becomes a label.
 *  - One owner's value that cannot be read costs that value, not the scrape.
 */
import { Context, Effect, type Scope } from "effect"
import { assert, InvariantViolation } from "../assert.ts"
import { Histogram } from "./Histogram.ts"
import { BUCKET_LABEL, type Labels, renderLabels, renderSnapshot } from "./prometheus-text.ts"
import {
  addCells,
  type Family,
  type FamilySnapshot,
  isSameBounds,
  type MetricsSnapshot,
  type MetricType,
  mergeSnapshots,
  seriesNames
} from "./snapshot.ts"

export const SERIES_MAX = 10_000
export const LABEL_VALUES_MAX = 1_000
/** The label value that the ones beyond {@link LABEL_VALUES_MAX} share. */
const OTHER = "other"
/** Values that threw when they were read; rendered once there are any. */
const UNREADABLE = "manifold_metrics_unreadable_total"
const UNREADABLE_HELP = "Values that could not be read for a scrape"

/** Raise `value`, never lower it. */
export interface Counter {
  value: number
}

export interface TelemetryShape {
  /** A series that rises; removed with the scope. */
  counter(name: string, help: string, labels?: Labels): Effect.Effect<Counter, never, Scope.Scope>
  /** A series that rises and is kept elsewhere: read at scrape. */
  counterOf(name: string, help: string, read: () => number, labels?: Labels): Effect.Effect<void, never, Scope.Scope>
  /** A series that goes up and down, read at scrape. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): Effect.Effect<void, never, Scope.Scope>
  /** Series whose labels come up while running (reason codes, causes): read at scrape, bounded by their owner. */
  counters(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>
  ): Effect.Effect<void, never, Scope.Scope>
  /** Observations by range; `bounds` are the inclusive upper ends, rising. */
  histogram(
    name: string,
    help: string,
    bounds: ReadonlyArray<number>,
    labels?: Labels
  ): Effect.Effect<Histogram, never, Scope.Scope>
  /** Everything, in the text exposition format. */
  readonly renderPrometheus: () => string
}

export class Telemetry extends Context.Service<Telemetry, TelemetryShape>()("manifold/core/telemetry/Telemetry") {}

/** Reads what one owner has: numbers by rendered labels. All of it or, where it throws, nothing. */
type Read = () => ReadonlyArray<readonly [labels: string, cells: ReadonlyArray<number>]>

interface Registered extends Family {
  readonly reads: Set<Read>
}

/** The metrics of a node, or of one thread of it. */
export class MetricsRegistry implements TelemetryShape {
  readonly #families = new Map<string, Registered>()
  /** The family that a rendered series belongs to, by the series' name. */
  readonly #owners = new Map<string, string>()
  readonly #included = new Set<() => MetricsSnapshot>()
  #seriesCount = 0
  #unreadable = 0

  counter(name: string, help: string, labels: Labels = {}): Effect.Effect<Counter, never, Scope.Scope> {
    const counter: Counter = { value: 0 }
    return this.counterOf(name, help, () => counter.value, labels).pipe(Effect.as(counter))
  }

  counterOf(
    name: string,
    help: string,
    read: () => number,
    labels: Labels = {}
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, { type: "counter", help, bounds: [] }, () => single(labels, read))
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, { type: "gauge", help, bounds: [] }, () => single(labels, read))
  }

  counters(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, { type: "counter", help, bounds: [] }, () => many(label, read))
  }

  histogram(
    name: string,
    help: string,
    bounds: ReadonlyArray<number>,
    labels: Labels = {}
  ): Effect.Effect<Histogram, never, Scope.Scope> {
    return Effect.suspend(() => {
      const histogram = new Histogram(bounds)
      return this.#register(name, { type: "histogram", help, bounds: [...bounds] }, () => {
        assert(!Object.hasOwn(labels, BUCKET_LABEL), "the label of a histogram's buckets is the registry's own")
        const rendered = renderLabels(labels)
        return () => [[rendered, histogram.read()]]
      }).pipe(Effect.as(histogram))
    })
  }

  /** Adds what another registry last held to every scrape, as long as the scope is open. */
  include(read: () => MetricsSnapshot): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      // A function of its own, so that including the same one twice is two entries with two ends.
      Effect.sync(() => {
        const own = (): MetricsSnapshot => read()
        this.#included.add(own)
        return own
      }),
      (own) => Effect.sync(() => this.#included.delete(own))
    ).pipe(Effect.asVoid)
  }

  /** What this registry and the ones it includes hold now. */
  readonly snapshot = (): MetricsSnapshot => {
    const own = new Map<string, FamilySnapshot>()
    for (const [name, { type, help, bounds, reads }] of this.#families) {
      const series = new Map<string, Array<number>>()
      for (const read of reads) {
        for (const [labels, cells] of this.#attempt(read) ?? []) addCells(series, labels, cells)
      }
      own.set(name, { type, help, bounds, series })
    }
    const included = [...this.#included].flatMap((read) => this.#attempt(read) ?? [])
    const { merged, conflicts } = mergeSnapshots([own, ...included])
    this.#unreadable += conflicts
    if (this.#unreadable === 0) return merged
    const series = new Map([["", [this.#unreadable]]])
    const unreadable: FamilySnapshot = { type: "counter", help: UNREADABLE_HELP, bounds: [], series }
    return mergeSnapshots([new Map([[UNREADABLE, unreadable]]), merged]).merged
  }

  readonly renderPrometheus = (): string => renderSnapshot(this.snapshot())

  #attempt<Value>(read: () => Value): Value | undefined {
    try {
      return read()
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      this.#unreadable += 1
      return undefined
    }
  }

  #register(name: string, family: Family, makeRead: () => Read): Effect.Effect<void, never, Scope.Scope> {
    const acquire = Effect.sync(() => {
      checkName(name, family.type)
      assert(this.#seriesCount < SERIES_MAX, "metrics are bounded")
      const names = seriesNames(name, family.type)
      const known: Registered = this.#families.get(name) ?? { ...family, reads: new Set() }
      assert(known.type === family.type, "a metric family has one type")
      assert(known.help === family.help, "a metric family has one help text")
      assert(isSameBounds(known.bounds, family.bounds), "a metric family has one set of buckets")
      for (const each of names) assert((this.#owners.get(each) ?? name) === name, "a series belongs to one family")
      const read = makeRead()
      this.#families.set(name, known)
      for (const each of names) this.#owners.set(each, name)
      this.#seriesCount += 1
      known.reads.add(read)
      return { known, read, names }
    })
    return Effect.acquireRelease(acquire, ({ known, read, names }) =>
      Effect.sync(() => {
        this.#seriesCount -= 1
        known.reads.delete(read)
        if (known.reads.size > 0) return
        this.#families.delete(name)
        for (const each of names) this.#owners.delete(each)
      })
    ).pipe(Effect.asVoid)
  }
}

function checkName(name: string, type: MetricType): void {
  assert(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), "a metric's name is a Prometheus name")
  assert(name !== UNREADABLE, "a metric's name is not one of the registry's own")
  assert(name.endsWith("_total") === (type === "counter"), "the name of a counter, and no other, ends in _total")
}

/** One value under labels that never change: they are rendered once. */
function single(labels: Labels, read: () => number): Read {
  const rendered = renderLabels(labels)
  return () => [[rendered, [number(read())]]]
}

function many(label: string, read: () => Iterable<readonly [string, number]>): Read {
  renderLabels({ [label]: "" })
  return () =>
    Array.from(read(), ([value, count], index) => [
      renderLabels({ [label]: index < LABEL_VALUES_MAX ? value : OTHER }),
      [number(count)]
    ])
}

/** What a plugin gives is not always what its types say, and text would be added up as text. */
function number(value: unknown): number {
  if (typeof value !== "number") throw new TypeError("a metric's value is a number")
  return value
}
