/**
 * MQTT sessions as clients send them, and what is done to them: fields of any value, properties of any kind, lengths that lie, bytes that
 * are flipped, packets that come twice or too early. All from one source of chance, so that a seed repeats them.
 */
import type { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import {
  type AckType,
  concat,
  encode,
  PROPERTIES,
  type Properties,
  type PropertyName,
  type PropertyValue,
  type Qos,
  type Version,
  variable
} from "../support/mqtt-packets.ts"

const TOPICS = [
  "a",
  "a/b",
  "a/b/c",
  "/",
  "//",
  "",
  "a/+",
  "#",
  "$SYS/x",
  "x\u0000y",
  "é/長",
  "t".repeat(300),
  "/".repeat(200)
]
const FILTERS = [
  ...TOPICS,
  "+",
  "+/+",
  "a/#",
  "#/a",
  "a+",
  "$share/g/a",
  "$share/g/#",
  "$share//a",
  "$share/g+/a",
  "$share/g"
]
const NAMES = Object.keys(PROPERTIES) as Array<PropertyName>
const ACKS: ReadonlyArray<AckType> = ["puback", "pubrec", "pubrel", "pubcomp"]
const NUMBERS = [0, 1, 2, 127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536, 2_097_151, 268_435_455, 4_294_967_295]

export class Mutator {
  readonly #random: Xoshiro128
  /** Of packets, that are changed after they were made; the others differ only in what their fields hold. */
  readonly #share: number
  /** Whether the packet that was made last was changed. */
  wasChanged = false

  constructor(random: Xoshiro128, share: number) {
    this.#random = random
    this.#share = share
  }

  below(count: number): number {
    return this.#random.below(count)
  }

  pick<Item>(items: ReadonlyArray<Item>): Item {
    return items[this.below(items.length)] as Item
  }

  chance(share: number): boolean {
    return this.below(1_000) < share * 1_000
  }

  version(): Version {
    return this.pick([5, 5, 5, 4, 3])
  }

  /** A CONNECT that is right more often than not. */
  connect(version: Version, clientId: string): Uint8Array {
    const isOdd = this.chance(0.2)
    return this.#changed(
      encode.connect({
        version,
        clientId: isOdd ? this.#text() : clientId,
        clean: this.chance(0.6),
        keepAlive: this.pick([0, 1, 60, 65_535]),
        ...(this.chance(0.2) && { username: this.#text(), password: this.#text() }),
        ...(this.chance(0.3) && {
          will: {
            topic: this.pick(TOPICS),
            payload: this.#bytes(),
            qos: this.#qos(),
            retain: this.chance(0.2),
            properties: version === 5 ? this.#properties(["willDelay", "messageExpiry", "userProperty"]) : []
          }
        }),
        properties:
          version === 5
            ? this.#properties(["sessionExpiry", "receiveMaximum", "maximumPacketSize", "topicAliasMaximum"])
            : []
      }),
      0.15
    )
  }

  /** Any packet that a client may send, and some that it may not. */
  packet(version: Version): Uint8Array {
    const id = this.pick([1, 2, 3, 4, 5, 0, 65_535])
    switch (this.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#changed(
          encode.publish(version, {
            topic: this.pick(TOPICS),
            payload: this.#bytes(),
            qos: this.#qos(),
            retain: this.chance(0.2),
            dup: this.chance(0.2),
            id,
            properties:
              version === 5 ? this.#properties(["topicAlias", "messageExpiry", "userProperty", "payloadFormat"]) : []
          })
        )
      case 4:
      case 5:
        return this.#changed(
          encode.subscribe(
            version,
            id,
            Array.from({ length: 1 + this.below(4) }, () => ({
              filter: this.pick(FILTERS),
              qos: this.#qos(),
              noLocal: version === 5 && this.chance(0.2),
              retainAsPublished: version === 5 && this.chance(0.2),
              retainHandling: version === 5 ? this.pick([0, 1, 2]) : 0
            })),
            version === 5 ? this.#properties(["subscriptionIdentifier"]) : []
          )
        )
      case 6:
        return this.#changed(encode.unsubscribe(version, id, [this.pick(FILTERS), this.pick(FILTERS)]))
      case 7:
      case 8:
        return this.#changed(encode.ack(this.pick(ACKS), id, this.chance(0.2) ? this.below(256) : undefined))
      case 9:
        return this.#changed(encode.pingreq())
      case 10:
        return this.#changed(
          encode.auth(this.pick([0, 0x18, 0x19, this.below(256)]), this.#properties(["authenticationMethod"]))
        )
      default:
        return this.chance(0.3)
          ? this.#changed(
              encode.disconnect(version, this.pick([0, 4, 0x81, this.below(256)]), this.#properties(["sessionExpiry"]))
            )
          : this.#changed(encode.connect({ version, clientId: "again" }), 0.5)
    }
  }

  /** The same bytes in pieces of any size. */
  pieces(bytes: Uint8Array): ReadonlyArray<Uint8Array> {
    if (this.chance(0.6)) return [bytes]
    const pieces: Array<Uint8Array> = []
    for (let at = 0; at < bytes.length; ) {
      const next = Math.min(bytes.length, at + 1 + this.below(this.pick([3, 40, 4_000])))
      pieces.push(bytes.subarray(at, next))
      at = next
    }
    return pieces
  }

  #changed(packet: Uint8Array, share = this.#share): Uint8Array {
    this.wasChanged = this.chance(share)
    if (!this.wasChanged) return packet
    const bytes = Uint8Array.from(packet)
    const at = this.below(bytes.length)
    switch (this.below(8)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8))
        return bytes
      case 1:
        bytes[at] = this.below(256)
        return bytes
      case 2:
        // The first byte: another type, other flags.
        bytes[0] = this.below(256)
        return bytes
      case 3:
        // A Remaining Length that lies.
        return concat(bytes.subarray(0, 1), variable(this.pick(NUMBERS.slice(0, 13))), bytes.subarray(2))
      case 4:
        return bytes.subarray(0, at)
      case 5:
        return concat(bytes, this.#bytes())
      case 6:
        return concat(bytes.subarray(0, at), this.#bytes(), bytes.subarray(at))
      default:
        return concat(bytes, bytes)
    }
  }

  #properties(usual: ReadonlyArray<PropertyName>): Properties {
    const list: Array<readonly [PropertyName, PropertyValue]> = []
    for (const name of usual) if (this.chance(0.4)) list.push([name, this.#value(name)])
    // Of another packet, or once more.
    while (this.chance(0.08)) {
      const name = this.pick(NAMES)
      list.push([name, this.#value(name)])
    }
    return list
  }

  #value(name: PropertyName): PropertyValue {
    const number = this.chance(0.7) ? 1 + this.below(20) : this.pick(NUMBERS)
    switch (PROPERTIES[name][1]) {
      case "byte":
        return number & 255
      case "two":
        return number & 65_535
      case "four":
        return number
      case "variable":
        return Math.min(number, 268_435_455)
      case "binary":
        return this.#bytes()
      case "text":
        return this.#text()
      case "pair":
        return [this.#text(), this.#text()]
    }
  }

  #qos(): Qos {
    return this.pick([0, 1, 2])
  }

  #text(): string {
    return this.pick(["", "a", "SCRAM-SHA-256", "x\u0000", "\ufeff", "長", "k".repeat(this.below(500)), "\u{10ffff}"])
  }

  #bytes(): Uint8Array {
    return Uint8Array.from({ length: this.pick([0, 1, 5, 100, 3_000]) }, () => this.below(256))
  }
}
