package import Glibc

/// The address of a Unix socket, as the system's calls take it: a file's path, or a name in the abstract space.
package struct UnixAddress: Sendable {
    private var storage = sockaddr_un()
    private let length: socklen_t

    /// The longest path, and the longest name: `sun_path` has 108 bytes, of which one is the path's zero, or the one that
    /// stands before a name (unix(7)).
    package static let maximumByteCount = 107

    /// A path of 1 to 107 bytes without zeros; nil for another.
    package init?(path: String) { self.init(path, isAbstract: false) }

    /// A name in the abstract space, without the zero byte that stands before it; nil for none that fits.
    package init?(abstractName name: String) { self.init(name, isAbstract: true) }

    private init?(_ text: String, isAbstract: Bool) {
        let bytes = Array(text.utf8)
        guard (1...Self.maximumByteCount).contains(bytes.count), !bytes.contains(0) else { return nil }
        storage.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage.sun_path) { place in
            UnsafeMutableRawBufferPointer(rebasing: place[(isAbstract ? 1 : 0)...]).copyBytes(from: bytes)
        }
        // A path counts with its zero at the end; a name is as long as the address says.
        length = socklen_t((MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2) + bytes.count + 1)
    }

    /// Calls `body` with the address in place.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
