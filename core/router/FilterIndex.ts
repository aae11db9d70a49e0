/**
 * Which values (subscriptions, routes, bindings) stand on a topic filter that matches a topic name.
 *
 * Filters without a wildcard lie in a hash table of whole filters, the others in a tree by level; both in typed arrays. A match
 * looks the name up once and walks the tree along the name: at each level one literal child, one `+` child, one `#`.
 *
 * Source: MQTT 5.0, section 4.7.
 * Invariants
 *  - A value stands once on a filter, however often it was added. One that stands on several matching filters comes once for each.
 *  - A filter without values takes no node; numbers of nodes, levels and lists are used again.
 *  - A match visits a node at most once, so it is bounded by the tree whatever the name. No recursion.
 * Clients choose the filters: give the seed of {@link FilterIndex.constructor} from a source of chance.
 */
import { assert } from "../assert.ts"
import {
  FIRST_CHILD,
  LEVEL,
  LevelTree,
  OWN_C as MULTI_LIST,
  NODE_WORDS,
  NONE,
  PARENT,
  OWN_A as PLUS_CHILD,
  ROOT,
  OWN_B as SINGLE_LIST
} from "./LevelTree.ts"
import { TextTable } from "./TextTable.ts"
import { hasWildcard, TOPIC_LEVELS_MAX } from "./topic-filter.ts"
import { ValueLists } from "./ValueLists.ts"

const DOLLAR = 0x24

export class FilterIndex<T extends object> {
  readonly #exact: TextTable
  /** By the id of the filter in {@link FilterIndex.#exact}. */
  readonly #exactValues = new ValueLists<T>()
  /**
   * The filters with a wildcard. The path of a filter is that of its node, its last `#` left out; SINGLE_LIST is one more than the
   * list of the filter that ends at the node, MULTI_LIST that of the one with a `#` behind it, PLUS_CHILD the child by `+`.
   */
  readonly #tree: LevelTree
  readonly #treeValues = new ValueLists<T>()
  readonly #freeLists: Array<number> = []
  #listEnd = 0
  #treeFilters = 0
  /** Scratch of a match: nodes still to visit with their depths, and the name's levels as far as they were looked at. */
  readonly #nodes = new Int32Array(TOPIC_LEVELS_MAX + 2)
  readonly #depths = new Int32Array(TOPIC_LEVELS_MAX + 2)
  readonly #levels = new Int32Array(TOPIC_LEVELS_MAX + 2)
  /** Where each level of the name starts; -1 = the name ends before it. */
  readonly #starts = new Int32Array(TOPIC_LEVELS_MAX + 2)

  constructor(seed = 0) {
    this.#exact = new TextTable(seed)
    this.#tree = new LevelTree(seed)
  }

  /** Filters that have a value. */
  get filterCount(): number {
    return this.#exact.count + this.#treeFilters
  }

  /** Pairs of filter and value. */
  get valueCount(): number {
    return this.#exactValues.valueCount + this.#treeValues.valueCount
  }

  /** Bytes of the index's buffers and of its references to values. */
  get sizeBytes(): number {
    return this.#exact.sizeBytes + this.#tree.sizeBytes + 8 * (this.#exact.idEnd + this.#listEnd)
  }

  /** Attaches a value to a valid filter; true where the filter is new here. */
  add(filter: string, value: T): boolean {
    if (hasWildcard(filter)) return this.#addToTree(filter, value)
    const found = this.#exact.find(filter, 0, filter.length)
    this.#exactValues.add(found < 0 ? this.#exact.hold(filter, 0, filter.length) : found, value)
    return found < 0
  }

  /** Takes a value off a filter; true where it was the filter's last. What is not there is not removed. */
  remove(filter: string, value: T): boolean {
    if (hasWildcard(filter)) return this.#removeFromTree(filter, value)
    const id = this.#exact.find(filter, 0, filter.length)
    if (id < 0 || !this.#exactValues.remove(id, value) || !this.#exactValues.isEmpty(id)) return false
    return this.#exact.release(id)
  }

  /** Puts `after` where `before` stood; false, and nothing is changed, where that was not there or `after` was already. */
  replace(filter: string, before: T, after: T): boolean {
    if (hasWildcard(filter)) {
      const list = this.#findList(filter)
      return list >= 0 && this.#treeValues.replace(list, before, after)
    }
    const id = this.#exact.find(filter, 0, filter.length)
    return id >= 0 && this.#exactValues.replace(id, before, after)
  }

  /** The values of a filter (not of those that match it), in an array of the caller's. */
  valuesOf(filter: string): ReadonlyArray<T> {
    if (!hasWildcard(filter)) {
      const id = this.#exact.find(filter, 0, filter.length)
      return id < 0 ? [] : this.#exactValues.valuesOf(id)
    }
    const list = this.#findList(filter)
    return list < 0 ? [] : this.#treeValues.valuesOf(list)
  }

  /** Appends to `out` the values of every filter that matches a valid topic name; returns how many. */
  matchInto(name: string, out: Array<T>): number {
    const before = out.length
    if (this.#exact.count > 0) {
      const id = this.#exact.find(name, 0, name.length)
      if (id >= 0) this.#exactValues.appendTo(id, out)
    }
    if (this.#treeFilters > 0) this.#matchTree(name, out)
    return out.length - before
  }

  /** Visits every filter with its values (the visitor's own array). The index must not be changed meanwhile. */
  forEachFilter(visit: (filter: string, values: ReadonlyArray<T>) => void): void {
    for (let id = 0; id < this.#exact.idEnd; id++) {
      if (this.#exact.isHeld(id)) visit(this.#exact.text(id), this.#exactValues.valuesOf(id))
    }
    const tree = this.#tree
    for (let node = ROOT; node < tree.nodeEnd; node++) {
      const single = tree.nodes[node * NODE_WORDS + SINGLE_LIST]!
      const multi = tree.nodes[node * NODE_WORDS + MULTI_LIST]!
      if (single > 0) visit(tree.path(node), this.#treeValues.valuesOf(single - 1))
      if (multi > 0) visit(node === ROOT ? "#" : `${tree.path(node)}/#`, this.#treeValues.valuesOf(multi - 1))
    }
  }

  #matchTree(name: string, out: Array<T>): void {
    const tree = this.#tree
    const words = tree.nodes
    const { levels } = tree
    const isDollar = name.charCodeAt(0) === DOLLAR
    const starts = this.#starts
    let levelsRead = 0
    let waiting = 1
    this.#nodes[0] = ROOT
    this.#depths[0] = 0
    starts[0] = 0
    while (waiting > 0) {
      waiting -= 1
      const node = this.#nodes[waiting]!
      const depth = this.#depths[waiting]!
      const base = node * NODE_WORDS
      // Filters that begin with a wildcard do not match names that begin with "$" [MQTT-4.7.2-1].
      const mayWild = depth > 0 || !isDollar
      const multi = words[base + MULTI_LIST]!
      if (multi > 0 && mayWild) this.#treeValues.appendTo(multi - 1, out)
      const start = starts[depth]!
      if (start < 0) {
        const single = words[base + SINGLE_LIST]!
        if (single > 0) this.#treeValues.appendTo(single - 1, out)
        continue
      }
      if (words[base + FIRST_CHILD] === NONE) continue
      if (depth === levelsRead) {
        // Depth first: a level is read when the first node at its depth is left, and holds for all others.
        const slash = name.indexOf("/", start)
        this.#levels[depth] = levels.find(name, start, slash < 0 ? name.length : slash)
        starts[depth + 1] = slash < 0 ? -1 : slash + 1
        levelsRead += 1
      }
      const plus = words[base + PLUS_CHILD]!
      if (plus !== NONE && mayWild) {
        this.#nodes[waiting] = plus
        this.#depths[waiting++] = depth + 1
      }
      const literal = tree.child(node, this.#levels[depth]!)
      if (literal !== NONE) {
        this.#nodes[waiting] = literal
        this.#depths[waiting++] = depth + 1
      }
    }
  }

  #addToTree(filter: string, value: T): boolean {
    assert(levelCount(filter) <= TOPIC_LEVELS_MAX, "a filter was checked before it is added")
    const tree = this.#tree
    const end = endOfPath(filter)
    const node = end < 0 ? ROOT : tree.make(filter, end)
    this.#markPlusChildren(node)
    const word = node * NODE_WORDS + (isMulti(filter) ? MULTI_LIST : SINGLE_LIST)
    const list = tree.nodes[word]! - 1
    if (list >= 0) {
      this.#treeValues.add(list, value)
      return false
    }
    const free = this.#freeLists.pop() ?? this.#listEnd++
    tree.nodes[word] = free + 1
    this.#treeValues.add(free, value)
    this.#treeFilters += 1
    return true
  }

  /** A node by `+` is entered in its parent, so that a match need not look for it. */
  #markPlusChildren(from: number): void {
    const { nodes, levels } = this.#tree
    const plus = levels.find("+", 0, 1)
    for (let node = from; node !== ROOT; node = nodes[node * NODE_WORDS + PARENT]!) {
      const parent = nodes[node * NODE_WORDS + PARENT]!
      if (nodes[node * NODE_WORDS + LEVEL] === plus) nodes[parent * NODE_WORDS + PLUS_CHILD] = node
    }
  }

  #removeFromTree(filter: string, value: T): boolean {
    const node = this.#findNode(filter)
    if (node < 0) return false
    const { nodes } = this.#tree
    const word = node * NODE_WORDS + (isMulti(filter) ? MULTI_LIST : SINGLE_LIST)
    const list = nodes[word]! - 1
    if (list < 0 || !this.#treeValues.remove(list, value) || !this.#treeValues.isEmpty(list)) return false
    nodes[word] = 0
    this.#freeLists.push(list)
    this.#treeFilters -= 1
    this.#prune(node)
    return true
  }

  /** Frees `from` and what above it has no filter nor child left. */
  #prune(from: number): void {
    const tree = this.#tree
    const { nodes } = tree
    for (let node = from; node !== ROOT; ) {
      const base = node * NODE_WORDS
      if (nodes[base + FIRST_CHILD] !== NONE || nodes[base + SINGLE_LIST] !== 0 || nodes[base + MULTI_LIST] !== 0)
        return
      const parent = nodes[base + PARENT]!
      if (nodes[parent * NODE_WORDS + PLUS_CHILD] === node) nodes[parent * NODE_WORDS + PLUS_CHILD] = NONE
      tree.removeLeaf(node)
      node = parent
    }
  }

  /** The node of a filter with a wildcard; -1 where there is none. */
  #findNode(filter: string): number {
    const end = endOfPath(filter)
    if (end < 0) return ROOT
    const node = this.#tree.find(filter, end)
    return node === NONE ? -1 : node
  }

  /** The list of a filter with a wildcard; -1 where there is none. */
  #findList(filter: string): number {
    const node = this.#findNode(filter)
    if (node < 0) return -1
    return this.#tree.nodes[node * NODE_WORDS + (isMulti(filter) ? MULTI_LIST : SINGLE_LIST)]! - 1
  }
}

function isMulti(filter: string): boolean {
  return filter.endsWith("#")
}

/** Where the path of a filter ends in the tree: before `/#`; -1 for `#`, which is the root's. */
function endOfPath(filter: string): number {
  return isMulti(filter) ? filter.length - 2 : filter.length
}

function levelCount(filter: string): number {
  let count = 1
  for (let slash = filter.indexOf("/"); slash >= 0; slash = filter.indexOf("/", slash + 1)) count += 1
  return count
}
