/** One simulated Kafka connection: requests go out in a row, responses come back in the same order or something is wrong. */
import { Reader } from "../support/kafka-fields.ts"
import { Peer, type PeerOwner } from "./Peer.ts"
import type { World } from "./World.ts"

/** A response takes no longer than this beyond what it may wait for, ms. */
const ANSWER_MS_MAX = 900_000

export class KafkaActor implements PeerOwner {
  readonly name: string
  readonly world: World
  readonly halfOpen: Array<Peer> = []
  /** Connections so far: what is sent on one may overtake what is under way on another. */
  connections = 1
  #peer: Peer | undefined
  #correlation = 0
  readonly #due: Array<{ readonly correlation: number; readonly answered: (reader: Reader) => void }> = []

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
  }

  /** Requests that are not answered. */
  get dueCount(): number {
    return this.#due.length
  }

  /** Sends what `encode` makes of the next correlation identifier; without `answered` no response is due. */
  request(
    encode: (correlation: number) => Uint8Array,
    waitMsMax: number,
    answered: ((reader: Reader) => void) | undefined
  ): void {
    const correlation = ++this.#correlation
    const peer = (this.#peer ??= new Peer(this.world.simulation, this.world.node.kafkaAddress, this))
    if (answered !== undefined) {
      const due = { correlation, answered }
      this.#due.push(due)
      this.world.after(waitMsMax + ANSWER_MS_MAX, () => {
        if (this.#due.includes(due)) this.world.fail(`${this.name} got no answer to request ${correlation}`)
      })
    }
    peer.send(encode(correlation))
  }

  /** Leaves, in order or not; what was asked is not answered any more. */
  leave(how: "finish" | "cut" | "vanish"): void {
    const peer = this.#peer
    if (peer === undefined) return
    this.world.note(`${this.name} ${how}`)
    peer[how]()
    if (how !== "cut") {
      peer.abandon()
      this.halfOpen.push(peer)
    }
    this.#peer = undefined
    this.connections += 1
    this.#due.length = 0
  }

  packetLength(bytes: Uint8Array): number | undefined {
    if (bytes.length < 4) return undefined
    const length = 4 + Buffer.from(bytes.buffer, bytes.byteOffset, 4).readInt32BE(0)
    return bytes.length < length ? undefined : length
  }

  packet(bytes: Uint8Array): void {
    const reader = new Reader(Buffer.from(bytes.subarray(4)))
    const correlation = reader.int32()
    const due = this.#due.shift()
    const { world, name } = this
    world.note(`${name} <- response ${correlation}, ${bytes.length} bytes`)
    if (due === undefined) throw world.violation(`${name} got a response to ${correlation} that nobody asked for`)
    world.check(
      due.correlation === correlation,
      () => `${name} got the response to ${correlation}, due was ${due.correlation}`
    )
    due.answered(reader)
  }

  ended(): void {
    this.world.fail(`the broker ended the Kafka connection of ${this.name} without a reason`)
  }
}
