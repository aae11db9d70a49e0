/**
 * The idempotent producers of one partition: says of each batch whether it is the next one, a repeat, or neither.
 *
 * Source: apache/kafka ProducerStateManager, ProducerAppendInfo and UnifiedLog.analyzeAndValidateProducerState, without transactions.
 * Invariants
 *  - Pure state: no clock, no I/O. What is checked changes nothing; what was appended is noted afterwards.
 *  - It is what the batches say that lie in the log, of producers that wrote lately: what is derived from them is the same again.
 *  - Stricter than Apache's in one thing: where a producer's first batch was refused or lost, those that it sent behind it are refused
 *    until that one comes again, so that none of them takes its place.
 */

import { baseSequence, PRODUCER_ID_POSITION, producerEpoch, producerId } from "../log/record-batch.ts"
import { PRODUCER_EPOCH_OLD, PRODUCER_OUT_OF_ORDER } from "../log/refusals.ts"
import { isNextSequence, lastSequenceOf, ProducerState } from "./ProducerState.ts"

/** The batch is the one that was appended before: {@link PartitionProducers.repeat} says which. */
export const REPEATED = 1

/** Where a repeated batch lies. */
export interface Repeat {
  baseOffset: number
  endOffset: number
  timestamp: number
}

/** Whether the batch at `start` has a producer id, which MQTT's and those of plain producers have not. */
export function hasProducer(bytes: Uint8Array, start: number): boolean {
  // Ids are not negative, none is -1: the sign is enough.
  return (bytes[start + PRODUCER_ID_POSITION] ?? 0x80) < 0x80
}

export class PartitionProducers {
  /** Of the batch that {@link PartitionProducers.check} called {@link REPEATED} last. */
  readonly repeat: Repeat = { baseOffset: -1, endOffset: -1, timestamp: -1 }
  /** By id, those that were looked at last for one to forget at the end. */
  readonly #states = new Map<number, ProducerState>()

  get size(): number {
    return this.#states.size
  }

  all(): Iterable<ProducerState> {
    return this.#states.values()
  }

  get(id: number): ProducerState | undefined {
    return this.#states.get(id)
  }

  /** 0 where the batch at `start` may be appended, {@link REPEATED}, or why it must not be: `PRODUCER_*`. */
  check(bytes: Uint8Array, start: number): number {
    const state = this.#states.get(producerId(bytes, start))
    // Whatever it sent before was forgotten, or is in another log: any sequence may be its first one here.
    if (state === undefined) return 0
    const epoch = producerEpoch(bytes, start)
    const first = baseSequence(bytes, start)
    if (epoch !== state.epoch) {
      if (epoch < state.epoch) return PRODUCER_EPOCH_OLD
      return first === 0 ? 0 : PRODUCER_OUT_OF_ORDER
    }
    if (isNextSequence(state.lastSequence, first)) return 0
    const index = state.find(epoch, first, lastSequenceOf(bytes, start))
    if (index < 0) return PRODUCER_OUT_OF_ORDER
    const { repeat } = this
    repeat.baseOffset = state.baseOffsetOf(index)
    repeat.endOffset = state.endOffsetOf(index)
    repeat.timestamp = state.timestampOf(index)
    return REPEATED
  }

  /**
   * Notes a batch that lies at `baseOffset` now; `committed`: the log's high watermark. Returns whether its producer is a new one here.
   */
  appended(bytes: Uint8Array, start: number, baseOffset: number, committed: number, nowMs: number): boolean {
    const id = producerId(bytes, start)
    let state = this.#states.get(id)
    const isNew = state === undefined
    if (state === undefined) {
      state = new ProducerState(id, nowMs)
      this.#states.set(id, state)
    }
    state.writtenMs = nowMs
    state.isUsed = true
    state.append(bytes, start, baseOffset, committed)
    return isNew
  }

  /** Takes over one that was kept somewhere. */
  add(state: ProducerState): void {
    this.#states.set(state.id, state)
  }

  /** The log ends at `endOffset`: what lay behind was lost. */
  rewind(endOffset: number): void {
    for (const state of this.#states.values()) state.rewind(endOffset)
  }

  /** A batch that was the next one was refused. Returns whether its producer is a new one here. */
  refused(bytes: Uint8Array, start: number, nowMs: number): boolean {
    const id = producerId(bytes, start)
    if (this.#states.has(id)) return false
    const state = new ProducerState(id, nowMs)
    state.expect(producerEpoch(bytes, start), baseSequence(bytes, start))
    this.#states.set(id, state)
    return true
  }

  /** Forgets those that wrote last before `beforeMs`; returns how many. */
  expire(beforeMs: number): number {
    let gone = 0
    for (const state of this.#states.values()) {
      if (state.writtenMs >= beforeMs) continue
      this.#states.delete(state.id)
      gone += 1
    }
    return gone
  }

  /** Forgets one that has not written for a while: a second chance for those that have, and where all have, the oldest. */
  forgetOne(): boolean {
    for (let steps = this.#states.size; steps > 0; steps--) {
      const [state] = this.#states.values()
      if (state === undefined) return false
      this.#states.delete(state.id)
      if (!state.isUsed) return true
      state.isUsed = false
      this.#states.set(state.id, state)
    }
    const [oldest] = this.#states.keys()
    return oldest !== undefined && this.#states.delete(oldest)
  }
}
