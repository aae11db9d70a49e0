/**
 * IP addresses as text, in the one form in which two are the same where their texts are.
 *
 * Source: RFC 5952 (IPv6 text), RFC 4291 section 2.5.5.2 (IPv4-mapped addresses), RFC 4632 (CIDR).
 */
import { BlockList, isIP } from "node:net"

const MAPPED = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/

/** An IPv4 or IPv6 address in its one form, an IPv4-mapped one as IPv4, without a zone; "" where the text is no address. */
export function addressOf(text: string): string {
  const [address = ""] = text.split("%")
  const family = isIP(address)
  if (family !== 6) return family === 4 ? address : ""
  // The one way to the shortest form that every runtime has.
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [, dotted, high, low] = MAPPED.exec(short) ?? []
  if (dotted !== undefined) return dotted
  if (high === undefined || low === undefined) return short
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".")
}

/** A network as `address/length`, for {@link isInNetwork}; undefined where the text is none. */
export function networkOf(text: string): Network | undefined {
  const [, given = "", length = ""] = /^([^/%]+)\/(\d{1,3})$/.exec(text) ?? []
  const family = isIP(given)
  if (family === 0 || Number(length) > (family === 4 ? 32 : 128)) return undefined
  const network = new BlockList()
  network.addSubnet(given, Number(length), family === 4 ? "ipv4" : "ipv6")
  return network
}

/** A set of addresses that is asked by {@link isInNetwork}. */
export type Network = BlockList

/** Whether an address, as {@link addressOf} has it, lies in a network. */
export function isInNetwork(network: Network, address: string): boolean {
  return address !== "" && network.check(address, address.includes(":") ? "ipv6" : "ipv4")
}
