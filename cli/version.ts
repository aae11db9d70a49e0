/** The version that `manifold version` and cluster/info tell; the package carries the same one, a test compares them. */
export const VERSION = "0.1.0"
