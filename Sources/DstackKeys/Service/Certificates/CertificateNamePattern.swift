/// A set of names for rules: `*` for all, a host, `*.example.com` for all hosts below one however deep, an address, or a
/// network such as `10.0.0.0/8`.
package struct CertificateNamePattern: Sendable, Hashable, CustomStringConvertible {
    private enum Form: Sendable, Hashable {
        case any
        case one(CertifiedName)
        case below(String)
        case network([UInt8], bits: Int)
    }

    private let form: Form
    /// As it was written.
    package let description: String

    package static let any = Self(.any, "*")

    private init(_ form: Form, _ text: String) {
        self.form = form
        description = text
    }

    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for any other text.
    package init(_ text: String) throws(KMSServiceError) {
        do throws(CertifiedName.Malformed) {
            self.init(try Self.form(text), text)
        } catch {
            throw KMSServiceError(
                .invalidConfiguration, "pattern of names \(text)", error.reason,
                hint: "write *, a host, *. and a host, an address, or a network such as 10.0.0.0/8")
        }
    }

    /// The name of this service itself, whatever it looks like: nothing that is reserved may be forgotten for its form.
    init(ownName text: String) {
        let name = text.lowercased()
        self.init(.one((try? CertifiedName(name)) ?? .host(name)), text)
    }

    private static func form(_ text: String) throws(CertifiedName.Malformed) -> Form {
        if text == "*" { return .any }
        if text.hasPrefix("*.") {
            // One label below is enough here: an operator may well allow everything below `internal`.
            guard case .host(let parent) = try CertifiedName(String(text.dropFirst(2))) else {
                throw CertifiedName.Malformed(reason: "after the asterisk and its dot a host's name is needed")
            }
            return .below(parent)
        }
        guard let slash = text.lastIndex(of: "/") else { return .one(try CertifiedName(text)) }
        guard case .address(let address) = try CertifiedName(String(text[..<slash])),
            let bits = Int(text[text.index(after: slash)...]), (0...address.count * 8).contains(bits),
            address == masked(address, bits)
        else {
            throw CertifiedName.Malformed(
                reason: "a network is an address whose bits after the number behind the slash are zero")
        }
        return .network(address, bits: bits)
    }

    private static func masked(_ address: [UInt8], _ bits: Int) -> [UInt8] {
        address.enumerated().map { index, byte in
            let kept = min(max(bits - index * 8, 0), 8)
            return byte & UInt8(truncatingIfNeeded: 0xFF00 >> kept)
        }
    }

    /// Whether everything that a name stands for is in the set.
    func contains(_ name: CertifiedName) -> Bool {
        switch (form, name) {
        case (.any, _): true
        case (.one(let one), _): one == name
        case (.below(let parent), .host(let host)): host.isBelow(parent)
        case (.below(let parent), .wildcard(let below)): below == parent || below.isBelow(parent)
        case (.network(let address, let bits), .address(let asked)):
            asked.count == address.count && Self.masked(asked, bits) == address
        case (.below, .address), (.network, .host), (.network, .wildcard): false
        }
    }

    /// Whether something that a name may stand for is in the set.
    func overlaps(_ name: CertifiedName) -> Bool {
        switch (form, name) {
        case (.one(.host(let host)), _): name.mayStandFor(host)
        case (.below(let parent), .wildcard(let below)): contains(name) || parent.isBelow(below)
        default: contains(name)
        }
    }
}
