/**
 * The way to the shard that owns a group: a request that came to any shard is handled there, in the order in which this one sent them.
 *
 * What crosses is the request itself in the form of its API's newest version, and the answer in the same.
 */
import type { ByteReader, Mailbox, ShardShape } from "../../../core/mod.ts"
import {
  deleteGroups,
  describeGroups,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup
} from "../wire/apis.ts"
import { codecFor, decodeRequest, encodeResponse, isFlexible, Reader } from "../wire/codec.ts"
import type { Api, RequestOf, ResponseOf } from "../wire/schema.ts"
import { Writer } from "../wire/writer.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import { type Answer, type GroupCaller, heartbeatOf, joinOf, leaveOf, syncOf } from "./member-requests.ts"
import { commitOf, deleteOffsetsOf, fetchOf } from "./offset-requests.ts"
import { deleteOf, describeOf, listOf } from "./overview-requests.ts"

const REQUEST = 0
const RESPONSE = 1

type Handler<A extends Api> = (
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  request: RequestOf<A>,
  done: Answer<ResponseOf<A>>
) => void

const handlers = new Map<number, { readonly api: Api; readonly handler: Handler<Api> }>()
function serve<A extends Api>(api: A, handler: Handler<A>): void {
  handlers.set(api.key, { api, handler: handler as unknown as Handler<Api> })
}
serve(joinGroup, joinOf)
serve(syncGroup, syncOf)
serve(heartbeat, heartbeatOf)
serve(leaveGroup, leaveOf)
serve(offsetCommit, commitOf)
serve(offsetFetch, fetchOf)
serve(offsetDelete, deleteOffsetsOf)
serve(describeGroups, describeOf)
serve(listGroups, listOf)
serve(deleteGroups, deleteOf)

function servedOf(key: number): { readonly api: Api; readonly handler: Handler<Api> } {
  const served = handlers.get(key)
  if (served === undefined) throw new RangeError(`API ${key} is none of groups`)
  return served
}

export class GroupLink {
  readonly #coordinator: GroupCoordinator
  readonly #shard: Pick<ShardShape, "index" | "count" | "ownerOfGroup">
  readonly #mailbox: Mailbox
  readonly #open = new Map<number, (reader: Reader) => void>()
  #lastAsk = 0
  readonly #fault: (line: string) => void

  /** Takes up what other shards have sent: the coordinator has started. */
  constructor(
    coordinator: GroupCoordinator,
    shard: Pick<ShardShape, "index" | "count" | "ownerOfGroup" | "mailbox">,
    fault: (line: string) => void = () => {}
  ) {
    this.#fault = fault
    this.#coordinator = coordinator
    this.#shard = shard
    this.#mailbox = shard.mailbox("protocol-kafka.groups", (from, reader) => this.#receive(from, reader))
  }

  get shards(): number {
    return this.#shard.count
  }

  ownerOf(tenant: number, groupId: string): number {
    return this.#shard.ownerOfGroup(tenant, groupId)
  }

  /** Asks the groups of `shard`; `done` is called once, within the call or later. The request is borrowed until this returns. */
  ask<A extends Api>(
    shard: number,
    api: A,
    caller: GroupCaller,
    request: RequestOf<A>,
    done: Answer<ResponseOf<A>>
  ): void {
    if (shard === this.#shard.index) {
      this.#handle(api, caller, request, done as Answer<ResponseOf<Api>>)
      return
    }
    const version = api.versionMax
    // Written before its frame is begun: what cannot be written must not leave half a frame behind.
    const body = new Writer()
    codecFor(api.request, version, isFlexible(api, version)).encode(body, request as never)
    const ask = ++this.#lastAsk
    this.#open.set(ask, (reader) => {
      done(codecFor(api.response, version, isFlexible(api, version)).decode(reader) as unknown as ResponseOf<A>)
    })
    const writer = this.#mailbox.begin(shard)
    writer.uint8(REQUEST)
    writer.uint53(ask)
    writer.uint32(api.key)
    writer.uint32(caller.tenant)
    writer.uint32(caller.version)
    writer.text(caller.clientId)
    writer.text(caller.clientHost)
    writer.int64(caller.retentionMs)
    writer.block(body.bytes, 0, body.position)
    this.#mailbox.end(writer)
  }

  #handle(api: Api, caller: GroupCaller, request: unknown, done: Answer<ResponseOf<Api>>): void {
    servedOf(api.key).handler(this.#coordinator, caller, request as RequestOf<Api>, done)
  }

  #receive(from: number, reader: ByteReader): void {
    const kind = reader.uint8()
    const ask = reader.uint53()
    if (kind === RESPONSE) {
      const start = reader.blockStart()
      const answer = this.#open.get(ask)
      this.#open.delete(ask)
      // A copy: what is read out of it is kept until it is written to the client.
      const bytes = reader.bytes.slice(start, reader.position)
      // What this node's own shards say is as large as they made it.
      answer?.(new Reader(bytes, 0, bytes.length, Number.POSITIVE_INFINITY))
      return
    }
    const { api } = servedOf(reader.uint32())
    const tenant = reader.uint32()
    const version = reader.uint32()
    const clientId = reader.text()
    const clientHost = reader.text()
    const retentionMs = reader.int64()
    const start = reader.blockStart()
    const request = decodeRequest(api, api.versionMax, new Reader(reader.bytes, start, reader.position))
    this.#handle(api, { tenant, version, clientId, clientHost, retentionMs }, request, (response) => {
      const body = new Writer()
      try {
        encodeResponse(api, api.versionMax, body, response)
      } catch (error) {
        // Nobody would catch it here: whoever asked waits in vain, and the shard goes on.
        this.#fault(`an answer about groups (${api.name}) cannot be written: ${error}`)
        return
      }
      const writer = this.#mailbox.begin(from)
      writer.uint8(RESPONSE)
      writer.uint53(ask)
      writer.block(body.bytes, 0, body.position)
      this.#mailbox.end(writer)
    })
  }
}
