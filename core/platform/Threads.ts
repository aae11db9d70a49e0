/** Threads as a service. Its default are the runtime's; a simulation puts others in their place. */
import { Context } from "effect"
import { hostThreads, type ThreadsShape } from "./host-threads.ts"

export const Threads = Context.Reference<ThreadsShape>("manifold/core/platform/Threads", {
  defaultValue: () => hostThreads
})
