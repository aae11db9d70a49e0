/**
 * Metrics: plain numbers on the hot path, text at scrape.
 *
 * A counter is an object with one number that its owner raises; a gauge is a function that is asked at scrape. Registries of
 * several shards are added up where name and labels agree.
 *
 * Source: Prometheus text exposition format 0.0.4.
 * Invariants
 *  - A family (name) has one type and one help text; a series (name and labels, in any order) is rendered once.
 *  - At most {@link SERIES_MAX} registrations, and at most {@link LABEL_VALUES_MAX} label values that come up while running for each of
 *    them: what is beyond is added up as "other". What a client names never becomes a label.
 *  - One owner's value that cannot be read costs that value, not the scrape.
 */
import { Context, Effect, type Scope } from "effect"
import { assert, InvariantViolation } from "../assert.ts"

export const SERIES_MAX = 10_000
export const LABEL_VALUES_MAX = 1_000
/** The label value that the ones beyond {@link LABEL_VALUES_MAX} share. */
const OTHER = "other"
/** Values that threw when they were read; rendered once there are any. */
const UNREADABLE = "manifold_metrics_unreadable_total"

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

/** Adds what one owner has into the sums by rendered labels. */
type Collect = (sums: Map<string, number>) => void

interface Family {
  readonly type: "counter" | "gauge"
  readonly help: string
  readonly series: Set<Collect>
}

/** One node's metrics; shards register into it and equal series are added up. */
export class MetricsRegistry implements TelemetryShape {
  readonly #families = new Map<string, Family>()
  #seriesCount = 0
  #unreadable = 0

  counter(name: string, help: string, labels: Labels = {}): Effect.Effect<Counter, never, Scope.Scope> {
    const counter: Counter = { value: 0 }
    return this.#register(
      name,
      "counter",
      help,
      single(labels, () => counter.value)
    ).pipe(Effect.as(counter))
  }

  counterOf(
    name: string,
    help: string,
    read: () => number,
    labels: Labels = {}
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "counter", help, single(labels, read))
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "gauge", help, single(labels, read))
  }

  counters(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>
  ): Effect.Effect<void, never, Scope.Scope> {
    return this.#register(name, "counter", help, many(label, read))
  }

  readonly renderPrometheus = (): string => {
    const lines: Array<string> = []
    for (const [name, family] of [...this.#families].sort(byFirst)) {
      const sums = new Map<string, number>()
      for (const collect of family.series) this.#collect(collect, sums)
      renderFamily(lines, name, family, sums)
    }
    if (this.#unreadable > 0) {
      const help = "Values that could not be read for a scrape"
      renderFamily(lines, UNREADABLE, { type: "counter", help }, new Map([["", this.#unreadable]]))
    }
    return lines.length === 0 ? "" : `${lines.join("\n")}\n`
  }

  #collect(collect: Collect, sums: Map<string, number>): void {
    try {
      collect(sums)
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      this.#unreadable += 1
    }
  }

  #register(
    name: string,
    type: Family["type"],
    help: string,
    makeCollect: () => Collect
  ): Effect.Effect<void, never, Scope.Scope> {
    const acquire = Effect.sync(() => {
      assert(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), "a metric's name is a Prometheus name")
      assert(name !== UNREADABLE, "a metric's name is not one of the registry's own")
      assert(this.#seriesCount < SERIES_MAX, "metrics are bounded")
      const family: Family = this.#families.get(name) ?? { type, help, series: new Set() }
      assert(family.type === type, "a metric family has one type")
      assert(family.help === help, "a metric family has one help text")
      const collect = makeCollect()
      this.#families.set(name, family)
      this.#seriesCount += 1
      family.series.add(collect)
      return { family, collect }
    })
    return Effect.acquireRelease(acquire, ({ family, collect }) =>
      Effect.sync(() => {
        this.#seriesCount -= 1
        family.series.delete(collect)
        if (family.series.size === 0) this.#families.delete(name)
      })
    ).pipe(Effect.asVoid)
  }
}

/** One value under labels that never change: they are rendered once. */
function single(labels: Labels, read: () => number): () => Collect {
  return () => {
    const rendered = renderLabels(labels)
    return (sums) => add(sums, rendered, read())
  }
}

function many(label: string, read: () => Iterable<readonly [string, number]>): () => Collect {
  return () => {
    renderLabels({ [label]: "" })
    return (sums) => {
      // Read to its end first: a part of it would look like counters that fell.
      for (const [index, [value, number]] of [...read()].entries()) {
        add(sums, renderLabels({ [label]: index < LABEL_VALUES_MAX ? value : OTHER }), number)
      }
    }
  }
}

function add(sums: Map<string, number>, labels: string, value: number): void {
  sums.set(labels, (sums.get(labels) ?? 0) + value)
}

function renderFamily(
  lines: Array<string>,
  name: string,
  family: Pick<Family, "type" | "help">,
  sums: ReadonlyMap<string, number>
): void {
  lines.push(`# HELP ${name} ${escapeHelp(family.help)}`, `# TYPE ${name} ${family.type}`)
  for (const [labels, value] of [...sums].sort(byFirst)) lines.push(`${name}${labels} ${renderNumber(value)}`)
}

/** By code units: the same order on every machine. */
function byFirst([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** The labels in the order of their names, so that equal series are equal text. */
function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels)
    .sort(byFirst)
    .map(([name, value]) => {
      assert(/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name), "a label's name is a Prometheus label name")
      return `${name}="${escapeLabel(value)}"`
    })
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

/** Half a surrogate pair is made the replacement character here, since encoding would do so after series were told apart. */
function escapeLabel(value: string): string {
  return value.toWellFormed().replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
}

function renderNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN"
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)
}
