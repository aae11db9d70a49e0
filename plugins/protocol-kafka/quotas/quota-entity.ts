/**
 * Whom a quota is for: a user, a client id, or both, each by its name or as the default of all that have none of their own.
 *
 * Source: apache/kafka ClientQuotaControlManager (which entities there are), ClientQuotaManager (which quota wins); KIP-13, KIP-546.
 */

export const USER = "user"
export const CLIENT_ID = "client-id"
export const IP = "ip"
/** Who has not logged in, as Kafka calls them. */
export const ANONYMOUS = "ANONYMOUS"

/** Where quotas stand in the meta store: `kafka-quotas/<entity>`. */
export const QUOTA_PREFIX = "kafka-quotas/"
/** Characters of a name. */
export const ENTITY_NAME_MAX = 1_024

/** By type; null = the default. A type that is left out does not matter. */
export interface QuotaEntity {
  readonly user?: string | null
  readonly clientId?: string | null
}

/** The key of an entity in the meta store. */
export function quotaKey({ user, clientId }: QuotaEntity): string {
  return `${QUOTA_PREFIX}${partOf("u", user)}/${partOf("c", clientId)}`
}

/** The entity of a key. */
export function entityOfKey(key: string): QuotaEntity {
  const [user = "", client = ""] = key.slice(QUOTA_PREFIX.length).split("/")
  return {
    ...(user === "" ? {} : { user: nameOf(user) }),
    ...(client === "" ? {} : { clientId: nameOf(client) })
  }
}

/** "" = left out, "u" = the default, "u=name" = that one. */
function partOf(letter: string, name: string | null | undefined): string {
  if (name === undefined) return ""
  return name === null ? letter : `${letter}=${encodeURIComponent(name)}`
}

function nameOf(part: string): string | null {
  const equals = part.indexOf("=")
  return equals < 0 ? null : decodeURIComponent(part.slice(equals + 1))
}

/**
 * The entities whose quota a client may have, the first that has one wins; and what its bytes are counted by, which is what the entity
 * tells apart.
 */
export function candidatesOf(user: string, clientId: string): ReadonlyArray<readonly [QuotaEntity, bucket: string]> {
  const ofUser = `u=${user}`
  const ofClient = `c=${clientId}`
  const both = `${ofUser}\n${ofClient}`
  return [
    [{ user, clientId }, both],
    [{ user, clientId: null }, both],
    [{ user }, ofUser],
    [{ user: null, clientId }, both],
    [{ user: null, clientId: null }, both],
    [{ user: null }, ofUser],
    [{ clientId }, ofClient],
    [{ clientId: null }, ofClient]
  ]
}
