import DstackEncoding
import Glibc

/// The addresses of this machine's interfaces, from the kernel.
enum InterfaceAddresses {
    static func all() throws(GuestError) -> [String: [NetworkInformation.Address]] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else {
            throw GuestError(
                .systemUnavailable, subject: "interface addresses", reason: String(cString: strerror(errno)))
        }
        defer { freeifaddrs(list) }
        var result: [String: [NetworkInformation.Address]] = [:]
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let name = entry.ifa_name, let address = entry.ifa_addr,
                let bytes = bytes(of: address), let text = text(bytes)
            else { continue }
            let mask = entry.ifa_netmask.flatMap { self.bytes(of: $0, family: address.pointee.sa_family) } ?? []
            result[String(cString: name), default: []].append(
                .init(text: text, prefixLength: mask.reduce(0) { $0 + $1.nonzeroBitCount }))
        }
        return result
    }

    /// The 4 or 16 bytes of an internet address.
    ///
    /// - Parameter family: for masks, which do not always say what they are.
    private static func bytes(of address: UnsafeMutablePointer<sockaddr>, family: sa_family_t? = nil) -> [UInt8]? {
        switch Int32(family ?? address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin_addr) { Array($0) }
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { Array($0) }
            }
        default: return nil
        }
    }

    /// Numeric text of 4 or 16 bytes.
    static func text(_ bytes: [UInt8]) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN) + 1)
        guard bytes.count == 4 || bytes.count == 16,
            inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count)) != nil
        else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func ipv6(hex: some StringProtocol) -> String? {
        guard hex.utf8.count == 32, let bytes = try? Hex.decode(String(hex), subject: "address") else { return nil }
        return text(bytes)
    }
}
