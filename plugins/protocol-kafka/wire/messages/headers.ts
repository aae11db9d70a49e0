/**
 * The headers in front of every request and response. Request header 1 adds the client id, 2 tagged fields; the client id keeps its
 * two-byte length in every version so that any broker can read the header of an ApiVersions request from the future.
 *
 * Source: RequestHeader, ResponseHeader of Apache Kafka 4.3; KIP-482, KIP-511.
 */
import type { Fields } from "../schema.ts"

export const REQUEST_HEADER_FLEXIBLE_FROM = 2
export const requestHeader = [
  { name: "apiKey", type: "int16", versions: "0+" },
  { name: "apiVersion", type: "int16", versions: "0+" },
  { name: "correlationId", type: "int32", versions: "0+" },
  { name: "clientId", type: "string", versions: "1+", nullable: "1+", default: null, neverCompact: true }
] as const satisfies Fields

export const RESPONSE_HEADER_FLEXIBLE_FROM = 1
export const responseHeader = [{ name: "correlationId", type: "int32", versions: "0+" }] as const satisfies Fields
