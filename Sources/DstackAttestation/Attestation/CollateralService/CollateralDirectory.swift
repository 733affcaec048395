internal import DstackSystem

/// Directories with collateral.
enum CollateralDirectory {
    /// The names of its `*.json` files, in an order of their own, whatever the file system's is.
    ///
    /// - Throws: ``SystemError`` with `ENOTDIR` for a file.
    static func names(_ path: String) throws(SystemError) -> [String] {
        try File.names(in: path).filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
    }
}
