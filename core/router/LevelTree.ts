/**
 * A tree of topic levels in typed arrays: 32 bytes a node, its edges in a hash table keyed by (parent, level), its levels as ids
 * of a {@link TextTable}. What stands on a node is its owner's affair: two words of a node are the owner's.
 *
 * Invariants
 *  - Node 0 is the root and has no level; a node number means one path until {@link LevelTree.removeLeaf} frees it.
 *  - A new child stands first among its siblings: a walk that follows {@link NEXT} never meets a node younger than itself
 *    in the same list.
 *  - At most two thirds of the edge slots are taken. Level ids are given in turn, not chosen, and mixed with the seed.
 */
import { finish } from "./seeded-hash.ts"
import { grown, TextTable } from "./TextTable.ts"

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

const NODES_MIN = 8

export class LevelTree {
  readonly levels: TextTable
  /** Replaced when it grows: read it anew after {@link LevelTree.makeChild}. */
  nodes: Int32Array = new Int32Array(NODES_MIN * NODE_WORDS)
  readonly #seed: number
  /** Open addressing; the child's node number, 0 = empty. */
  #edges = new Int32Array(NODES_MIN * 2)
  #nodeEnd = 1
  #nodeCount = 1
  /** The first free node, chained by {@link NEXT}. */
  #freeNode = NONE

  constructor(seed = 0) {
    this.levels = new TextTable(seed)
    this.#seed = finish(seed)
  }

  /** Nodes in use, the root among them. */
  get nodeCount(): number {
    return this.#nodeCount
  }

  /** One past the largest node number ever given. */
  get nodeEnd(): number {
    return this.#nodeEnd
  }

  /** Bytes of the tree's buffers. */
  get sizeBytes(): number {
    return this.nodes.byteLength + this.#edges.byteLength + this.levels.sizeBytes
  }

  /** The child of `parent` by the level with id `level` (-1 = a level that nobody has); {@link NONE} where there is none. */
  child(parent: number, level: number): number {
    if (level < 0) return NONE
    const edges = this.#edges
    const nodes = this.nodes
    const mask = edges.length - 1
    for (let slot = this.#edgeHash(parent, level) & mask; ; slot = (slot + 1) & mask) {
      const node = edges[slot]!
      if (node === NONE) return NONE
      if (nodes[node * NODE_WORDS + PARENT] === parent && nodes[node * NODE_WORDS + LEVEL] === level) return node
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
    if (this.#nodeCount * 3 > this.#edges.length * 2) this.#growEdges()
    let node = this.#freeNode
    if (node === NONE) {
      node = this.#nodeEnd++
      if (this.#nodeEnd * NODE_WORDS > this.nodes.length) this.nodes = grown(this.nodes)
    } else this.#freeNode = this.nodes[node * NODE_WORDS + NEXT]!
    const nodes = this.nodes
    const base = node * NODE_WORDS
    const next = nodes[parent * NODE_WORDS + FIRST_CHILD]!
    nodes[base + PARENT] = parent
    nodes[base + LEVEL] = level
    nodes[base + NEXT] = next
    if (next !== NONE) nodes[next * NODE_WORDS + PREVIOUS] = node
    nodes[parent * NODE_WORDS + FIRST_CHILD] = node
    this.#nodeCount += 1
    this.#link(this.#edges, node)
    return node
  }

  /** The path of a node other than the root. */
  path(node: number): string {
    let path = this.levels.text(this.nodes[node * NODE_WORDS + LEVEL]!)
    let parent = this.nodes[node * NODE_WORDS + PARENT]!
    while (parent !== ROOT) {
      path = `${this.levels.text(this.nodes[parent * NODE_WORDS + LEVEL]!)}/${path}`
      parent = this.nodes[parent * NODE_WORDS + PARENT]!
    }
    return path
  }

  /** Frees a node that is not the root and has no child. */
  removeLeaf(node: number): void {
    const nodes = this.nodes
    const base = node * NODE_WORDS
    const parent = nodes[base + PARENT]!
    const level = nodes[base + LEVEL]!
    const next = nodes[base + NEXT]!
    const previous = nodes[base + PREVIOUS]!
    if (previous === NONE) nodes[parent * NODE_WORDS + FIRST_CHILD] = next
    else nodes[previous * NODE_WORDS + NEXT] = next
    if (next !== NONE) nodes[next * NODE_WORDS + PREVIOUS] = previous
    this.#unlink(node)
    this.levels.release(level)
    nodes.fill(0, base, base + NODE_WORDS)
    // A free node has a parent that no node has, so that no walk over all nodes takes it for one in use.
    nodes[base + PARENT] = -1
    nodes[base + NEXT] = this.#freeNode
    this.#freeNode = node
    this.#nodeCount -= 1
  }

  #edgeHash(parent: number, level: number): number {
    return finish(Math.imul(parent, 0x9e3779b1) ^ Math.imul(level, 0x85ebca77) ^ this.#seed)
  }

  #link(edges: Int32Array, node: number): void {
    const mask = edges.length - 1
    let slot = this.#edgeHash(this.nodes[node * NODE_WORDS + PARENT]!, this.nodes[node * NODE_WORDS + LEVEL]!) & mask
    while (edges[slot] !== NONE) slot = (slot + 1) & mask
    edges[slot] = node
  }

  #growEdges(): void {
    const edges = new Int32Array(this.#edges.length * 2)
    // By node, not by slot: nodes are read in turn, and only the writes miss the caches.
    for (let node = ROOT + 1; node < this.#nodeEnd; node++) {
      if (this.nodes[node * NODE_WORDS + PARENT]! >= 0) this.#link(edges, node)
    }
    this.#edges = edges
  }

  /** Takes the edge to `node` out and moves back what would stand behind a gap. */
  #unlink(node: number): void {
    const edges = this.#edges
    const nodes = this.nodes
    const mask = edges.length - 1
    let gap = this.#edgeHash(nodes[node * NODE_WORDS + PARENT]!, nodes[node * NODE_WORDS + LEVEL]!) & mask
    while (edges[gap] !== node) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; edges[slot] !== NONE; slot = (slot + 1) & mask) {
      const base = edges[slot]! * NODE_WORDS
      const home = this.#edgeHash(nodes[base + PARENT]!, nodes[base + LEVEL]!) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      edges[gap] = edges[slot]!
      gap = slot
    }
    edges[gap] = NONE
  }
}

/** Where the level that starts at `start` ends: at its `/`, or at `end`. */
export function endOfLevel(path: string, start: number, end: number): number {
  const slash = path.indexOf("/", start)
  return slash < 0 ? end : slash
}
