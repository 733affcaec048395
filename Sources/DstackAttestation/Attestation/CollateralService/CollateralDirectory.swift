internal import DstackSystem
internal import Glibc

/// Directories with collateral.
package enum CollateralDirectory {
    /// Why what is kept in a directory can be changed by others, and what to do about it; nil if it cannot, or is not there.
    ///
    /// It is said, not refused, because no yes rests on what lies there: collateral is verified each time as if a network had
    /// given it, and floors only refuse, the documents in them being verified as well. What others can do is to take the floors
    /// away together with the collateral, so that older collateral counts again, as it does without a directory, or to raise
    /// them, so that nothing counts.
    package static func exposure(of path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let effect = "can have older collateral accepted again, or none"
        // Who is root may do everything anyway.
        if status.st_uid != geteuid(), status.st_uid != 0 {
            return
                "\(SafeText.line(path)) belongs to another user (\(status.st_uid)), who \(effect): use one of your own"
        }
        guard status.st_mode & 0o022 != 0 else { return nil }
        let mode = String(status.st_mode & 0o7777, radix: 8)
        return "others may write in \(SafeText.line(path)) (mode \(mode)), and \(effect): "
            + "chmod go-w \(ShellWord.quoted(path))"
    }

    /// The names of its `*.json` files, in an order of their own, whatever the file system's is.
    ///
    /// - Throws: ``SystemError`` with `ENOTDIR` for a file.
    static func names(_ path: String) throws(SystemError) -> [String] {
        try File.names(in: path).filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
    }
}
