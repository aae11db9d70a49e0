/** Reason Codes that the state machines of this plugin send by themselves; those of malformed packets come from the wire layer. */
export const NORMAL_DISCONNECTION = 0x00
export const DISCONNECT_WITH_WILL = 0x04
export const NOT_AUTHORIZED = 0x87
export const BANNED = 0x8a
export const SERVER_SHUTTING_DOWN = 0x8b
export const BAD_AUTHENTICATION_METHOD = 0x8c
export const KEEP_ALIVE_TIMEOUT = 0x8d
export const SESSION_TAKEN_OVER = 0x8e
export const PACKET_IDENTIFIER_NOT_FOUND = 0x92
export const RECEIVE_MAXIMUM_EXCEEDED = 0x93
export const QUOTA_EXCEEDED = 0x97
export const ADMINISTRATIVE_ACTION = 0x98
export const USE_ANOTHER_SERVER = 0x9c
export const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e
export const CONNECTION_RATE_EXCEEDED = 0x9f
