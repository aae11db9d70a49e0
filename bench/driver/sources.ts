/**
 * Local addresses for many connections: an address has some 28,000 ports for one destination, and a port that was closed from this
 * side stays taken for a while. On Linux all of 127.0.0.0/8 is this machine's own, so that each further address has ports of its own;
 * elsewhere everything comes from 127.0.0.1.
 *
 * Source: ip(7), `ip_local_port_range`; RFC 1122, section 3.2.1.3 (g).
 */
import type { Endpoint } from "./connect.ts"

/** Addresses that are used: 127.0.0.2 to 127.0.0.9. */
export const SOURCES = 8

/** `endpoint`, reached from the source address of connection `index`. */
export function fromSource(endpoint: Endpoint, index: number): Endpoint {
  if (process.platform !== "linux") return endpoint
  return { ...endpoint, localAddress: `127.0.0.${2 + (index % SOURCES)}` }
}
