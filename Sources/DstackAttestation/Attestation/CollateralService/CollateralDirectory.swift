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
        func writable(_ path: String, _ words: String) -> String {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            return "others may write \(words)\(SafeText.line(path)) (mode \(mode)), and \(effect): "
                + "chmod go-w \(ShellWord.quoted(path))"
        }
        guard status.st_mode & 0o022 == 0 else { return writable(path, "in ") }
        let floors = "\(path)/\(FloorsFile.name)"
        if lstat(floors, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o022 != 0 {
            return writable(floors, "")
        }
        // Whoever may write in a directory above, where names are not their owners' (the sticky bit), can put another
        // directory in place.
        guard let resolved = realpath(path, nil) else { return nil }
        var above = String(cString: resolved)
        free(resolved)
        while let slash = above.lastIndex(of: "/"), above != "/" {
            above = slash == above.startIndex ? "/" : String(above[..<slash])
            guard stat(above, &status) == 0 else { break }
            if status.st_mode & S_IWOTH != 0, status.st_mode & S_ISVTX == 0 { return writable(above, "in ") }
        }
        return nil
    }

    /// The names of its `*.json` files, in an order of their own, whatever the file system's is.
    ///
    /// - Throws: ``SystemError`` with `ENOTDIR` for a file.
    static func names(_ path: String) throws(SystemError) -> [String] {
        try File.names(in: path).filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
    }
}
