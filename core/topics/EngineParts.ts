/** What all partitions of an engine have alike: one object for each engine, with one compressor that counts for all of its topics. */
import { BatchCompressor } from "../log/BatchCompressor.ts"
import { CompressionBudget } from "../log/CompressionBudget.ts"
import type { Engine } from "../log/Engines.ts"
import type { OpenPartitionParts } from "./OpenPartition.ts"

export interface EnginePartsOptions extends Pick<OpenPartitionParts, "clock" | "turn" | "log"> {
  /** How the log names an engine: with the plugin that brings it. */
  readonly engineLabel: (engine: string) => string
  readonly room?: OpenPartitionParts["room"]
  readonly producers?: OpenPartitionParts["producers"]
}

export class EngineParts {
  /** Of topics that are compressed, by their engine; they count on when a topic is gone. */
  readonly compressors = new Map<string, BatchCompressor>()
  readonly #budget: CompressionBudget
  readonly #options: EnginePartsOptions
  readonly #known = new Map<string, OpenPartitionParts>()

  constructor(options: EnginePartsOptions) {
    this.#options = options
    this.#budget = new CompressionBudget(options.turn)
  }

  of(name: string, engine: Engine): OpenPartitionParts {
    const known = this.#known.get(name)
    if (known?.engine === engine) return known
    const { engineLabel, clock, turn, log, room, producers } = this.#options
    const compressor = this.compressors.get(name) ?? new BatchCompressor({ budget: this.#budget })
    this.compressors.set(name, compressor)
    const engineName = engineLabel(name)
    const parts: OpenPartitionParts = { engine, engineName, compressor, room, producers, clock, turn, log }
    this.#known.set(name, parts)
    return parts
  }
}
