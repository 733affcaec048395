import Glibc

/// An IP address by its value, whatever the text: `::1` has many, and an IPv4 address has two where one socket listens for
/// both families.
package struct InternetAddress: Sendable, Hashable {
    /// As in IPv6, first bytes first; an IPv4 address in the form that is mapped there (RFC 4291 section 2.5.5.2).
    private let high: UInt64
    private let low: UInt64

    private init(_ high: UInt64, _ low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter text: numeric.
    package init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(0, Self.mappedPrefix | UInt64(UInt32(bigEndian: four.s_addr)))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        self = withUnsafeBytes(of: &six) { bytes in
            InternetAddress(
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    private static let mappedPrefix: UInt64 = 0xFFFF << 32

    private var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// What a single customer has to himself: an IPv4 address; of an IPv6 address the first 64 bits, since whoever has one
    /// has all addresses that share them (RFC 6177).
    package var network: InternetAddress { isIPv4 ? self : InternetAddress(high, 0) }
}

extension InternetAddress: CustomStringConvertible {
    package var description: String {
        if isIPv4 { return (0..<4).map { "\(UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)))" }.joined(separator: ".") }
        return (0..<8).map { index in
            String(UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (48 - 16 * (index % 4))), radix: 16)
        }.joined(separator: ":")
    }
}
