import DstackKeys

/// A name that a certificate is asked to have, in the one form in which names are compared.
package enum CertifiedName: Sendable, Hashable {
    /// A host, lower-case.
    case host(String)
    /// All hosts right below this one, as `*.example.com` says it.
    case wildcard(String)
    /// 4 or 16 bytes. An IPv4 address inside an IPv6 one is the IPv4 address.
    case address([UInt8])

    /// Why a text is no name.
    struct Malformed: Error {
        let reason: String
    }

    /// Reads a name as the certificate would have it: what parses as an address becomes one.
    ///
    /// - Throws: ``Malformed`` for anything that clients would not all take for the same name: characters beyond letters,
    ///   digits, hyphens and underscores, a dot at the end, an asterisk that is not a whole first label, a last label that is
    ///   a number (`010.0.0.7` and `0x0a000007` are addresses to some and names to others).
    init(_ text: String) throws(Malformed) {
        guard text.utf8.count <= 253 else { throw Malformed(reason: "a name has at most 253 bytes") }
        let name: (address: [UInt8]?, text: String)
        do throws(KeysError) {
            name =
                switch try AlternativeName.parse(text) {
                case .ip(let bytes): (bytes, text)
                default: (nil, text.lowercased())
                }
        } catch {
            throw Malformed(reason: error.reason)
        }
        if let address = name.address {
            self = .address(Self.plain(address))
        } else if name.text.hasPrefix("*.") {
            let parent = String(name.text.dropFirst(2))
            try Self.check(parent)
            guard parent.utf8.contains(UInt8(ascii: ".")) else {
                throw Malformed(reason: "a wildcard needs at least two labels below it")
            }
            self = .wildcard(parent)
        } else {
            try Self.check(name.text)
            self = .host(name.text)
        }
    }

    /// The spelling that clients compare: without the dot of an absolute name, and without the brackets that addresses have
    /// in URLs, from which upstream's gateway takes them as they stand.
    static func plainSpelling(_ text: String) -> String {
        if text.hasPrefix("["), text.hasSuffix("]"), text.utf8.contains(UInt8(ascii: ":")) {
            return String(text.dropFirst().dropLast())
        }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    /// The address that an IPv4-mapped one stands for (RFC 4291 section 2.5.5.2).
    static func plain(_ address: [UInt8]) -> [UInt8] {
        let prefix = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
        return address.count == 16 && address.starts(with: prefix) ? Array(address.suffix(4)) : address
    }

    private static func check(_ text: String) throws(Malformed) {
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let hyphen = UInt8(ascii: "-")
        for label in labels {
            guard (1...63).contains(label.count) else {
                throw Malformed(reason: "each label of a host's name has 1 to 63 bytes, and no dot is at its end")
            }
            guard label.first != hyphen, label.last != hyphen, label.allSatisfy(isAllowed) else {
                throw Malformed(
                    reason: "labels of host names are letters, digits, underscores, and hyphens between them; "
                        + "an asterisk is a whole first label")
            }
        }
        guard let last = labels.last, !isNumber(last) else {
            throw Malformed(reason: "it is neither a host's name nor an address in the usual form")
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }

    /// What URL parsers take for the end of an IPv4 address: decimal digits, or hexadecimal ones after `0x`.
    private static func isNumber(_ label: Substring.UTF8View) -> Bool {
        if label.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
        return label.starts(with: "0x".utf8)
            && label.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Whether some client may take it for this host's. Some let an asterisk stand for several labels.
    func mayStandFor(_ host: String) -> Bool {
        switch self {
        case .host(let name): name == host
        case .wildcard(let parent): host.isBelow(parent)
        case .address: false
        }
    }
}

extension String {
    /// Whether it is a host's name that ends with a dot and another one.
    func isBelow(_ parent: String) -> Bool { hasSuffix("." + parent) }
}
