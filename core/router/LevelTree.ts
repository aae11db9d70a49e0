/**
 * A tree of topic levels in typed arrays: 32 bytes a node, its edges in a hash table keyed by (parent, level), its levels as ids
 * of a {@link TextTable}. What stands on a node is its owner's affair: three words of a node are the owner's.
 *
 * Invariants
 *  - Node 0 is the root and has no level; a node number means one path until {@link LevelTree.removeLeaf} frees it.
 *  - A new child stands first among its siblings: a walk that follows {@link NEXT} never meets a node younger than itself
 *    in the same list.
 *  - Nothing that is done for one node takes longer because there are many. Level ids are given in turn, not chosen, and mixed with the seed.
 */
import { IdTable } from "../collections/IdTable.ts"
import { PagedWords } from "../collections/PagedWords.ts"
import { finish } from "./seeded-hash.ts"
import { TextTable } from "./TextTable.ts"

export const ROOT = 0
/** No child, no sibling. The root is nobody's. */
export const NONE = 0
/** Words of a node; `nodes[node * NODE_WORDS + FIELD]`. */
export const NODE_WORDS = 8
export const PARENT = 0
/** Level id. */
export const LEVEL = 1
export const FIRST_CHILD = 2
/** The next sibling. */
export const NEXT = 3
export const PREVIOUS = 4
/** The owner's words; 0 in a new node. */
export const OWN_A = 5
export const OWN_B = 6
export const OWN_C = 7

export class LevelTree {
  readonly levels: TextTable
  readonly nodes = new PagedWords()
  readonly #seed: number
  /** Nodes by parent and level. */
  readonly #edges = new IdTable()
  #nodeEnd = 1
  #nodeCount = 1
  /** The first free node, chained by {@link NEXT}. */
  #freeNode = NONE

  constructor(seed: number) {
    this.levels = new TextTable(seed)
    this.#seed = finish(seed)
  }

  /** Nodes in use, the root among them. */
  get nodeCount(): number {
    return this.#nodeCount
  }

  /** Bytes of the tree's buffers. */
  get sizeBytes(): number {
    return this.nodes.sizeBytes + this.#edges.sizeBytes + this.levels.sizeBytes
  }

  /** The child of `parent` by the level with id `level` (-1 = a level that nobody has); {@link NONE} where there is none. */
  child(parent: number, level: number): number {
    if (level < 0) return NONE
    const nodes = this.nodes
    const hash = this.#edgeHash(parent, level)
    const segment = this.#edges.segment(hash)
    const { words } = segment
    for (let slot = segment.first(hash); ; slot = segment.next(slot)) {
      const node = words[2 * slot + 1]! - 1
      if (node < 0) return NONE
      if (words[2 * slot] !== hash) continue
      if (nodes.get(node * NODE_WORDS + PARENT) === parent && nodes.get(node * NODE_WORDS + LEVEL) === level)
        return node
    }
  }

  /** The node of the path `path[0, end)`, {@link NONE} where there is none; `end` is the length or where a `/` stands. */
  find(path: string, end = path.length): number {
    let node = ROOT
    for (let start = 0; start <= end; ) {
      const levelEnd = endOfLevel(path, start, end)
      node = this.child(node, this.levels.find(path, start, levelEnd))
      if (node === NONE) return NONE
      start = levelEnd + 1
    }
    return node
  }

  /** The node of that path, made where there is none. */
  make(path: string, end = path.length): number {
    let node = ROOT
    for (let start = 0; start <= end; ) {
      const levelEnd = endOfLevel(path, start, end)
      const found = this.child(node, this.levels.find(path, start, levelEnd))
      node = found === NONE ? this.makeChild(node, path, start, levelEnd) : found
      start = levelEnd + 1
    }
    return node
  }

  /** The new child of `parent` by the level `path[start, end)`, by which it has none. */
  makeChild(parent: number, path: string, start: number, end: number): number {
    const level = this.levels.hold(path, start, end)
    let node = this.#freeNode
    if (node === NONE) {
      node = this.#nodeEnd++
      this.nodes.reserve(this.#nodeEnd * NODE_WORDS)
    } else this.#freeNode = this.nodes.get(node * NODE_WORDS + NEXT)
    const nodes = this.nodes
    const base = node * NODE_WORDS
    const next = nodes.get(parent * NODE_WORDS + FIRST_CHILD)
    nodes.set(base + PARENT, parent)
    nodes.set(base + LEVEL, level)
    nodes.set(base + NEXT, next)
    if (next !== NONE) nodes.set(next * NODE_WORDS + PREVIOUS, node)
    nodes.set(parent * NODE_WORDS + FIRST_CHILD, node)
    this.#nodeCount += 1
    this.#edges.add(this.#edgeHash(parent, level), node)
    return node
  }

  /** The path of a node other than the root. */
  path(node: number): string {
    let path = this.levels.text(this.nodes.get(node * NODE_WORDS + LEVEL))
    let parent = this.nodes.get(node * NODE_WORDS + PARENT)
    while (parent !== ROOT) {
      path = `${this.levels.text(this.nodes.get(parent * NODE_WORDS + LEVEL))}/${path}`
      parent = this.nodes.get(parent * NODE_WORDS + PARENT)
    }
    return path
  }

  /** Frees a node that is not the root and has no child. */
  removeLeaf(node: number): void {
    const nodes = this.nodes
    const base = node * NODE_WORDS
    const parent = nodes.get(base + PARENT)
    const level = nodes.get(base + LEVEL)
    const next = nodes.get(base + NEXT)
    const previous = nodes.get(base + PREVIOUS)
    if (previous === NONE) nodes.set(parent * NODE_WORDS + FIRST_CHILD, next)
    else nodes.set(previous * NODE_WORDS + NEXT, next)
    if (next !== NONE) nodes.set(next * NODE_WORDS + PREVIOUS, previous)
    this.#edges.remove(this.#edgeHash(parent, level), node)
    this.levels.release(level)
    nodes.clear(base, NODE_WORDS)
    nodes.set(base + NEXT, this.#freeNode)
    this.#freeNode = node
    this.#nodeCount -= 1
    if (this.#nodeCount === 1) this.#reset()
  }

  /** The root alone is left: gives up what was needed for more. */
  #reset(): void {
    const root = Array.from({ length: NODE_WORDS }, (_, word) => this.nodes.get(word))
    this.nodes.reset()
    for (const [word, value] of root.entries()) this.nodes.set(word, value)
    this.#nodeEnd = 1
    this.#freeNode = NONE
  }

  #edgeHash(parent: number, level: number): number {
    return finish(Math.imul(parent, 0x9e3779b1) ^ Math.imul(level, 0x85ebca77) ^ this.#seed)
  }
}

/** Where the level that starts at `start` ends: at its `/`, or at `end`. */
export function endOfLevel(path: string, start: number, end: number): number {
  const slash = path.indexOf("/", start)
  return slash < 0 ? end : slash
}
