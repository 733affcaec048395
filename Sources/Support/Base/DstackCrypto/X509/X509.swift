package import DstackEncoding

/// The parts of certificates, revocation lists and requests (RFC 5280), as values that builders put together. Every part
/// can also be given as raw bytes, because a test of a verifier has to write what no honest issuer would.
package enum X509 {
    /// String types a name may use; the raw value is the DER tag.
    package enum StringKind: UInt8, Sendable {
        case utf8 = 0x0C
        case printable = 0x13
        case teletex = 0x14
        case ia5 = 0x16
        case bmp = 0x1E

        /// The whole element. BMPString is UTF-16, the others carry UTF-8 or its ASCII part.
        package func encode(_ text: String) -> [UInt8] {
            let content: [UInt8] =
                switch self {
                case .bmp: text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
                case .utf8, .printable, .ia5, .teletex: [UInt8](text.utf8)
                }
            return DER.encode(DERTag(octet: rawValue), content)
        }
    }

    /// An AlgorithmIdentifier, as DER.
    package struct Algorithm: Sendable, Hashable {
        package let der: [UInt8]

        /// Any element.
        package init(der: [UInt8]) { self.der = der }

        /// `parameters` is a whole element, or nil to leave it out.
        package init(_ identifier: ObjectIdentifier, parameters: [UInt8]? = nil) {
            der = DER.sequence(DER.objectIdentifier(identifier), parameters ?? [])
        }

        // RFC 5758 section 3.2: no parameters.
        package static let ecdsaWithSHA256 = Algorithm(.ecdsaWithSHA256)
        package static let ecdsaWithSHA384 = Algorithm(ObjectIdentifier(1, 2, 840, 10045, 4, 3, 3))
        package static let ecdsaWithSHA512 = Algorithm(ObjectIdentifier(1, 2, 840, 10045, 4, 3, 4))
        /// RFC 3279 section 2.2.3; for certificates that must be refused.
        package static let ecdsaWithSHA1 = Algorithm(ObjectIdentifier(1, 2, 840, 10045, 4, 1))
        /// RFC 8410 section 3: no parameters.
        package static let ed25519 = Algorithm(ObjectIdentifier(1, 3, 101, 112))
        /// RFC 4055 section 5: parameters NULL.
        package static let sha256WithRSA = Algorithm(
            ObjectIdentifier(1, 2, 840, 113549, 1, 1, 11), parameters: DER.null)
    }

    /// A point in time as certificates write it.
    package enum Time: Sendable, Hashable {
        /// Unix seconds. UTCTime for 1950 to 2049, else GeneralizedTime (RFC 5280 section 4.1.2.5).
        case seconds(Int64)
        /// UTCTime with this text.
        case utcTime(String)
        /// GeneralizedTime with this text.
        case generalizedTime(String)
        /// Any element.
        case der([UInt8])

        func encoded() throws(CryptoFailure) -> [UInt8] {
            switch self {
            case .der(let element): return element
            case .utcTime(let text): return DER.encode(.utcTime, [UInt8](text.utf8))
            case .generalizedTime(let text): return DER.encode(.generalizedTime, [UInt8](text.utf8))
            case .seconds(let seconds):
                let time = CivilTime(unixSeconds: seconds)
                let rest = [time.month, time.day, time.hour, time.minute, time.second].map { Self.padded($0, 2) }
                switch time.year {
                case 1950...2049:
                    return try Self.utcTime(Self.padded(Int(time.year % 100), 2) + rest.joined() + "Z").encoded()
                case 0...9999:
                    return try Self.generalizedTime(Self.padded(Int(time.year), 4) + rest.joined() + "Z").encoded()
                default:
                    throw CryptoFailure(
                        .outOfRange, "certificate time", "\(seconds) is not between the years 0 and 9999")
                }
            }
        }

        private static func padded(_ number: Int, _ digits: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
    }
}
