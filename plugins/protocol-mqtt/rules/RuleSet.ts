/**
 * Rules of one kind: those of the manifest, which stay as they are, and those that an administrator makes, which all nodes have and keep.
 *
 * Invariants
 *  - Rules hold in the order of their names; a name is one rule's.
 *  - Every shard sees the same rules, a change a moment after the meta store has it; what is read there is checked as what is given.
 *  - Their number is bounded, so that going through them all costs a bounded time.
 */
import { Effect, type Scope, Semaphore } from "effect"
import * as v from "valibot"
import { type MetaStoreError, type MetaStoreShape, type Resource, ResourceError } from "../../../core/mod.ts"

/** Of a kind that says nothing else. */
export const RULES_MAX = 1_000

/** What every rule has; the first member of its schema. */
export const ruleName = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/,
    "expected 1 to 64 of A-Z a-z 0-9 . _ - as name, not . or - as the first"
  ),
  v.description("its own name; rules hold in the order of their names")
)

export interface Rule {
  readonly name: string
}

/** As a list in the manifest: no more than there may be, and no two of one name. */
export function rulesOf<Schema extends v.GenericSchema<unknown, Rule>>(schema: Schema, max: number) {
  return v.pipe(
    v.array(schema),
    v.maxLength(max),
    v.check(
      (rules) => twiceNamed(rules) === undefined,
      ({ input }) => `expected a name of its own for each; ${JSON.stringify(twiceNamed(input))} is there twice`
    )
  )
}

function twiceNamed(rules: ReadonlyArray<Rule>): string | undefined {
  const names = rules.map(({ name }) => name)
  return names.find((name, index) => names.indexOf(name) !== index)
}

export interface RuleKind<Item extends Rule> {
  /** The word for one rule and the path of all of them. */
  readonly resource: string
  readonly description: string
  readonly schema: v.GenericSchema<unknown, Item>
  /** Loads what the schema judges by, before a rule is made. */
  readonly prepare?: () => Promise<void>
  /** How many there may be; absent = {@link RULES_MAX}. */
  readonly max?: number
  /** Why one more cannot be made; undefined = it can. */
  readonly refusalOf?: (rule: Item, others: Iterable<Item>) => string | undefined
}

/** One rule is another, or new, or gone. */
export interface RuleChange<Item extends Rule> {
  readonly name: string
  /** Undefined = there was none. */
  readonly before: Item | undefined
  /** Undefined = there is none any more. */
  readonly after: Item | undefined
  /** Of the change in the meta store; it only rises. */
  readonly revision: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class RuleSet<Item extends Rule> {
  /** Called when the rules are others. */
  onChange: (change: RuleChange<Item>) => void = () => {}
  readonly #kind: RuleKind<Item>
  readonly #declared: ReadonlyMap<string, Item>
  readonly #all: Map<string, Item>
  /** In the order of names; undefined = to be made anew. */
  #sorted: ReadonlyArray<Item> | undefined

  constructor(kind: RuleKind<Item>, declared: ReadonlyArray<Item>) {
    this.#kind = kind
    this.#declared = new Map(declared.map((rule) => [rule.name, rule]))
    this.#all = new Map(this.#declared)
  }

  /** In the order in which they hold. */
  get rules(): ReadonlyArray<Item> {
    this.#sorted ??= [...this.#all.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1))
    return this.#sorted
  }

  /** In any order. */
  get unsorted(): Iterable<Item> {
    return this.#all.values()
  }

  get count(): number {
    return this.#all.size
  }

  /** Those of the manifest. */
  get declared(): ReadonlyArray<Item> {
    return [...this.#declared.values()]
  }

  get #prefix(): string {
    return `mqtt/${this.#kind.resource}/`
  }

  /** Follows the meta store for the life of the scope. */
  watch(meta: MetaStoreShape): Effect.Effect<void, MetaStoreError, Scope.Scope> {
    return meta.watch(this.#prefix, ({ key, value, revision }) => {
      const name = key.slice(this.#prefix.length)
      // What the manifest says holds.
      if (this.#declared.has(name)) return
      const before = this.#all.get(name)
      const after = value === undefined ? undefined : this.#read(value)
      if (after === undefined) this.#all.delete(name)
      else this.#all.set(name, after)
      this.#sorted = undefined
      this.onChange({ name, before, after, revision })
    })
  }

  /** Makes a rule, or another one of one that was made; not one of the manifest. */
  put(meta: MetaStoreShape, rule: Item): Effect.Effect<void, MetaStoreError> {
    const value = encoder.encode(JSON.stringify(rule))
    return meta.transact({ compare: [], writes: [{ key: `${this.#prefix}${rule.name}`, value }] }).pipe(Effect.asVoid)
  }

  /** Takes a rule off that was made; where it has become another one than that of `revision`, it stays. */
  remove(meta: MetaStoreShape, name: string, revision?: number): Effect.Effect<void, MetaStoreError> {
    const key = `${this.#prefix}${name}`
    const compare = revision === undefined ? [] : [{ key, version: revision }]
    return meta.transact({ compare, writes: [{ key, value: undefined }] }).pipe(Effect.asVoid)
  }

  #refusalOf(rule: Item): string | undefined {
    const isFull = this.count >= (this.#kind.max ?? RULES_MAX)
    return isFull ? `there are ${this.count} rules: no more can be made` : this.#kind.refusalOf?.(rule, this.unsorted)
  }

  isDeclared(name: string): boolean {
    return this.#declared.has(name)
  }

  /** Once all is loaded that the schema judges by: throws with the first one of the manifest that is none. */
  checkDeclared(): void {
    for (const rule of this.declared) {
      const { issues } = v.safeParse(this.#kind.schema, rule)
      if (issues === undefined) continue
      const what = this.#kind.resource.replaceAll("-", "_")
      throw new Error(`${what} ${JSON.stringify(rule.name)}: ${issues[0].message}`)
    }
  }

  /** What another release wrote and this one does not understand is no rule here. */
  #read(value: Uint8Array): Item | undefined {
    try {
      const checked = v.safeParse(this.#kind.schema, JSON.parse(decoder.decode(value)))
      return checked.success ? checked.output : undefined
    } catch {
      return undefined
    }
  }

  /** The rules as a resource: listed, read, made, deleted. For one shard, which speaks for all. */
  resource(meta: MetaStoreShape): Resource {
    const { resource: name, description, schema } = this.#kind
    const creating = Semaphore.makeUnsafe(1)
    const fail = (reason: ResourceError["reason"], code: string, message: string): ResourceError =>
      new ResourceError({ reason, code: `${name}-${code}`, message })
    const unavailable = ({ message }: MetaStoreError): ResourceError => fail("unavailable", "unavailable", message)
    const find = (id: string): Item | undefined => this.#all.get(id)
    const taken = (rule: Rule): ResourceError =>
      fail("conflict", "exists", `there is a rule named ${JSON.stringify(rule.name)}`)
    const gone = (id: string): ResourceError =>
      fail("not-found", "not-found", `there is no ${name} ${JSON.stringify(id)}`)
    return {
      name,
      description,
      schema,
      idMember: "name",
      list: ({ limit, cursor, filter }) =>
        Effect.sync(() => {
          const found = this.rules.filter((rule) => rule.name > cursor && rule.name.includes(filter))
          const items = found.slice(0, limit)
          const last = items.at(-1)
          return found.length > limit && last !== undefined ? { items, cursor: last.name } : { items }
        }),
      get: (id) =>
        Effect.suspend(() => {
          const rule = find(id)
          return rule === undefined ? Effect.fail(gone(id)) : Effect.succeed(rule)
        }),
      verbs: [
        {
          name: "create",
          description: "Makes a rule",
          kind: "create",
          input: schema,
          // One after the other, so that each finds what was made before it.
          run: (_id, input) =>
            creating.withPermit(
              Effect.promise(() => this.#kind.prepare?.() ?? Promise.resolve()).pipe(
                Effect.flatMap(() => {
                  const checked = v.safeParse(schema, input)
                  if (!checked.success) {
                    const { message } = checked.issues[0]
                    return Effect.fail(new ResourceError({ reason: "invalid", code: "invalid", message }))
                  }
                  const rule = checked.output
                  if (find(rule.name) !== undefined) return Effect.fail(taken(rule))
                  const refusal = this.#refusalOf(rule)
                  if (refusal !== undefined) return Effect.fail(fail("conflict", "too-many", refusal))
                  const key = `${this.#prefix}${rule.name}`
                  const value = encoder.encode(JSON.stringify(rule))
                  return meta.transact({ compare: [{ key, version: 0 }], writes: [{ key, value }] }).pipe(
                    Effect.mapError(unavailable),
                    Effect.flatMap(({ committed }) => (committed ? Effect.succeed(rule) : Effect.fail(taken(rule))))
                  )
                })
              )
            )
        },
        {
          name: "delete",
          description: "Deletes a rule",
          kind: "delete",
          input: v.strictObject({}),
          run: (id) =>
            Effect.suspend(() => {
              if (this.#declared.has(id)) {
                const message = `${JSON.stringify(id)} stands in the manifest: it goes when it is taken out there`
                return Effect.fail(fail("conflict", "declared", message))
              }
              if (find(id) === undefined) return Effect.fail(gone(id))
              return this.remove(meta, id).pipe(Effect.mapError(unavailable))
            })
        }
      ]
    }
  }
}
