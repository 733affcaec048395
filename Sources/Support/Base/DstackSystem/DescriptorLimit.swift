import Glibc

/// How many files and connections this process may have open.
package enum DescriptorLimit {
    /// Raises the limit as far as the system lets anybody. The one that processes begin with is for programs that use
    /// select(2), and too low for a server that has a connection for each of its clients.
    ///
    /// - Returns: the limit from now on.
    @discardableResult
    package static func raise() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        // More than any server here accepts; some systems call their hard limit a thousand million.
        let wanted = min(limit.rlim_max, 1 << 20)
        guard limit.rlim_cur < wanted else { return UInt64(limit.rlim_cur) }
        limit.rlim_cur = wanted
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        else { return 0 }
        return UInt64(limit.rlim_cur)
    }
}
