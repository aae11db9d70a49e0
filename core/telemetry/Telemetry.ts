/**
 * Metrics: plain numbers on the hot path, text at scrape.
 *
 * A counter is an object with one number that its owner raises; a gauge is a function that is asked at scrape. Registries of
 * several shards are added up where name and labels agree.
 *
 * Source: Prometheus text exposition format 0.0.4.
 * Invariants
 *  - A family (name) has one type and one help text; a series (name and labels) has one owner per registry.
 *  - At most {@link SERIES_MAX} series a registry: what a client names never becomes a label.
 */
import { Context, Effect, type Scope } from "effect"
import { assert } from "../assert.ts"

export const SERIES_MAX = 10_000

export type Labels = Readonly<Record<string, string>>

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
  /** Everything, in the text exposition format. */
  readonly renderPrometheus: () => string
}

export class Telemetry extends Context.Service<Telemetry, TelemetryShape>()("manifold/core/telemetry/Telemetry") {}

interface Series {
  readonly labels: string
  readonly read: () => Iterable<readonly [string, number]>
}

interface Family {
  readonly type: "counter" | "gauge"
  readonly help: string
  readonly series: Set<Series>
}

/** One node's metrics; shards register into it and equal series are added up. */
export class MetricsRegistry implements TelemetryShape {
  readonly #families = new Map<string, Family>()
  #seriesCount = 0

  counter(name: string, help: string, labels: Labels = {}): Effect.Effect<Counter, never, Scope.Scope> {
    const counter: Counter = { value: 0 }
    const read = () => single(labels, counter.value)
    return this.#register(name, "counter", help, read).pipe(Effect.map(() => counter))
  }

  counterOf(
    name: string,
    help: string,
    read: () => number,
    labels: Labels = {}
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "counter", help, () => single(labels, read()))
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "gauge", help, () => single(labels, read()))
  }

  counters(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "counter", help, function* () {
      for (const [value, count] of read()) yield [renderLabels({ [label]: value }), count] as const
    })
  }

  readonly renderPrometheus = (): string => {
    const lines: Array<string> = []
    for (const [name, family] of [...this.#families].sort(([left], [right]) => (left < right ? -1 : 1))) {
      const sums = new Map<string, number>()
      for (const series of family.series) {
        for (const [labels, value] of series.read()) sums.set(labels, (sums.get(labels) ?? 0) + value)
      }
      lines.push(`# HELP ${name} ${escapeHelp(family.help)}`, `# TYPE ${name} ${family.type}`)
      for (const [labels, value] of [...sums].sort(([left], [right]) => (left < right ? -1 : 1))) {
        lines.push(`${name}${labels} ${renderNumber(value)}`)
      }
    }
    return `${lines.join("\n")}\n`
  }

  #register(
    name: string,
    type: Family["type"],
    help: string,
    read: () => Iterable<readonly [string, number]>
  ): Effect.Effect<void, never, Scope.Scope> {
    assert(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), "a metric's name is a Prometheus name")
    const series: Series = { labels: "", read }
    return Effect.acquireRelease(
      Effect.sync(() => {
        let family = this.#families.get(name)
        if (family === undefined) {
          family = { type, help, series: new Set() }
          this.#families.set(name, family)
        }
        assert(family.type === type, "a metric family has one type")
        assert(this.#seriesCount < SERIES_MAX, "metrics are bounded")
        this.#seriesCount += 1
        family.series.add(series)
        return family
      }),
      (family) =>
        Effect.sync(() => {
          this.#seriesCount -= 1
          family.series.delete(series)
          if (family.series.size === 0) this.#families.delete(name)
        })
    ).pipe(Effect.asVoid)
  }
}

function single(labels: Labels, value: number): ReadonlyArray<readonly [string, number]> {
  return [[renderLabels(labels), value]]
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
}

function renderNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN"
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)
}
