/**
 * A third party's durable storage, as small as it can be: key-value state in a map, fed from the journal, with a snapshot as a file of
 * hexadecimal lines that ends with its SHA-256. Tests show with it that what the command does with files needs no plugin of ours.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import {
  CONTRACT_VERSION,
  compareKeys,
  decodeWrites,
  Files,
  type FilesShape,
  type InspectionRequest,
  Journal,
  type JournalConsumer,
  type JournalShape,
  type KeyValue,
  type KeyValueStoreShape,
  KeyValueStores,
  type KeyValueWrite,
  KIND_KEY_VALUE,
  type PartReport,
  PluginError,
  type StoragePlugin,
  Store
} from "manifold"
import * as v from "valibot"

const SNAPSHOT = "map.snapshot"

const failure = (message: string): PluginError => new PluginError({ plugin: "map-store", message })
const checksum = (body: string): string => createHash("sha256").update(body).digest("hex")

class MapStore implements KeyValueStoreShape, JournalConsumer {
  readonly name = "map-store"
  readonly kinds = [KIND_KEY_VALUE]
  appliedIndex = 0
  readonly #files: FilesShape
  readonly #directory: string
  readonly #journal: JournalShape
  readonly #entries = new Map<string, Uint8Array>()
  #index = 0
  #writing = Promise.resolve()

  constructor(files: FilesShape, directory: string, journal: JournalShape) {
    this.#files = files
    this.#directory = directory
    this.#journal = journal
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#entries.get(key.toHex())
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    const [from, to] = [start.toHex(), end.toHex()]
    const keys = [...this.#entries.keys()].filter((key) => key >= from && key < to).toSorted()
    return keys.slice(0, limit).map((key) => ({
      key: Uint8Array.fromHex(key),
      value: this.#entries.get(key) ?? new Uint8Array(0)
    }))
  }

  rangeLater(start: Uint8Array, end: Uint8Array, limit: number): Promise<ReadonlyArray<KeyValue>> {
    return Promise.resolve(this.range(start, end, limit))
  }

  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    for (const { key, value, end } of writes) {
      if (end === undefined) {
        if (value === undefined) this.#entries.delete(key.toHex())
        else this.#entries.set(key.toHex(), value.slice())
        continue
      }
      for (const known of [...this.#entries.keys()]) {
        const bytes = Uint8Array.fromHex(known)
        if (compareKeys(bytes, key) >= 0 && compareKeys(bytes, end) < 0) this.#entries.delete(known)
      }
    }
  }

  replayUnsafe(index: number, _kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.apply(decodeWrites(bytes, start, end))
    this.#index = index
  }

  committed(index: number): void {
    this.#index = Math.max(this.#index, index)
  }

  lost(): void {}

  checkpoint(): void {
    this.#writing = this.#writing.then(async () => {
      this.appliedIndex = await this.write(this.#directory)
      this.#journal.released()
    })
  }

  /** Writes what is there now into a directory; the entry up to which that goes. */
  async write(directory: string): Promise<number> {
    const index = this.#index
    const lines = [...this.#entries].map(([key, value]) => `${key} ${value.toHex()}`)
    const body = [`index ${index}`, ...lines, ""].join("\n")
    const bytes = new TextEncoder().encode(`${body}sha256 ${checksum(body)}\n`)
    const pathname = join(directory, SNAPSHOT)
    const file = this.#files.openUnsafe(`${pathname}.new`, "create")
    try {
      file.truncateUnsafe(0)
      file.writeUnsafe(bytes, 0, bytes.length, 0)
      await file.sync()
    } finally {
      file.close()
    }
    this.#files.renameUnsafe(`${pathname}.new`, pathname)
    await Effect.runPromise(this.#files.syncDirectory(directory))
    return index
  }

  /** Takes over what a snapshot holds. */
  load(text: string): void {
    const body = bodyOf(text)
    if (body === undefined) throw new Error(`${SNAPSHOT} is damaged`)
    const [head = "", ...lines] = body.trimEnd().split("\n")
    this.appliedIndex = this.#index = Number(head.slice("index ".length))
    for (const line of lines) {
      const [key = "", value = ""] = line.split(" ")
      this.#entries.set(key, Uint8Array.fromHex(value))
    }
  }
}

/** What stands before a checksum that is right. */
function bodyOf(text: string): string | undefined {
  const at = text.lastIndexOf("sha256 ")
  const body = text.slice(0, Math.max(0, at))
  return text.slice(at) === `sha256 ${checksum(body)}\n` ? body : undefined
}

function inspect({ directory, files }: InspectionRequest): Effect.Effect<ReadonlyArray<PartReport>, PluginError> {
  return Effect.gen(function* () {
    const pathname = join(directory, SNAPSHOT)
    if (!(yield* files.list(directory)).includes(SNAPSHOT)) return []
    const text = yield* files.readText(pathname)
    const lines = bodyOf(text)?.trimEnd().split("\n")
    const part = { part: "map", names: [SNAPSHOT], bytes: text.length, notes: [] }
    if (lines === undefined) {
      const damage = { pathname, position: 0, message: "its checksum is not right", remedy: "restore a backup" }
      return [{ ...part, counts: {}, damage: [damage] }]
    }
    const counts = { keys: lines.length - 1, journal_index: Number(lines[0]?.slice("index ".length)) }
    return [{ ...part, counts, damage: [] }]
  }).pipe(Effect.mapError(({ message }) => failure(message)))
}

export const plugin: StoragePlugin = {
  name: "map-store",
  version: "1.0.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [],
  keyValueStore: "durable",
  options: v.strictObject({}),
  inspect: (_options, request) => inspect(request),
  layer: () =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const { directory, keeps } = yield* Store
        const files = yield* Files
        const journal = yield* Journal
        const stores = yield* KeyValueStores
        if (directory === undefined) return yield* failure("a durable store needs a directory")
        const store = new MapStore(files, directory, journal)
        const names = yield* files.list(directory).pipe(Effect.mapError(({ message }) => failure(message)))
        if (names.includes(SNAPSHOT)) {
          const text = yield* files
            .readText(join(directory, SNAPSHOT))
            .pipe(Effect.mapError(({ message }) => failure(message)))
          yield* Effect.try({ try: () => store.load(text), catch: (error) => failure(String(error)) })
        }
        journal.register(store)
        yield* keeps({
          name: "map-store",
          copy: (target) =>
            Effect.tryPromise({ try: () => store.write(target), catch: (error) => failure(String(error)) })
        })
        yield* stores.register("map-store", store)
      })
    )
}
