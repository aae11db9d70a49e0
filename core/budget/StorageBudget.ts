/** How much room the data directory has left, as those see it who would store something. */
import { Context } from "effect"
import { DISK_FULL } from "../log/Engines.ts"
import type { Pressure } from "./pressure.ts"

/** What a node may take of a disk; bytes, 0 = no bound of its own. */
export interface BudgetLimits {
  /** Of the whole data directory. */
  readonly dataBytesMax: number
  /** Of the stored topics of one tenant. */
  readonly tenantBytesMax: number
}

export interface StorageBudgetShape {
  readonly pressure: Pressure
  /**
   * 0, or {@link DISK_FULL} while producers are refused. What deletes, acknowledges or keeps a session goes on: who frees room has to be
   * able to, and the journal keeps some for it.
   */
  readonly refusal: number
}

export class StorageBudget extends Context.Service<StorageBudget, StorageBudgetShape>()(
  "manifold/core/budget/StorageBudget"
) {}

/** What a shard is told; one that runs on a thread of its own has its own. */
export class StorageRoom implements StorageBudgetShape {
  pressure: Pressure = "ok"

  get refusal(): number {
    return this.pressure === "full" ? DISK_FULL : 0
  }
}
