/** Where clients are told to find this node: the number and the addresses that Metadata names. */
import { crc32c, parseAddress } from "../../core/mod.ts"
import type { Advertised } from "./Broker.ts"

const encoder = new TextEncoder()

/**
 * The broker id of a node: the number that its id ends with (`node-1` is 1), else a hash of the id; the same at every start. Kafka
 * wants a non-negative int32.
 */
export function brokerIdOf(nodeId: string): number {
  const digits = /\d+$/.exec(nodeId)?.[0]
  const number = digits === undefined ? Number.NaN : Number(digits)
  if (number <= 0x7fff_ffff) return number
  const bytes = encoder.encode(nodeId)
  return crc32c(bytes, 0, bytes.length) & 0x7fff_ffff
}

/**
 * What a listener at `listening` ("host:port", real port) is announced as: `asked`, with the real port where its port is 0, or the
 * listener's own address. Undefined where that is no address that a client could use.
 */
export function advertisedOf(listening: string, asked: string | undefined): Advertised | undefined {
  const own = parseAddress(listening)
  const chosen = asked === undefined ? own : parseAddress(asked)
  if (own === undefined || chosen === undefined || isEverywhere(chosen.host)) return undefined
  return { host: chosen.host, port: chosen.port === 0 ? own.port : chosen.port }
}

/** Whether a host stands for every address of the machine. */
function isEverywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "*" || /^[0:]+$/.test(host)
}
