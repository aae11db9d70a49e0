/**
 * A shard's journal and its storage plugins: what stands before anything is replayed.
 *
 * The journal lies on disk where a plugin brings a durable key-value store, which is what it feeds; else it is in memory, as all state.
 */
import { join } from "node:path"
import { Context, Effect, Scope } from "effect"
import type { StorageAccount } from "../budget/StorageAccount.ts"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import { diskJournalDefaults } from "../journal/disk-journal-parts.ts"
import { Journal, type JournalShape } from "../journal/Journal.ts"
import type { JournalError } from "../journal/JournalError.ts"
import { MemoryJournal } from "../journal/MemoryJournal.ts"
import { openDiskJournal } from "../journal/open-disk-journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { Engines } from "../log/Engines.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import type { RandomShape } from "../platform/Random.ts"
import { Turn, TurnLoop } from "../platform/Turn.ts"
import type { StoredPart } from "../plugin/Inspection.ts"
import { KeyValueStores, type PlatformServices, Store } from "../plugin/Plugin.ts"
import { type NodeResources, Resources } from "../resources/Resources.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { buildPlugin } from "./build-plugin.ts"
import { JOURNAL_DIRECTORY } from "./data-directory.ts"
import type { NodeOptions } from "./NodeOptions.ts"
import { makeEngines, makeKeyValueStores, makeStore } from "./registries.ts"
import { StartError } from "./StartError.ts"

export interface PrepareParts {
  readonly index: number
  readonly options: NodeOptions
  readonly platform: Context.Context<PlatformServices>
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly files: FilesShape
  readonly resources: NodeResources
  readonly log: LogShape
  readonly topicName: (id: string) => string | undefined
  /** Where the shard's store lies; undefined = nothing is kept. */
  readonly directory: string | undefined
}

/** A shard whose storage stands and whose journal has not been replayed yet. */
export interface PreparedShard {
  readonly index: number
  readonly engines: typeof Engines.Service
  readonly store: KeyValueStoreShape
  readonly turn: TurnLoop
  readonly journal: JournalShape
  /** The same where it lies on disk. */
  readonly disk: DiskJournal | undefined
  /** What plugins keep in the store, for backups. */
  readonly parts: () => ReadonlyArray<StoredPart>
  /** What plugins tell of the room that they take in the store. */
  readonly accounts: () => ReadonlyArray<StorageAccount>
  /** Replays the journal; once, when all that reads it is registered. */
  readonly recover: Effect.Effect<void, StartError>
  /** For a meta store, which keeps its log in the journal of the first shard. */
  readonly services: Context.Context<Journal | Store>
}

interface OpenedJournal {
  readonly journal: JournalShape & { bind(store: KeyValueStoreShape): void }
  readonly disk: DiskJournal | undefined
  readonly recover: Effect.Effect<void, StartError>
}

/** Builds a shard's journal and its storage plugins, in `scope`. */
export function prepareShard(parts: PrepareParts, scope: Scope.Scope): Effect.Effect<PreparedShard, StartError> {
  return Effect.gen(function* () {
    const { index, options, clock, directory } = parts
    const engines = makeEngines()
    const stores = makeKeyValueStores()
    const turn = new TurnLoop(clock)
    const { journal, disk, recover } = yield* openJournal(parts, turn, scope)
    const { dataBytesMax, tenantBytesMax } = options.budget
    const bounds = [dataBytesMax / options.shards, tenantBytesMax].filter((bytes) => bytes > 0)
    const bytesMax = Math.min(Number.POSITIVE_INFINITY, ...bounds)
    const { topicName } = parts
    const kept = makeStore({ number: index, directory, bytesMax, topicName })
    const services = Context.make(Journal, journal).pipe(Context.add(Store, kept.store))
    const storage = Context.merge(parts.platform, services).pipe(
      Context.add(Engines, engines),
      Context.add(KeyValueStores, stores),
      Context.add(Turn, turn)
    )
    const builder = { scope, clock, log: parts.log }
    let store: KeyValueStoreShape | undefined
    let isDurable = false
    for (const { plugin, options: settings } of options.plugins) {
      if (plugin.kind !== "storage") continue
      const before = stores.names().length
      const own = Context.add(storage, Resources, parts.resources.forPlugin(plugin.name, index))
      yield* buildPlugin(plugin, () => plugin.layer(settings), own, builder)
      const name = stores.names()[before]
      const brings = plugin.keyValueStore === "durable"
      if (name === undefined || (store !== undefined && (isDurable || !brings))) continue
      store = stores.get(name)
      isDurable = brings
    }
    if (store === undefined) {
      return yield* new StartError({ message: "no storage plugin brings a key-value store; storage-memory does" })
    }
    journal.bind(store)
    return { index, engines, store, turn, journal, disk, parts: kept.parts, accounts: kept.accounts, recover, services }
  })
}

function openJournal(
  parts: PrepareParts,
  turn: TurnLoop,
  scope: Scope.Scope
): Effect.Effect<OpenedJournal, StartError> {
  const { directory: store, clock, files, log, random, options } = parts
  if (store === undefined) {
    return Effect.succeed({ journal: new MemoryJournal(turn), disk: undefined, recover: Effect.void })
  }
  const directory = join(store, JOURNAL_DIRECTORY)
  const stateDurability = options.defaultTopic.mode === "hybrid" ? "hybrid" : "persistent"
  const failed = (error: JournalError | FileError): StartError => new StartError({ message: error.message })
  return files.ensureWritableDirectory(directory).pipe(
    // Without its name nothing in it would be found after a power failure.
    Effect.andThen(files.syncDirectory(store)),
    Effect.andThen(
      openDiskJournal({ directory, files, clock, turn, log, random, options: diskJournalDefaults, stateDurability })
    ),
    Scope.provide(scope),
    Effect.mapError(failed),
    Effect.map(({ journal, recover }) => ({ journal, disk: journal, recover: recover.pipe(Effect.mapError(failed)) }))
  )
}
