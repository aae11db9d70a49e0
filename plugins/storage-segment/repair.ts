/**
 * `manifold storage repair` of a store's segments: what is derived is made anew from the batches; where it is told so, a log is cut before
 * what is broken, or that is moved aside; where it is told so, a manifest is made of the segments that are left.
 *
 * Invariants
 *  - Nothing is deleted: what leaves a log, and a manifest that is replaced, lies in `quarantine` before.
 *  - Partitions of which nothing is wrong keep every byte.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { FileError, PluginError, type Repair, type RepairRequest, type RepairStep } from "../../core/mod.ts"
import { applyRepair } from "./apply-repair.ts"
import { contradictions, examinePartition, nameOf } from "./examine-partition.ts"
import { MANIFEST_NAME, Manifest, type ManifestContent, type ManifestState } from "./Manifest.ts"
import { type PartitionPlan, planRepair, TRUNCATE_OR_QUARANTINE } from "./plan-repair.ts"
import { Quarantine } from "./Quarantine.ts"
import { rebuildManifest } from "./rebuild-manifest.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { DIRECTORY_NAME } from "./SegmentStore.ts"
import { ensureMark, whyNotNew } from "./store-mark.ts"

const REBUILD = "--rebuild-manifest"

export const repair: Repair = (_options, request) =>
  Effect.tryPromise({
    try: () => new SegmentRepair(request).run(),
    catch: (error) => {
      if (!(error instanceof FileError)) throw error
      return new PluginError({ plugin: "storage-segment", message: error.message })
    }
  })

class SegmentRepair {
  readonly #request: RepairRequest
  readonly #directory: string
  readonly #manifest: string
  readonly #quarantine: Quarantine
  readonly #steps: Array<RepairStep> = []
  /** A copy of the manifest as it was is kept. */
  #isManifestKept = false

  constructor(request: RepairRequest) {
    this.#request = request
    this.#directory = join(request.directory, DIRECTORY_NAME)
    this.#manifest = join(this.#directory, MANIFEST_NAME)
    this.#quarantine = new Quarantine(request.files, this.#directory, (bytes) => request.pace(bytes))
  }

  /** Rejects with `FileError`. */
  async run(): Promise<ReadonlyArray<RepairStep>> {
    const opened = await this.#opened()
    if (opened === undefined) return this.#steps
    const content = typeof opened === "string" ? await this.#rebuilt(opened) : opened
    if (content !== undefined) await this.#repair(content)
    return this.#steps
  }

  /** What the manifest says, or why nothing can be made of it; undefined where there is no store. */
  async #opened(): Promise<ManifestContent | string | undefined> {
    const { files } = this.#request
    try {
      const { manifest, content } = await Manifest.open(files, this.#directory)
      if (!manifest.isThere) return await whyNotNew(files, this.#directory)
      const [fault] = contradictions(content)
      return fault === undefined ? content : `it contradicts itself: ${fault}`
    } catch (error) {
      if (!(error instanceof SegmentFault)) throw error
      return `byte ${error.position}: ${error.reason}`
    }
  }

  /** A manifest of what is there, durable where it is to be; undefined where it is not to be made. */
  async #rebuilt(why: string): Promise<ManifestContent | undefined> {
    const { files, nowMs, isApplied, rebuildsManifest, journalBegins, pace } = this.#request
    if (!rebuildsManifest || journalBegins === undefined) {
      const isKnown = journalBegins !== undefined
      const what = isKnown
        ? "it can be made anew from the segments"
        : "and the journal, which it has to meet, cannot be read"
      this.#step("rebuild", this.#manifest, `${why}: ${what}`, isKnown ? REBUILD : "a journal that is whole")
      return undefined
    }
    const parts = { files, directory: this.#directory, nowMs, applied: journalBegins, pace }
    const { content, aside } = await rebuildManifest(parts)
    for (const { pathnames, how, message } of aside) {
      if (isApplied && how === "move") await this.#quarantine.move(pathnames)
      if (isApplied && how === "copy") for (const pathname of pathnames) await this.#quarantine.copy(pathname)
      this.#step("quarantine", pathnames[0] ?? this.#directory, message)
    }
    if (isApplied) {
      await Effect.runPromise(files.makeDirectory(this.#directory))
      await this.#keepManifest()
      await Manifest.write(files, this.#directory, content)
      await ensureMark(files, this.#directory)
    }
    const { size } = content.partitions
    const segments = [...content.partitions.values()].reduce((sum, partition) => sum + partition.segments.length, 0)
    const made = `made anew of ${segments} segments of ${size} partitions; the journal is replayed from entry ${journalBegins + 1} on`
    this.#step("rebuild", this.#manifest, `${why}: ${made}`)
    return content
  }

  async #repair({ partitions, state: before }: ManifestContent): Promise<void> {
    const { files, broken, isApplied, pace } = this.#request
    let state: ManifestState = before
    const nextEpoch = (): number => {
      const epochLast = Math.max(state.epochLast, state.epochLimit) + 1
      state = { ...state, epochLast, epochLimit: epochLast }
      return epochLast
    }
    const content = (): ManifestContent => ({ partitions, state })
    const parts = { files, directory: this.#directory, quarantine: this.#quarantine, content }
    for (const partition of [...partitions.values()]) {
      const found = await examinePartition({ files, directory: this.#directory, pace }, partition)
      const plan = await planRepair(files, found, broken, nextEpoch)
      if (isApplied) {
        if (plan.after !== plan.before) await this.#keepManifest()
        await applyRepair(parts, plan)
      }
      this.#tell(plan)
    }
  }

  async #keepManifest(): Promise<void> {
    if (this.#isManifestKept) return
    this.#isManifestKept = true
    try {
      await this.#quarantine.copy(this.#manifest)
    } catch (error) {
      if (!(error instanceof FileError && error.code === "not-found")) throw error
    }
  }

  #tell({ before, after, moved, cut, rewrites, left, changes }: PartitionPlan): void {
    const name = nameOf(before)
    for (const { pathname, broken, unreadable } of left) {
      const fault = unreadable ?? `byte ${broken?.position}: ${broken?.message}`
      this.#step(
        "leave",
        pathname,
        `${name}: ${fault}: it, or all from there on, has to leave the log`,
        TRUNCATE_OR_QUARANTINE
      )
    }
    for (const { pathname, broken, unreadable } of moved) {
      const fault = unreadable ?? (broken === undefined ? "it lies behind what is cut" : broken.message)
      this.#step("quarantine", pathname, `${name}: ${fault}: moved to quarantine/${before.id}`)
    }
    if (cut !== undefined) {
      const { position, message } = cut.broken ?? { position: 0, message: "" }
      this.#step(
        "truncate",
        cut.pathname,
        `${name}: cut at byte ${position}: ${message}; a copy is in quarantine/${after.id}`
      )
    }
    for (const change of changes) this.#step("correct", this.#manifest, change)
    for (const { what, pathname, fault } of rewrites) {
      this.#step("rewrite", pathname, `${name}: ${fault}: the ${what} is made anew from the segment`)
    }
  }

  #step(action: string, pathname: string, message: string, needs = ""): void {
    this.#steps.push({ action, pathname, message, needs, isDone: needs === "" && this.#request.isApplied })
  }
}
