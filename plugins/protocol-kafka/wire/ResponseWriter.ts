/**
 * Writes responses whose stored batches are not copied: between the bytes of its own buffer stand views of somebody else's memory.
 *
 * Invariant: the response is `bytes[0, views[0].at)`, the first view, `bytes[views[0].at, views[1].at)`, the second, and so on.
 */
import type { RecordsView } from "./schema.ts"
import { Writer } from "./writer.ts"

/** A view that is no larger is copied: what is to be kept of it would take as much. */
const COPIED_BYTES_MAX = 256

/** A view, and before which byte of the writer's own it stands. */
export interface PlacedView extends RecordsView {
  readonly at: number
}

export class ResponseWriter extends Writer {
  /** In the order in which they stand; lasts until {@link ResponseWriter.clear}. */
  views: Array<PlacedView> = []
  /** Bytes of all views. */
  viewBytes = 0

  /** Begins anew; the buffer stays. */
  clear(): void {
    this.position = 0
    this.viewBytes = 0
    if (this.views.length > 0) this.views = []
  }

  /** Bytes of the response so far, the views among them. */
  get byteLength(): number {
    return this.position + this.viewBytes
  }

  protected override view(view: RecordsView): void {
    const { bytes, start, end } = view
    if (end - start <= COPIED_BYTES_MAX) {
      super.view(view)
      return
    }
    this.views.push({ bytes, start, end, at: this.position })
    this.viewBytes += end - start
  }
}
