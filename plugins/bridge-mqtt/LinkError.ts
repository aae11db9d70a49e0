/** Why a bridge is not connected. */
import { Schema } from "effect"

/** `reason` is one line for a person. */
export class LinkError extends Schema.TaggedError<LinkError>()("LinkError", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** What the Reason Codes of a CONNACK mean that a person can do something about, before version 5 and in it. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [1, "it does not speak this version of MQTT"],
  [2, "it does not take the client identifier"],
  [3, "it is not available"],
  [4, "it does not take the user name or password"],
  [5, "the client is not allowed to connect"],
  [0x84, "it does not speak this version of MQTT"],
  [0x85, "it does not take the client identifier"],
  [0x86, "it does not take the user name or password"],
  [0x87, "the client is not allowed to connect"],
  [0x88, "it is not available"],
  [0x89, "it is busy"],
  [0x8a, "the client is banned"],
  [0x97, "a quota is used up"],
  [0x9f, "too many connect"]
])

export function refusalText(reasonCode: number): string {
  const code = `0x${reasonCode.toString(16).padStart(2, "0")}`
  const meaning = REFUSALS.get(reasonCode)
  return `the remote refused to connect: ${code}${meaning === undefined ? "" : `, ${meaning}`}`
}
