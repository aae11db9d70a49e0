/** Sequences and differences as a person reads them. */
import type { Difference } from "./compare.ts"
import type { Extras, Sequence, Step } from "./plan.ts"

/** A line for each step, with the number of its client. */
export function showSequence({ versions, steps }: Sequence): string {
  const names = versions.map((version, index) => `${index} speaks ${{ 3: "3.1", 4: "3.1.1", 5: "5.0" }[version]}`)
  return [names.join(", "), ...steps.map((step) => `  ${step.client} ${showStep(step)}`)].join("\n")
}

export function showStep(step: Step): string {
  switch (step.kind) {
    case "connect": {
      const { clean, expiry, will, receiveMaximum, topicAliasMaximum, maximumPacketSize } = step
      const words = [`connect ${clean ? "clean" : "to its session"}`, `expiry ${expiry}`]
      if (receiveMaximum !== undefined) words.push(`Receive Maximum ${receiveMaximum}`)
      if (topicAliasMaximum !== undefined) words.push(`Topic Alias Maximum ${topicAliasMaximum}`)
      if (maximumPacketSize !== undefined) words.push(`Maximum Packet Size ${maximumPacketSize}`)
      if (will !== undefined) {
        const { topic, qos, retain, delay, extras } = will
        words.push(`will ${topic} QoS ${qos}${retain ? " retained" : ""} delay ${delay}${showExtras(extras)}`)
      }
      return words.join(", ")
    }
    case "end":
      return `end ${step.how}`
    case "subscribe": {
      const filters = step.filters.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => {
        const options = `${noLocal ? " no local" : ""}${retainAsPublished ? " as published" : ""}`
        return `${filter} QoS ${qos}${options} handling ${retainHandling}`
      })
      return `subscribe ${filters.join(", ")}${step.identifier === undefined ? "" : ` as ${step.identifier}`}`
    }
    case "unsubscribe":
      return `unsubscribe ${step.filters.join(", ")}`
    case "publish": {
      const messages = step.messages.map(({ topic, qos, retain, isEmpty, isLarge, alias, extras }) => {
        const words = `${retain ? " retained" : ""}${isEmpty ? " empty" : isLarge ? " large" : ""}`
        return `${topic} QoS ${qos}${words}${alias === undefined ? "" : ` alias ${alias}`}${showExtras(extras)}`
      })
      return `publish ${messages.join(", ")}`
    }
    case "begin":
      return `begin ${step.topic}${step.forgets ? ", and forget the PUBREC" : ""}`
    case "finish":
      return "finish"
    case "acknowledge":
      return `acknowledge ${step.what}`
  }
}

function showExtras(extras: Extras): string {
  return Object.keys(extras).length === 1 && extras.userProperties.length === 0 ? "" : ` ${JSON.stringify(extras)}`
}

export function showDifference(difference: Difference): string {
  const { subject, step, did, client, version, what, topic, payload, ours, theirs } = difference
  const message = topic === undefined ? "" : ` of "${payload}" on ${topic}`
  const values = `here ${JSON.stringify(ours)}, there ${JSON.stringify(theirs)}`
  const where = `${subject}, step ${step} (${did.client} ${showStep(did)})`
  return `${where}: client ${client}, version ${version}: ${what}${message}: ${values}`
}
