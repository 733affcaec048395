internal import DstackSystem
internal import Glibc

/// Directories with collateral.
enum CollateralDirectory {
    /// The names of its `*.json` files, in an order of their own, whatever the file system's is.
    ///
    /// - Throws: ``SystemError`` with `ENOTDIR` for a file.
    static func names(_ path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw .last("open", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            // Where it lies: an entry is only as long as its name, so that a copy of the whole field would read on.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name.hasSuffix(".json"), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }
}
