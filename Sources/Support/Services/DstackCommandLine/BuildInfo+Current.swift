import CBuildInfo

extension BuildInfo {
    /// The version of this package, and the commit it was built from where the build said so.
    package static let current = BuildInfo(
        version: "0.1.0", commit: dstack_build_commit().map { String(cString: $0) })
}
