/**
 * Where the floor server sends a topic name: exact filters, filters whose last level is `+`, and shared subscriptions.
 *
 * Invariants
 *  - A filter without `+` is looked up by the name alone: what scenarios without wildcards cost does not depend on this file.
 *  - A shared subscription takes every name that begins like its filter up to the wildcard, and gives it to one member in turn.
 */

const SHARED = /^\$share\/[^/]+\/(.*)$/
const NOBODY: readonly never[] = []

interface Group<Member> {
  readonly prefix: string
  readonly members: Member[]
  next: number
}

export class FloorRoutes<Member> {
  readonly #exact = new Map<string, Member[]>()
  /** By what stands before the last level. */
  readonly #oneLevel = new Map<string, Member[]>()
  readonly #groups = new Map<string, Group<Member>>()

  add(member: Member, filter: string): void {
    const shared = SHARED.exec(filter)?.[1]
    if (shared !== undefined) {
      const group = this.#groups.get(filter) ?? { prefix: shared.replace(/[+#]$/, ""), members: [], next: 0 }
      this.#groups.set(filter, group)
      group.members.push(member)
      return
    }
    const [map, key] = this.#placeOf(filter)
    const members = map.get(key)
    if (members === undefined) map.set(key, [member])
    else members.push(member)
  }

  remove(member: Member, filter: string): void {
    const [map, key] = this.#placeOf(filter)
    const left = map.get(key)?.filter((each) => each !== member) ?? []
    if (left.length === 0) map.delete(key)
    else map.set(key, left)
  }

  /** Removes all that `member` has: its connection is gone. */
  removeAll(member: Member): void {
    for (const members of this.#everyList()) {
      for (let at = members.indexOf(member); at >= 0; at = members.indexOf(member)) members.splice(at, 1)
    }
  }

  /** Who gets the next message on `topicName`; valid until the next call. */
  to(topicName: string): readonly Member[] {
    const exact = this.#exact.get(topicName)
    if (this.#oneLevel.size === 0 && this.#groups.size === 0) return exact ?? NOBODY
    const found = [...(exact ?? NOBODY), ...(this.#oneLevel.get(parentOf(topicName)) ?? NOBODY)]
    for (const group of this.#groups.values()) {
      if (!topicName.startsWith(group.prefix)) continue
      const member = group.members[group.next++ % group.members.length]
      if (member !== undefined) found.push(member)
    }
    return found
  }

  #placeOf(filter: string): readonly [Map<string, Member[]>, string] {
    return filter.endsWith("/+") ? [this.#oneLevel, parentOf(filter)] : [this.#exact, filter]
  }

  *#everyList(): Iterable<Member[]> {
    yield* this.#exact.values()
    yield* this.#oneLevel.values()
    for (const { members } of this.#groups.values()) yield members
  }
}

function parentOf(topicName: string): string {
  return topicName.slice(0, topicName.lastIndexOf("/") + 1)
}
