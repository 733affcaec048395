package import DstackEncoding

extension X509 {
    /// One extension of a certificate, a revocation list or a request.
    package struct Extension: Sendable, Hashable {
        /// OBJECT IDENTIFIER, a whole element.
        package var identifier: [UInt8]
        package var isCritical: Bool
        /// What the OCTET STRING holds: usually one DER element.
        package var value: [UInt8]
        /// An element to write in place of all this.
        package var raw: [UInt8]?

        package init(_ identifier: ObjectIdentifier, critical: Bool = false, value: [UInt8]) {
            self.identifier = DER.objectIdentifier(identifier)
            self.isCritical = critical
            self.value = value
        }

        /// Any element in an extension's place.
        package init(raw: [UInt8]) {
            self.identifier = []
            self.isCritical = false
            self.value = []
            self.raw = raw
        }

        /// SEQUENCE { identifier, critical if true (DER leaves the default out), OCTET STRING }.
        package var der: [UInt8] {
            raw ?? DER.sequence(identifier, DER.when(isCritical, DER.boolean(true)), DER.octetString(value))
        }

        /// This extension with the other criticality.
        package func marked(critical: Bool) -> Extension {
            var copy = self
            copy.isCritical = critical
            return copy
        }
    }

    /// Bits of keyUsage, by their number (RFC 5280 section 4.2.1.3).
    package enum KeyUsage: Int, Sendable, CaseIterable {
        case digitalSignature, contentCommitment, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign
        case encipherOnly, decipherOnly
    }

    /// A name in subjectAltName and alike.
    package enum GeneralName: Sendable, Hashable {
        case dns(String)
        case uri(String)
        case email(String)
        /// 4 or 16 bytes in subjectAltName; twice that, with a mask, in name constraints.
        case ip([UInt8])
        case directory(Name)
        /// Any element.
        case der([UInt8])

        package var der: [UInt8] {
            switch self {
            case .email(let text): DER.implicit(1, [UInt8](text.utf8))
            case .dns(let text): DER.implicit(2, [UInt8](text.utf8))
            case .directory(let name): DER.explicit(4, name.der)
            case .uri(let text): DER.implicit(6, [UInt8](text.utf8))
            case .ip(let bytes): DER.implicit(7, bytes)
            case .der(let element): element
            }
        }
    }
}

// Critical where RFC 5280 section 4.2.1 says so; `marked(critical:)` for anything else.
extension X509.Extension {
    /// An empty SEQUENCE where `isAuthority` is false and no length is given.
    package static func basicConstraints(isAuthority: Bool, pathLength: UInt? = nil) -> Self {
        Self(
            ObjectIdentifier.basicConstraints, critical: true,
            value: DER.sequence(
                DER.when(isAuthority, DER.boolean(true)), pathLength.map { DER.integer($0) } ?? []))
    }

    /// The shortest bit string.
    package static func keyUsage(_ usages: Set<X509.KeyUsage>) -> Self {
        var bits = [UInt8]()
        var last = -1
        for usage in usages {
            let (byte, bit) = usage.rawValue.quotientAndRemainder(dividingBy: 8)
            while bits.count <= byte { bits.append(0) }
            bits[byte] |= 0x80 >> UInt8(bit)
            last = max(last, usage.rawValue)
        }
        return keyUsage(bits: bits, unusedBits: last < 0 ? 0 : UInt8(7 - last % 8))
    }

    /// These very bytes; some issuers do not write the shortest form.
    package static func keyUsage(bits: [UInt8], unusedBits: UInt8) -> Self {
        Self(ObjectIdentifier.keyUsage, critical: true, value: DER.bitString(bits, unusedBits: unusedBits))
    }

    package static func extendedKeyUsage(_ purposes: [ObjectIdentifier]) -> Self {
        Self(ObjectIdentifier.extendedKeyUsage, value: DER.sequence(of: purposes.map { DER.objectIdentifier($0) }))
    }

    package static func subjectAltName(_ names: [X509.GeneralName]) -> Self {
        Self(ObjectIdentifier.subjectAlternativeName, value: DER.sequence(of: names.map(\.der)))
    }

    package static func subjectKeyIdentifier(_ identifier: [UInt8]) -> Self {
        Self(ObjectIdentifier.subjectKeyIdentifier, value: DER.octetString(identifier))
    }

    package static func authorityKeyIdentifier(_ identifier: [UInt8]) -> Self {
        Self(ObjectIdentifier.authorityKeyIdentifier, value: DER.sequence(DER.implicit(0, identifier)))
    }

    /// One distribution point with the given addresses.
    package static func crlDistributionPoints(_ addresses: [String]) -> Self {
        let names = addresses.flatMap { X509.GeneralName.uri($0).der }
        return Self(
            ObjectIdentifier.crlDistributionPoints,
            value: DER.sequence(DER.sequence(DER.explicit(0, DER.explicit(0, names)))))
    }

    package static func nameConstraints(
        permitted: [X509.GeneralName] = [], excluded: [X509.GeneralName] = []
    ) -> Self {
        func subtrees(_ number: UInt8, _ names: [X509.GeneralName]) -> [UInt8] {
            DER.when(!names.isEmpty, DER.explicit(number, names.flatMap { DER.sequence($0.der) }))
        }
        return Self(
            ObjectIdentifier.nameConstraints, critical: true,
            value: DER.sequence(subtrees(0, permitted), subtrees(1, excluded)))
    }

    /// cRLNumber of a revocation list (RFC 5280 section 5.2.3).
    package static func crlNumber(_ number: UInt) -> Self {
        Self(ObjectIdentifier.crlNumber, value: DER.integer(number))
    }

    /// reasonCode of one revoked certificate (RFC 5280 section 5.3.1).
    package static func revocationReason(_ code: UInt8) -> Self {
        Self(ObjectIdentifier.crlReason, value: DER.enumerated(code))
    }

    /// deltaCRLIndicator: the list has only what changed since the numbered one (RFC 5280 section 5.2.4).
    package static func deltaCRLIndicator(base number: UInt) -> Self {
        Self(ObjectIdentifier.deltaCRLIndicator, critical: true, value: DER.integer(number))
    }

    /// issuingDistributionPoint of a revocation list (RFC 5280 section 5.2.5), which makes it cover less than everything.
    package static func issuingDistributionPoint(
        onlyUserCertificates: Bool = false, isIndirect: Bool = false
    ) -> Self {
        Self(
            ObjectIdentifier.issuingDistributionPoint, critical: true,
            value: DER.sequence(
                DER.when(onlyUserCertificates, DER.implicit(1, [0xFF])), DER.when(isIndirect, DER.implicit(4, [0xFF]))))
    }
}
