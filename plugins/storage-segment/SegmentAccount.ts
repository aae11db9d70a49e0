/** What a store's segments take, and which of them come first to go: from the catalogue, without a look at any file. */
import type { Checkpoints, Deletion, OldestPiece, StorageAccount, StorageUse } from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import type { Manifest } from "./Manifest.ts"
import { fileBytes } from "./Segment.ts"

/** Segments that one question looks at. */
const PIECES_MAX = 256

export class SegmentAccount implements StorageAccount {
  readonly name = "storage-segment"
  readonly #catalogue: Catalogue
  readonly #manifest: Pick<Manifest, "bytes">
  readonly #checkpoints: Checkpoints

  constructor(catalogue: Catalogue, manifest: Pick<Manifest, "bytes">, checkpoints: Checkpoints) {
    this.#catalogue = catalogue
    this.#manifest = manifest
    this.#checkpoints = checkpoints
  }

  async measure(): Promise<StorageUse> {
    const tenants = [...this.#catalogue.tenants]
    const usedBytes = tenants.reduce((sum, [, bytes]) => sum + bytes, this.#manifest.bytes)
    return { usedBytes, freeBytes: 0, tenants }
  }

  async oldest(bytesMax: number, tenant: number | undefined): Promise<ReadonlyArray<OldestPiece>> {
    const pieces: Array<OldestPiece> = []
    let found = 0
    for (const { segment } of this.#catalogue.oldest.walk(tenant)) {
      const bytes = fileBytes(segment)
      pieces.push({ appendedMs: segment.lastAppendedMs, bytes })
      found += bytes
      if (found >= bytesMax || pieces.length >= PIECES_MAX) break
    }
    return pieces
  }

  deleteOldest(deletion: Deletion): Promise<void> {
    return this.#checkpoints.deleteOldest(deletion)
  }
}
