/**
 * ApiVersions: what this broker speaks.
 *
 * Source: KIP-511 (software name and version, the fallback to version 0).
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { APIS, type apiVersions } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf, ResponseOf } from "../wire/schema.ts"

type Response = ResponseOf<typeof apiVersions>

const API_KEYS = APIS.map((api) => ({ apiKey: api.key, minVersion: api.versionMin, maxVersion: api.versionMax }))
const SUPPORTED: Response = { errorCode: ErrorCode.NONE, apiKeys: API_KEYS }
/** The first version in which the client names its software. */
const NAMED_FROM = 3
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

export function handleApiVersions(
  exchange: Exchange<typeof apiVersions>,
  request: RequestOf<typeof apiVersions>,
  broker: Broker
): void {
  const named = SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion)
  if (exchange.version < NAMED_FROM || named) exchange.complete(SUPPORTED)
  else exchange.complete({ errorCode: broker.counts.error(ErrorCode.INVALID_REQUEST), apiKeys: [] })
}

/** The answer to a version that we do not speak, to be written in the form of version 0: the list lets the client choose again. */
export function unsupportedVersion(broker: Broker): Response {
  return { errorCode: broker.counts.error(ErrorCode.UNSUPPORTED_VERSION), apiKeys: API_KEYS }
}
