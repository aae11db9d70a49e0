/**
 * What a bridge subscribes to: here, so that messages wait for it, and at the remote.
 *
 * Invariant: the row names a filter before it is subscribed to, and until it is taken off: what has left the options meanwhile is taken
 * off by the next attempt, wherever the one before has failed. A session here that has no row is begun anew.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3.8 to 3.11.
 */
import { Effect } from "effect"
import { type Agreed, type Agreements, writeRow } from "./Agreement.ts"
import { batches } from "./batches.ts"
import type { Link } from "./Link.ts"
import { LinkError } from "./LinkError.ts"
import { type BridgeSettings, versionOf } from "./Settings.ts"
import { type Wish, writeSubscribe, writeUnsubscribe } from "./wire/requests.ts"

/** Packet identifiers of SUBSCRIBE and UNSUBSCRIBE, of which one is under way at a time: those that messages come to last. */
const SUBSCRIBE_IDENTIFIER = 65_535
const UNSUBSCRIBE_IDENTIFIER = 65_534

interface Parts {
  readonly bridge: { readonly settings: BridgeSettings }
  readonly agreements: Agreements
}

/** SUBSCRIBE here, to all filters of the options; those that are not in them any more are taken off. */
export function subscribeHere(
  parts: Parts,
  link: Link,
  known: Agreed | undefined,
  packetSizeMax: number
): Effect.Effect<void, LinkError> {
  return Effect.gen(function* () {
    const { bridge, agreements } = parts
    const { settings } = bridge
    const wishes = settings.out.map(
      ({ filter, qos, local_prefix }): Wish => ({ filter: local_prefix + filter, qos, retainHandling: 2 })
    )
    const wanted = localFilters(settings)
    const gone = (known?.local ?? []).filter((filter) => !wanted.includes(filter))
    if (known !== undefined && !isSame(known.local, wanted)) {
      yield* writeRow(agreements, settings.name, { ...known, local: union(known.local, wanted) })
    }
    for (const some of batches(gone, packetSizeMax, String).packets) {
      yield* link.askLocal((out) => writeUnsubscribe(out, 5, UNSUBSCRIBE_IDENTIFIER, some))
    }
    const { packets, tooLarge } = batches(wishes, packetSizeMax, filterOf)
    const [unfit] = tooLarge
    if (unfit !== undefined) {
      return yield* new LinkError({ reason: `this broker takes no packet as large as the filter "${unfit.filter}"` })
    }
    for (const some of packets) {
      const codes = yield* link.askLocal((out) => writeSubscribe(out, 5, SUBSCRIBE_IDENTIFIER, some))
      const refusedAt = codes.findIndex((code) => code >= 0x80)
      if (refusedAt < 0) continue
      const filter = some[refusedAt]?.filter ?? ""
      const code = (codes[refusedAt] ?? 0).toString(16)
      return yield* new LinkError({ reason: `this broker refused the filter "${filter}": 0x${code}` })
    }
  })
}

/** Has the retained messages sent that the remote's session has not had yet: now there is somebody to send them to. */
export function askRetained(
  parts: Parts,
  link: Link,
  agreed: Agreed,
  packetSizeMax: number
): Effect.Effect<void, LinkError> {
  return Effect.gen(function* () {
    const { bridge, agreements } = parts
    const { settings } = bridge
    const wishes = settings.out
      .map(({ filter, qos, local_prefix }): Wish => ({ filter: local_prefix + filter, qos, retainHandling: 0 }))
      .filter(({ filter }) => !agreed.retained.includes(filter))
    if (wishes.length === 0) return
    for (const some of batches(wishes, packetSizeMax, filterOf).packets) {
      yield* link.askLocal((out) => writeSubscribe(out, 5, SUBSCRIBE_IDENTIFIER, some))
    }
    const there = settings.in.map(({ filter, remote_prefix }) => remote_prefix + filter)
    yield* writeRow(agreements, settings.name, { ...agreed, there, retained: localFilters(settings) })
  })
}

/** SUBSCRIBE at the remote, to what is new and what is not; filters that are not wanted any more are taken off. What it did not grant. */
export function subscribeThere(
  parts: Parts,
  link: Link,
  agreed: Agreed,
  packetSizeMax: number
): Effect.Effect<ReadonlyArray<string>, LinkError> {
  return Effect.gen(function* () {
    const { bridge, agreements } = parts
    const { settings } = bridge
    const version = versionOf(settings)
    const wishes = settings.in.map(
      ({ filter, qos, remote_prefix }): Wish => ({ filter: remote_prefix + filter, qos, retainHandling: 1 })
    )
    const wanted = wishes.map(({ filter }) => filter)
    const gone = agreed.there.filter((filter) => !wanted.includes(filter))
    const isNew = !isSame(agreed.there, wanted)
    if (isNew) yield* writeRow(agreements, settings.name, { ...agreed, there: union(agreed.there, wanted) })
    for (const some of batches(gone, packetSizeMax, String).packets) {
      yield* link.askRemote((out) => writeUnsubscribe(out, version, UNSUBSCRIBE_IDENTIFIER, some))
    }
    const { packets, tooLarge } = batches(wishes, packetSizeMax, filterOf)
    const troubles = tooLarge.map(({ filter }) => `the remote takes no packet as large as the filter "${filter}"`)
    for (const some of packets) {
      const codes = yield* link.askRemote((out) => writeSubscribe(out, version, SUBSCRIBE_IDENTIFIER, some))
      some.forEach(({ filter, qos }, index) => {
        const code = codes[index] ?? 0x80
        if (code >= 0x80) troubles.push(`the remote refused the filter "${filter}": 0x${code.toString(16)}`)
        else if (code < qos) troubles.push(`the remote grants QoS ${code} for the filter "${filter}"`)
      })
    }
    if (isNew) yield* writeRow(agreements, settings.name, { ...agreed, there: wanted })
    return troubles
  })
}

export function localFilters({ out }: BridgeSettings): Array<string> {
  return out.map(({ filter, local_prefix }) => local_prefix + filter)
}

function filterOf({ filter }: Wish): string {
  return filter
}

function union(one: ReadonlyArray<string>, other: ReadonlyArray<string>): Array<string> {
  return [...new Set([...one, ...other])]
}

export function isSame(one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean {
  return new Set(one).symmetricDifference(new Set(other)).size === 0
}
