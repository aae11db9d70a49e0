/**
 * A publisher: patches sequence numbers (and Packet Identifiers) into pre-built frames and writes many in one go.
 *
 * Invariants
 *  - Closed loop: at most `window` messages are open. A message is open until it has arrived at all its subscribers
 *    and, above QoS 0, until it is acknowledged (PUBACK, PUBCOMP).
 *  - It writes when a quarter of its window is free, so that one slow delivery does not turn into one small write.
 *  - No Packet Identifier is used while it is open (MQTT 5.0, section 2.2.1).
 */
import {
  type FrameBlock,
  type ProtocolLevel,
  PUBACK,
  PUBCOMP,
  PUBREC,
  type QualityOfService,
  readU16,
  writeU32
} from "./frames.ts"
import { Peer } from "./Peer.ts"
import type { Run } from "./Run.ts"

const FREE = 0
/** PUBLISH sent, PUBACK or PUBREC due. */
const SENT = 1
/** PUBREL sent, PUBCOMP due. */
const RELEASED = 2
const IDENTIFIER_MAX = 65_535
/** The share of the window that is written in one go, at least. */
const BURST_SHARE = 0.25

export class Publisher extends Peer {
  readonly index: number
  readonly qos: QualityOfService
  sent = 0
  acknowledged = 0
  /** Messages given up after a stall; they no longer hold the window. */
  #writtenOff = 0
  #window: number
  readonly #fan: number
  readonly #block: FrameBlock
  readonly #run: Run
  readonly #identifiers: Uint8Array
  #lastIdentifier = 0

  constructor(
    run: Run,
    options: {
      readonly level: ProtocolLevel
      readonly index: number
      readonly qos: QualityOfService
      readonly window: number
      readonly block: FrameBlock
    }
  ) {
    super(options.level)
    this.#run = run
    this.index = options.index
    this.qos = options.qos
    this.#window = options.window
    this.#block = options.block
    this.#fan = run.ledger.fanOf(options.index)
    this.#identifiers = new Uint8Array(options.qos > 0 ? IDENTIFIER_MAX + 1 : 0)
  }

  /** Messages that are neither complete nor written off. */
  open(): number {
    const delivered = Math.floor((this.#run.ledger.deliveredOf[this.index] as number) / this.#fan)
    const complete = this.qos === 0 ? delivered : Math.min(delivered, this.acknowledged)
    return Math.max(0, this.sent - Math.max(complete, this.#writtenOff))
  }

  isSettled(): boolean {
    const isAcknowledged = this.qos === 0 || this.acknowledged === this.sent
    return isAcknowledged && this.#run.ledger.deliveredOf[this.index] === this.sent * this.#fan
  }

  /** Gives up what is open: a broker that drops messages is measured on, and its loss is reported. */
  writeOff(): void {
    this.#writtenOff = this.sent
    this.pump()
  }

  /** The broker's Receive Maximum bounds what may be unacknowledged (MQTT 5.0, section 4.9). */
  respectReceiveMaximum(): void {
    if (this.qos > 0) this.#window = Math.min(this.#window, this.receiveMaximum)
  }

  /** Writes what is due: acknowledgements first, then as many PUBLISH frames as the window lets through. */
  pump(): void {
    if (this.blocked || this.isBroken) return
    this.flushAnswers()
    if (this.blocked || !this.#run.maySend) return
    const room = this.#window - this.open()
    if (room >= Math.max(1, Math.floor(this.#window * BURST_SHARE))) this.send(Math.min(room, this.#block.count))
  }

  /** Patches and writes `count` frames (at most the block's count) in one write. Only when not `blocked`. */
  send(count: number): void {
    const { bytes, frameBytes, sequenceAt, identifierAt } = this.#block
    let sequence = this.sent
    for (let index = 0, frame = 0; index < count; index++, frame += frameBytes) {
      writeU32(bytes, frame + sequenceAt, sequence++)
      if (identifierAt >= 0) {
        const identifier = this.#takeIdentifier()
        bytes[frame + identifierAt] = identifier >> 8
        bytes[frame + identifierAt + 1] = identifier
      }
    }
    this.sent = sequence
    this.#run.sent += count
    this.write(bytes, 0, count * frameBytes)
  }

  protected override receive(bytes: Uint8Array, start: number, body: number, end: number): void {
    const type = (bytes[start] as number) >> 4
    if (type < PUBACK || type > PUBCOMP || end - body < 2) {
      this.malformed++
      return
    }
    const identifier = readU16(bytes, body)
    const wanted = type === PUBCOMP ? RELEASED : SENT
    if (this.#identifiers[identifier] !== wanted || type !== this.#dueType(wanted)) {
      this.#run.unexpectedAcknowledgements++
      return
    }
    const isRefused = end - body > 2 && (bytes[body + 2] as number) >= 0x80
    if (isRefused) this.#run.refused++
    if (type === PUBREC && !isRefused) {
      this.#identifiers[identifier] = RELEASED
      this.answer(0x62, bytes[body] as number, bytes[body + 1] as number)
      return
    }
    this.#identifiers[identifier] = FREE
    this.acknowledged++
    this.#run.acknowledged++
  }

  protected override afterChunk(): void {
    this.pump()
  }

  #dueType(state: number): number {
    if (this.qos === 1) return PUBACK
    return state === RELEASED ? PUBCOMP : PUBREC
  }

  #takeIdentifier(): number {
    let identifier = this.#lastIdentifier
    do identifier = identifier === IDENTIFIER_MAX ? 1 : identifier + 1
    while (this.#identifiers[identifier] !== FREE)
    this.#identifiers[identifier] = SENT
    this.#lastIdentifier = identifier
    return identifier
  }
}
