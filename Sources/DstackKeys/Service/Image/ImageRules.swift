/// What is asked of the operating system images that callers run.
package struct ImageRules: Sendable, Hashable {
    /// Whether an image must be found in the caller's quote before keys leave. Without it the hash that a host states is
    /// what decisions are made about, and any host can state any: for development, and announced at every
    /// start. Evidence that contradicts itself is refused all the same.
    package var verifies = true
    /// Where files about images lie, in `images` and `measurements`. Nothing in there is believed, or written by this
    /// version: it is what ``ImageVerifier/clear(image:config:)`` clears.
    package var cacheDirectory = "/usr/share/dstack/images"

    package init() {}
}
