/** Closed loop: every publisher keeps its window full; the broker's pace is the result. */
import type { ClosedLoop } from "../scenarios.ts"
import { MessageRun, type RunOptions } from "./message-run.ts"
import type { Report } from "./report.ts"

export async function runClosedLoop(scenario: ClosedLoop, options: RunOptions): Promise<Report> {
  const messages = new MessageRun(scenario, options)
  await messages.open()
  messages.run.maySend = true
  for (const publisher of messages.publishers) publisher.pump()
  const measured = await messages.measure()
  return messages.report(measured, await messages.close())
}
