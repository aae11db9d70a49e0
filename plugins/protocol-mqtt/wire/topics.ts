/** Topic names and topic filters as bytes. */
/** 0 or 0x8f; `$share/{name}/{filter}` included. The bytes are valid UTF-8 already. */
export declare function checkTopicFilter(bytes: Uint8Array, start: number, end: number): number
/** Levels of a name or filter. */
export declare function countTopicLevels(bytes: Uint8Array, start: number, end: number): number
