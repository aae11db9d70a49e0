/**
 * Topic filters with a wildcard as numbers, found by the topic names that they match: a tree by level in typed arrays.
 *
 * A match walks the tree along the name: at each level one literal child, one `+` child, one `#`. Where only one filter goes on
 * below a node, its levels from there on are not nodes but the node's tail, one text, which all filters with the same tail share:
 * a million filters `devices/<id>/+/cmd` take a node each and the tail `+/cmd` once. (Take: the lazily expanded leaves of the
 * adaptive radix tree, Leis et al. 2013, section III.E. Leave: its compressed inner paths; filters branch at almost every level.)
 *
 * Source: MQTT 5.0, section 4.7.
 * Invariants
 *  - A node with a tail has no child and stands for one filter: its path, `/` and the tail. A tail is expanded when a
 *    second filter comes through, as far as that goes the same way; it is not put together again when that leaves.
 *  - A number means one filter until it is released; then it is used again, as numbers of nodes, levels and tails are.
 *  - A match visits a node at most once, so it is bounded by the tree whatever the name. No recursion.
 */
import { assert } from "../assert.ts"
import { PagedWords } from "../collections/PagedWords.ts"
import {
  endOfLevel,
  FIRST_CHILD,
  LevelTree,
  OWN_C as MULTI,
  NODE_WORDS,
  NONE,
  PARENT,
  OWN_A as PLUS_CHILD,
  ROOT,
  OWN_B as SINGLE
} from "./LevelTree.ts"
import { TextTable } from "./TextTable.ts"
import { TOPIC_LEVELS_MAX } from "./topic-filter.ts"

const DOLLAR = 0x24
const HASH = 0x23
const PLUS = 0x2b
const SLASH = 0x2f

export class WildcardTree {
  /**
   * SINGLE is one more than the number of the filter that ends at the node or with the node's tail, MULTI that of the one with a `#`
   * behind the node; PLUS_CHILD is the child by `+`, or below zero the complement of the tail's id.
   */
  readonly #tree: LevelTree
  /** What follows a node's `/`, its `#` included. */
  readonly #tails: TextTable
  /** By the number of a filter: the word of the tree that holds it; of a free one below zero: -2 less the next free number. */
  readonly #places = new PagedWords()
  #freeNumber = -1
  #end = 0
  #count = 0
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

  /** Filters that are held. */
  get count(): number {
    return this.#count
  }

  get sizeBytes(): number {
    return this.#tree.sizeBytes + this.#tails.sizeBytes + this.#places.sizeBytes
  }

  /** The number of a filter with a wildcard; -1 where it has none, as what is no valid filter. */
  find(filter: string): number {
    const word = this.#find(filter)
    return word < 0 ? -1 : this.#tree.nodes.get(word) - 1
  }

  /** The number of a valid filter with a wildcard, given to it where it has none. */
  hold(filter: string): number {
    const word = this.#make(filter)
    const known = this.#tree.nodes.get(word) - 1
    if (known >= 0) return known
    const number = this.#freeNumber >= 0 ? this.#freeNumber : this.#end
    if (number === this.#end) this.#places.reserve(++this.#end)
    else this.#freeNumber = -2 - this.#places.get(number)
    this.#put(word, number)
    this.#count += 1
    return number
  }

  /** Whether `number` is a filter's. */
  #isHeld(number: number): boolean {
    return number >= 0 && number < this.#end && this.#places.get(number) >= 0
  }

  /** Takes its number from a filter. */
  release(number: number): void {
    assert(this.#isHeld(number), "a filter is released that has a number")
    const word = this.#places.get(number)
    this.#tree.nodes.set(word, 0)
    this.#places.set(number, -2 - this.#freeNumber)
    this.#freeNumber = number
    this.#count -= 1
    if (this.#count === 0) {
      this.#places.reset()
      this.#freeNumber = -1
      this.#end = 0
    }
    this.#prune(Math.floor(word / NODE_WORDS))
  }

  /** The filter with a number. */
  text(number: number): string {
    const word = this.#places.get(number)
    const node = Math.floor(word / NODE_WORDS)
    if (word % NODE_WORDS === MULTI) return node === ROOT ? "#" : `${this.#tree.path(node)}/#`
    const path = this.#tree.path(node)
    const plus = this.#tree.nodes.get(node * NODE_WORDS + PLUS_CHILD)
    return plus < 0 ? `${path}/${this.#tails.text(~plus)}` : path
  }

  /** Appends to `out` twice its number and one of every filter that matches a valid topic name. */
  matchInto(name: string, out: Array<number>): void {
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
      const plus = words.get(base + PLUS_CHILD)
      if (plus < 0) {
        if (start >= 0 && matchesTail(this.#tails, ~plus, name, start)) {
          out.push(2 * words.get(base + SINGLE) - 1)
        }
        continue
      }
      // Filters that begin with a wildcard do not match names that begin with "$" [MQTT-4.7.2-1].
      const mayWild = depth > 0 || !isDollar
      const multi = words.get(base + MULTI)
      if (multi > 0 && mayWild) out.push(2 * multi - 1)
      if (start < 0) {
        const single = words.get(base + SINGLE)
        if (single > 0) out.push(2 * single - 1)
        continue
      }
      if (words.get(base + FIRST_CHILD) === NONE) continue
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

  /** The word that holds the number of a filter, on a node that is made where there is none. */
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
      const plus = tree.nodes.get(node * NODE_WORDS + PLUS_CHILD)
      if (plus >= 0) continue
      if (start <= end && this.#tails.equals(~plus, filter, start, filter.length)) break
      this.#expand(node, ~plus, filter, start)
    }
    return wordOf(this.#tree.nodes, node, filter)
  }

  /** A child of `parent` for the level of `filter` at `start`, what follows as its tail; the word for the filter's number. */
  #makeLeaf(parent: number, filter: string, start: number): number {
    const tree = this.#tree
    const end = endOfPath(filter)
    const levelEnd = endOfLevel(filter, start, end)
    const node = this.#makeChild(parent, filter, start, levelEnd)
    if (levelEnd < end) {
      tree.nodes.set(node * NODE_WORDS + PLUS_CHILD, ~this.#tails.hold(filter, levelEnd + 1, filter.length))
    }
    return wordOf(tree.nodes, node, filter)
  }

  #makeChild(parent: number, filter: string, start: number, end: number): number {
    const { nodes } = this.#tree
    const node = this.#tree.makeChild(parent, filter, start, end)
    // A node by `+` is entered in its parent, so that a match need not look for it.
    if (end === start + 1 && filter.charCodeAt(start) === PLUS) nodes.set(parent * NODE_WORDS + PLUS_CHILD, node)
    return node
  }

  /**
   * Puts a node's tail below it: a node for each level that `filter` has from `start` on as well, then what remains as any filter's. All at
   * once: the rest of a long tail is stored once, not once for each of its levels.
   */
  #expand(node: number, tail: number, filter: string, start: number): void {
    const { nodes } = this.#tree
    const number = nodes.get(node * NODE_WORDS + SINGLE) - 1
    const text = this.#tails.text(tail)
    this.#tails.release(tail)
    nodes.set(node * NODE_WORDS + PLUS_CHILD, NONE)
    nodes.set(node * NODE_WORDS + SINGLE, 0)
    const end = endOfPath(text)
    const filterEnd = endOfPath(filter)
    let parent = node
    let at = 0
    for (let from = start; from <= filterEnd; ) {
      const levelEnd = endOfLevel(text, at, end)
      const filterLevelEnd = endOfLevel(filter, from, filterEnd)
      if (levelEnd === end || text.slice(at, levelEnd) !== filter.slice(from, filterLevelEnd)) break
      parent = this.#makeChild(parent, text, at, levelEnd)
      at = levelEnd + 1
      from = filterLevelEnd + 1
    }
    this.#put(this.#makeLeaf(parent, text, at), number)
  }

  #put(word: number, number: number): void {
    this.#tree.nodes.set(word, number + 1)
    this.#places.set(number, word)
  }

  /** The word that holds the number of a filter; -1 where it has no node. */
  #find(filter: string): number {
    const tree = this.#tree
    const end = endOfPath(filter)
    let node = ROOT
    for (let start = 0; start <= end; ) {
      const levelEnd = endOfLevel(filter, start, end)
      node = tree.child(node, tree.levels.find(filter, start, levelEnd))
      if (node === NONE) return -1
      start = levelEnd + 1
      const plus = tree.nodes.get(node * NODE_WORDS + PLUS_CHILD)
      if (plus >= 0) continue
      if (start > end || !this.#tails.equals(~plus, filter, start, filter.length)) return -1
      break
    }
    return wordOf(tree.nodes, node, filter)
  }

  /** Frees `from` and what above it has no filter nor child left. */
  #prune(from: number): void {
    const tree = this.#tree
    const { nodes } = tree
    for (let node = from; node !== ROOT; ) {
      const base = node * NODE_WORDS
      if (nodes.get(base + FIRST_CHILD) !== NONE || nodes.get(base + SINGLE) !== 0 || nodes.get(base + MULTI) !== 0)
        return
      const plus = nodes.get(base + PLUS_CHILD)
      if (plus < 0) this.#tails.release(~plus)
      const parent = nodes.get(base + PARENT)
      if (nodes.get(parent * NODE_WORDS + PLUS_CHILD) === node) nodes.set(parent * NODE_WORDS + PLUS_CHILD, NONE)
      tree.removeLeaf(node)
      node = parent
    }
  }
}

/** Where the number of `filter` stands on its node. A tail holds the filter's `#`; without one that is the node's second number. */
function wordOf(nodes: PagedWords, node: number, filter: string): number {
  const isMulti = nodes.get(node * NODE_WORDS + PLUS_CHILD) >= 0 && filter.endsWith("#")
  return node * NODE_WORDS + (isMulti ? MULTI : SINGLE)
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
  if (filter === "#") return -1
  return filter.endsWith("/#") ? filter.length - 2 : filter.length
}

function levelCount(filter: string): number {
  let count = 1
  for (let slash = filter.indexOf("/"); slash >= 0; slash = filter.indexOf("/", slash + 1)) count += 1
  return count
}
