import Glibc

/// Listening sockets that a service manager opened before it started this process (`LISTEN_FDS` of sd_listen_fds(3)).
package enum SocketActivation {
    /// The descriptors passed, in the manager's order; none if they are meant for another process.
    package static func descriptors(
        processID: Int32 = getpid(),
        environment variable: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) -> [Int32] {
        guard let intended = variable("LISTEN_PID").flatMap({ Int32($0) }), intended == processID,
            let count = variable("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count <= 1024
        else { return [] }
        // The first one has number 3 (SD_LISTEN_FDS_START).
        return (0..<count).map { 3 + $0 }
    }
}
