/**
 * Which values stand on a topic filter with a wildcard that matches a topic name: a tree by level in typed arrays.
 *
 * A match walks the tree along the name: at each level one literal child, one `+` child, one `#`. Where only one filter goes on
 * below a node, its levels from there on are not nodes but the node's tail, one text, which all filters with the same tail share:
 * a million filters `devices/<id>/+/cmd` take a node each and the tail `+/cmd` once. (Take: the lazily expanded leaves of the
 * adaptive radix tree, Leis et al. 2013, section III.E. Leave: its compressed inner paths; filters branch at almost every level.)
 *
 * Source: MQTT 5.0, section 4.7.
 * Invariants
 *  - A node with a tail has no child and stands for one filter: its path, `/` and the tail. A tail is expanded, level by level,
 *    when a second filter comes through; it is not put together again when that leaves.
 *  - A filter without values takes no node; numbers of nodes, levels, tails and lists are used again.
 *  - A match visits a node at most once, so it is bounded by the tree whatever the name. No recursion.
 */
import { assert } from "../assert.ts"
import {
  endOfLevel,
  FIRST_CHILD,
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
import { TOPIC_LEVELS_MAX } from "./topic-filter.ts"
import { ValueLists } from "./ValueLists.ts"

const DOLLAR = 0x24
const HASH = 0x23
const PLUS = 0x2b
const SLASH = 0x2f

export class WildcardTree<T extends object> {
  /**
   * SINGLE_LIST is one more than the list of the filter that ends at the node or with the node's tail, MULTI_LIST that of the one
   * with a `#` behind the node; PLUS_CHILD is the child by `+`, or below zero the complement of the tail's id.
   */
  readonly #tree: LevelTree
  /** What follows a node's `/`, its `#` included. */
  readonly #tails: TextTable
  readonly #values = new ValueLists<T>()
  readonly #freeLists: Array<number> = []
  #listEnd = 0
  #filterCount = 0
  /** Scratch of a match: nodes still to visit with their depths, and the name's levels as far as they were looked at. */
  readonly #nodes = new Int32Array(TOPIC_LEVELS_MAX + 2)
  readonly #depths = new Int32Array(TOPIC_LEVELS_MAX + 2)
  readonly #levels = new Int32Array(TOPIC_LEVELS_MAX + 2)
  /** Where each level of the name starts; -1 = the name ends before it. */
  readonly #starts = new Int32Array(TOPIC_LEVELS_MAX + 2)

  constructor(seed: number) {
    this.#tree = new LevelTree(seed)
    this.#tails = new TextTable(seed)
  }

  get filterCount(): number {
    return this.#filterCount
  }

  /** Pairs of filter and value. */
  get valueCount(): number {
    return this.#values.valueCount
  }

  get sizeBytes(): number {
    return this.#tree.sizeBytes + this.#tails.sizeBytes + 8 * this.#listEnd
  }

  /** Attaches a value to a valid filter with a wildcard; true where the filter is new here. */
  add(filter: string, value: T): boolean {
    const word = this.#make(filter)
    const { nodes } = this.#tree
    const list = nodes[word]! - 1
    if (list >= 0) {
      this.#values.add(list, value)
      return false
    }
    const free = this.#freeLists.pop() ?? this.#listEnd++
    nodes[word] = free + 1
    this.#values.add(free, value)
    this.#filterCount += 1
    return true
  }

  remove(filter: string, value: T): boolean {
    const word = this.#find(filter)
    if (word < 0) return false
    const { nodes } = this.#tree
    const list = nodes[word]! - 1
    if (list < 0 || !this.#values.remove(list, value) || !this.#values.isEmpty(list)) return false
    nodes[word] = 0
    this.#freeLists.push(list)
    this.#filterCount -= 1
    this.#prune(Math.floor(word / NODE_WORDS))
    return true
  }

  replace(filter: string, before: T, after: T): boolean {
    const list = this.#findList(filter)
    return list >= 0 && this.#values.replace(list, before, after)
  }

  valuesOf(filter: string): ReadonlyArray<T> {
    const list = this.#findList(filter)
    return list < 0 ? [] : this.#values.valuesOf(list)
  }

  /** Visits every filter with its values (the visitor's own array). The tree must not be changed meanwhile. */
  forEachFilter(visit: (filter: string, values: ReadonlyArray<T>) => void): void {
    const tree = this.#tree
    for (let node = ROOT; node < tree.nodeEnd; node++) {
      const base = node * NODE_WORDS
      const single = tree.nodes[base + SINGLE_LIST]!
      const multi = tree.nodes[base + MULTI_LIST]!
      const plus = tree.nodes[base + PLUS_CHILD]!
      if (single > 0) {
        const path = tree.path(node)
        visit(plus < 0 ? `${path}/${this.#tails.text(~plus)}` : path, this.#values.valuesOf(single - 1))
      }
      if (multi > 0) visit(node === ROOT ? "#" : `${tree.path(node)}/#`, this.#values.valuesOf(multi - 1))
    }
  }

  /** Appends to `out` the values of every filter that matches a valid topic name. */
  matchInto(name: string, out: Array<T>): void {
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
      const start = starts[depth]!
      const plus = words[base + PLUS_CHILD]!
      if (plus < 0) {
        if (start >= 0 && matchesTail(this.#tails, ~plus, name, start)) {
          this.#values.appendTo(words[base + SINGLE_LIST]! - 1, out)
        }
        continue
      }
      // Filters that begin with a wildcard do not match names that begin with "$" [MQTT-4.7.2-1].
      const mayWild = depth > 0 || !isDollar
      const multi = words[base + MULTI_LIST]!
      if (multi > 0 && mayWild) this.#values.appendTo(multi - 1, out)
      if (start < 0) {
        const single = words[base + SINGLE_LIST]!
        if (single > 0) this.#values.appendTo(single - 1, out)
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

  /** The word that holds the list of a filter, on a node that is made where there is none. */
  #make(filter: string): number {
    assert(levelCount(filter) <= TOPIC_LEVELS_MAX, "a filter was checked before it is added")
    const tree = this.#tree
    const end = endOfPath(filter)
    let node = ROOT
    for (let start = 0; start <= end; ) {
      const levelEnd = endOfLevel(filter, start, end)
      const child = tree.child(node, tree.levels.find(filter, start, levelEnd))
      if (child === NONE) return this.#makeLeaf(node, filter, start)
      node = child
      start = levelEnd + 1
      const plus = tree.nodes[node * NODE_WORDS + PLUS_CHILD]!
      if (plus >= 0) continue
      if (start <= end && this.#tails.equals(~plus, filter, start, filter.length)) break
      this.#expand(node, ~plus)
    }
    return listWord(this.#tree.nodes, node, filter)
  }

  /** A child of `parent` for the level of `filter` at `start`, what follows as its tail; the word for the filter's list. */
  #makeLeaf(parent: number, filter: string, start: number): number {
    const tree = this.#tree
    const end = endOfPath(filter)
    const levelEnd = endOfLevel(filter, start, end)
    const node = tree.makeChild(parent, filter, start, levelEnd)
    // A node by `+` is entered in its parent, so that a match need not look for it.
    if (levelEnd === start + 1 && filter.charCodeAt(start) === PLUS) tree.nodes[parent * NODE_WORDS + PLUS_CHILD] = node
    if (levelEnd < end) {
      tree.nodes[node * NODE_WORDS + PLUS_CHILD] = ~this.#tails.hold(filter, levelEnd + 1, filter.length)
    }
    return listWord(tree.nodes, node, filter)
  }

  /** Puts the first level of a node's tail below it, with what remains of the tail. */
  #expand(node: number, tail: number): void {
    const { nodes } = this.#tree
    const list = nodes[node * NODE_WORDS + SINGLE_LIST]!
    const text = this.#tails.text(tail)
    this.#tails.release(tail)
    nodes[node * NODE_WORDS + PLUS_CHILD] = NONE
    nodes[node * NODE_WORDS + SINGLE_LIST] = 0
    const word = this.#makeLeaf(node, text, 0)
    this.#tree.nodes[word] = list
  }

  /** The word that holds the list of a filter; -1 where it has no node. */
  #find(filter: string): number {
    const tree = this.#tree
    const end = endOfPath(filter)
    let node = ROOT
    for (let start = 0; start <= end; ) {
      const levelEnd = endOfLevel(filter, start, end)
      node = tree.child(node, tree.levels.find(filter, start, levelEnd))
      if (node === NONE) return -1
      start = levelEnd + 1
      const plus = tree.nodes[node * NODE_WORDS + PLUS_CHILD]!
      if (plus >= 0) continue
      if (start > end || !this.#tails.equals(~plus, filter, start, filter.length)) return -1
      break
    }
    return listWord(tree.nodes, node, filter)
  }

  /** The list of a filter; -1 where there is none. */
  #findList(filter: string): number {
    const word = this.#find(filter)
    return word < 0 ? -1 : this.#tree.nodes[word]! - 1
  }

  /** Frees `from` and what above it has no filter nor child left. */
  #prune(from: number): void {
    const tree = this.#tree
    const { nodes } = tree
    for (let node = from; node !== ROOT; ) {
      const base = node * NODE_WORDS
      if (nodes[base + FIRST_CHILD] !== NONE || nodes[base + SINGLE_LIST] !== 0 || nodes[base + MULTI_LIST] !== 0)
        return
      const plus = nodes[base + PLUS_CHILD]!
      if (plus < 0) this.#tails.release(~plus)
      const parent = nodes[base + PARENT]!
      if (nodes[parent * NODE_WORDS + PLUS_CHILD] === node) nodes[parent * NODE_WORDS + PLUS_CHILD] = NONE
      tree.removeLeaf(node)
      node = parent
    }
  }
}

/** Where the list of `filter` stands on its node. A tail holds the filter's `#`; without one that is the node's second list. */
function listWord(nodes: Int32Array, node: number, filter: string): number {
  const isMulti = nodes[node * NODE_WORDS + PLUS_CHILD]! >= 0 && filter.endsWith("#")
  return node * NODE_WORDS + (isMulti ? MULTI_LIST : SINGLE_LIST)
}

/** Whether a tail matches `name[start, end of the name)`. */
function matchesTail(tails: TextTable, tail: number, name: string, start: number): boolean {
  const length = tails.length(tail)
  let at = start
  for (let index = 0; ; ) {
    // Here both stand at the start of a level.
    const first = index < length ? tails.unit(tail, index) : SLASH
    if (first === HASH) return true
    if (first === PLUS) {
      at = endOfLevel(name, at, name.length)
      index += 1
    }
    for (; index < length; index++) {
      const unit = tails.unit(tail, index)
      if (unit === SLASH) break
      if (name.charCodeAt(at) !== unit) return false
      at += 1
    }
    if (index === length) return at === name.length
    index += 1
    // "x/#" matches "x".
    if (at === name.length) return index < length && tails.unit(tail, index) === HASH
    if (name.charCodeAt(at) !== SLASH) return false
    at += 1
  }
}

/** Where the path of a filter ends in the tree: before `/#`; -1 for `#`, which is the root's. */
function endOfPath(filter: string): number {
  return filter.endsWith("#") ? filter.length - 2 : filter.length
}

function levelCount(filter: string): number {
  let count = 1
  for (let slash = filter.indexOf("/"); slash >= 0; slash = filter.indexOf("/", slash + 1)) count += 1
  return count
}
