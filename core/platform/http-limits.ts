/** Bounds of HTTP listeners, the same on every runtime. */

/** Largest request body in bytes; handlers may ask for less. */
export const REQUEST_BODY_BYTES_MAX = 16_777_216
