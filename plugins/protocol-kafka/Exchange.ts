/**
 * One request and its answer, from decoding to output. A handler completes it once, at once or later; the connection writes answers
 * in the order of the requests.
 */
import type { ReadLease } from "../../core/mod.ts"
import type { Caller } from "./Broker.ts"
import type { CloseCause } from "./Counts.ts"
import type { Api, ResponseOf } from "./wire/schema.ts"

/** Something that a request waits for, which the connection may end early. */
export interface Waiting {
  /** Answer now with what there is. */
  finish(): void
  /** The connection is gone: let go of everything. */
  cancel(): void
}

/** Told when an exchange is over. */
export interface ExchangeOwner {
  /** The exchange's answer holds that many bytes of stored batches. */
  exchangeHolds(bytes: number): void
  exchangeDone(): void
  /** The request ends its connection, as Apache does where no answer fits. */
  exchangeRefused(cause: CloseCause): void
  /** A handler failed in a way it should not have. */
  exchangeFailed(error: unknown): void
}

export class Exchange<A extends Api = Api> {
  readonly api: A
  /** The version that the answer is written in. */
  readonly version: number
  readonly correlationId: number
  readonly caller: Caller
  waiting: Waiting | undefined
  /** Bytes of stored batches that the answer holds until it is written. */
  heldBytes = 0
  /** What the answer's stored batches are read with; ended when they have been written. */
  lease: ReadLease | undefined
  /** Bytes of the request. */
  requestBytes = 0
  #response: ResponseOf<A> | undefined
  #done = false
  readonly #owner: ExchangeOwner

  constructor(api: A, version: number, correlationId: number, caller: Caller, owner: ExchangeOwner) {
    this.api = api
    this.version = version
    this.correlationId = correlationId
    this.caller = caller
    this.#owner = owner
  }

  get isDone(): boolean {
    return this.#done
  }

  /** What to write; undefined where nothing is. */
  get response(): ResponseOf<A> | undefined {
    return this.#response
  }

  /** The answer will hold `bytes` of stored batches: they count until it is written, or its connection is gone. */
  hold(bytes: number): void {
    this.heldBytes += bytes
    this.#owner.exchangeHolds(bytes)
  }

  complete(response: ResponseOf<A>): void {
    this.#response = response
    this.#end()
  }

  /** Nothing is answered: Produce with acks = 0. */
  completeSilently(): void {
    this.#end()
  }

  /** Nothing is answered and the connection ends after the answers before this one. */
  refuse(cause: CloseCause): void {
    this.#end()
    this.#owner.exchangeRefused(cause)
  }

  fail(error: unknown): void {
    this.#owner.exchangeFailed(error)
  }

  #end(): void {
    this.#done = true
    this.waiting = undefined
    this.#owner.exchangeDone()
  }
}
