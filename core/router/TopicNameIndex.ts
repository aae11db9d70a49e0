/**
 * Values by topic name (retained messages), found by topic filter: the reverse of {@link FilterIndex}.
 *
 * The names stand in a tree by level. A filter's literal levels are looked up, `+` walks the children of one node, `#` the part
 * below one node; nothing else is touched.
 *
 * Source: MQTT 5.0, sections 4.7 and 3.3.1.3.
 * Invariants
 *  - A cursor gives a name that is there from its beginning to its end exactly once, one that comes or goes meanwhile at most
 *    once, and none after its removal.
 *  - The node on which a cursor stands stays until the cursor moves on, even when its name is removed.
 * Clients choose the names: give the seed of the constructor from a source of chance.
 */
import {
  OWN_B as CURSORS,
  FIRST_CHILD,
  OWN_A as HAS_VALUE,
  LEVEL,
  LevelTree,
  NEXT,
  NODE_WORDS,
  NONE,
  PARENT,
  ROOT
} from "./LevelTree.ts"

/** Nodes that a cursor visits for each match it was asked for, so that a filter that matches little holds nobody up. */
const NODES_PER_MATCH = 32

/** A name with its value. */
export interface NamedValue<T> {
  readonly name: string
  readonly value: T
}

export class TopicNameIndex<T> {
  readonly #names: NameTree<T>
  #size = 0

  constructor(seed: number) {
    this.#names = new NameTree<T>(seed)
  }

  /** Names that have a value. */
  get size(): number {
    return this.#size
  }

  /** Bytes of the index's buffers, without the references to values. */
  get sizeBytes(): number {
    return this.#names.tree.sizeBytes
  }

  /** Nodes in use; without names and cursors the root alone. */
  get nodeCount(): number {
    return this.#names.tree.nodeCount
  }

  /** Sets the value of a valid topic name; true where the name is new here. */
  set(name: string, value: T): boolean {
    const isNew = this.#names.put(this.#names.tree.make(name), value)
    if (isNew) this.#size += 1
    return isNew
  }

  get(name: string): T | undefined {
    const node = this.#names.tree.find(name)
    return node === NONE ? undefined : this.#names.values[node]
  }

  /** Removes a name; false where it was not there. */
  delete(name: string): boolean {
    const node = this.#names.tree.find(name)
    if (node === NONE || !this.#names.has(node)) return false
    this.#names.drop(node)
    this.#size -= 1
    return true
  }

  /** Visits every name, those that begin with "$" too, until `visit` returns false. The visitor may change the index. */
  visitAll(visit: (name: string, value: T) => boolean): void {
    const cursor = new TopicNameCursor(this.#names, "#", true)
    const found: Array<NamedValue<T>> = []
    while (!cursor.isDone) {
      cursor.next(1, found)
      const match = found.pop()
      if (match !== undefined && !visit(match.name, match.value)) cursor.close()
    }
  }

  /** A walk over what a valid filter matches, to be taken in paces. Close it where it is left before its end. */
  cursor(filter: string): TopicNameCursor<T> {
    return new TopicNameCursor(this.#names, filter)
  }
}

export class TopicNameCursor<T> {
  readonly #names: NameTree<T>
  /** The levels before a last `#`. */
  readonly #levels: ReadonlyArray<string>
  readonly #isMulti: boolean
  /** Whether a wildcard takes names that begin with "$", too. */
  readonly #hasDollar: boolean
  /** The last node that was visited. */
  #node = ROOT
  #depth = 0
  #isDone = false

  constructor(names: NameTree<T>, filter: string, hasDollar = false) {
    this.#names = names
    this.#hasDollar = hasDollar
    const levels = filter.split("/")
    this.#isMulti = levels.at(-1) === "#"
    this.#levels = this.#isMulti ? levels.slice(0, -1) : levels
    // Most subscribe where nothing is retained.
    if (names.tree.nodeCount === 1) this.#isDone = true
    else names.enter(ROOT)
  }

  /** Whether the walk is at its end. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Appends the next matches to `out`, at most `max`; returns how many. None does not mean the end: see {@link isDone}. */
  next(max: number, out: Array<NamedValue<T>>): number {
    if (this.#isDone) return 0
    const names = this.#names
    const from = this.#node
    let count = 0
    for (let left = max * NODES_PER_MATCH; left > 0 && count < max; left--) {
      this.#advance()
      if (this.#node === ROOT) break
      if (!this.#matchesHere() || !names.has(this.#node)) continue
      out.push({ name: names.tree.path(this.#node), value: names.values[this.#node] as T })
      count += 1
    }
    this.#isDone = this.#node === ROOT && max > 0
    if (!this.#isDone) names.enter(this.#node)
    names.leave(from)
    return count
  }

  /** Ends the walk. */
  close(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#names.leave(this.#node)
  }

  /** Moves to the next node in pre-order that the filter leads to; to the root at the end. */
  #advance(): void {
    const { tree } = this.#names
    const child = this.#childOf(this.#node)
    if (child !== NONE) {
      this.#node = child
      this.#depth += 1
      return
    }
    while (this.#node !== ROOT) {
      const base = this.#node * NODE_WORDS
      const next = this.#isLiteral(this.#depth - 1) ? NONE : tree.nodes.get(base + NEXT)
      if (next !== NONE) {
        this.#node = next
        return
      }
      this.#node = tree.nodes.get(base + PARENT)
      this.#depth -= 1
    }
  }

  /** The first node below `node` that the filter leads to. */
  #childOf(node: number): number {
    const { tree } = this.#names
    if (this.#isBarred()) return NONE
    const level = this.#levels[this.#depth]
    if (level === undefined) return this.#isMulti ? tree.nodes.get(node * NODE_WORDS + FIRST_CHILD) : NONE
    if (level === "+") return tree.nodes.get(node * NODE_WORDS + FIRST_CHILD)
    return tree.child(node, tree.levels.find(level, 0, level.length))
  }

  #isLiteral(depth: number): boolean {
    const level = this.#levels[depth]
    return level !== undefined && level !== "+"
  }

  #matchesHere(): boolean {
    if (this.#isBarred()) return false
    return this.#isMulti ? this.#depth >= this.#levels.length : this.#depth === this.#levels.length
  }

  /** A filter that begins with a wildcard does not match names that begin with "$" [MQTT-4.7.2-1]. */
  #isBarred(): boolean {
    if (this.#hasDollar || this.#depth !== 1 || this.#isLiteral(0)) return false
    const { tree } = this.#names
    return tree.levels.beginsWithDollar(tree.nodes.get(this.#node * NODE_WORDS + LEVEL))
  }
}

/** The tree of an index with the values on its nodes: HAS_VALUE is 1 where one stands, CURSORS counts the cursors. */
class NameTree<T> {
  readonly tree: LevelTree
  /** By node number. */
  readonly values: Array<T | undefined> = []

  constructor(seed: number) {
    this.tree = new LevelTree(seed)
  }

  has(node: number): boolean {
    return this.tree.nodes.get(node * NODE_WORDS + HAS_VALUE) === 1
  }

  put(node: number, value: T): boolean {
    const isNew = !this.has(node)
    // Filled up one by one: an array with holes would be a slow one.
    while (this.values.length <= node) this.values.push(undefined)
    this.values[node] = value
    this.tree.nodes.set(node * NODE_WORDS + HAS_VALUE, 1)
    return isNew
  }

  drop(node: number): void {
    this.values[node] = undefined
    this.tree.nodes.set(node * NODE_WORDS + HAS_VALUE, 0)
    this.#prune(node)
  }

  enter(node: number): void {
    this.tree.nodes.add(node * NODE_WORDS + CURSORS, 1)
  }

  leave(node: number): void {
    this.tree.nodes.add(node * NODE_WORDS + CURSORS, -1)
    this.#prune(node)
  }

  /** Frees `from` and what above it has no value, cursor nor child left. */
  #prune(from: number): void {
    const { nodes } = this.tree
    for (let node = from; node !== ROOT; ) {
      const base = node * NODE_WORDS
      if (
        nodes.get(base + FIRST_CHILD) !== NONE ||
        nodes.get(base + HAS_VALUE) !== 0 ||
        nodes.get(base + CURSORS) !== 0
      )
        return
      const parent = nodes.get(base + PARENT)
      this.tree.removeLeaf(node)
      node = parent
    }
    if (this.tree.nodeCount === 1) this.values.length = 0
  }
}
