package import DstackEncoding

extension X509 {
    /// A distinguished name: relative names in order, each a set of attributes.
    package struct Name: Sendable, Hashable {
        package struct Attribute: Sendable, Hashable {
            package var type: ObjectIdentifier
            /// The value, a whole element.
            package var value: [UInt8]

            package init(_ type: ObjectIdentifier, value: [UInt8]) {
                self.type = type
                self.value = value
            }

            package init(_ type: ObjectIdentifier, _ text: String, _ kind: StringKind = .utf8) {
                self.init(type, value: kind.encode(text))
            }

            package static func commonName(_ text: String, _ kind: StringKind = .utf8) -> Attribute {
                Attribute(ObjectIdentifier.commonName, text, kind)
            }
            package static func country(_ text: String, _ kind: StringKind = .printable) -> Attribute {
                Attribute(ObjectIdentifier.countryName, text, kind)
            }
            package static func locality(_ text: String, _ kind: StringKind = .utf8) -> Attribute {
                Attribute(ObjectIdentifier.localityName, text, kind)
            }
            package static func state(_ text: String, _ kind: StringKind = .utf8) -> Attribute {
                Attribute(ObjectIdentifier.stateOrProvinceName, text, kind)
            }
            package static func organization(_ text: String, _ kind: StringKind = .utf8) -> Attribute {
                Attribute(ObjectIdentifier.organizationName, text, kind)
            }
            package static func organizationalUnit(_ text: String, _ kind: StringKind = .utf8) -> Attribute {
                Attribute(ObjectIdentifier.organizationalUnitName, text, kind)
            }
        }

        /// The whole Name, DER.
        package var der: [UInt8]

        /// Any bytes, for instance a name taken from another certificate.
        package init(der: [UInt8]) { self.der = der }

        /// One attribute a relative name, which is what nearly every certificate has.
        package init(_ attributes: Attribute...) { self.init(relativeNames: attributes.map { [$0] }) }

        package init(relativeNames: [[Attribute]]) {
            der = DER.sequence(
                of: relativeNames.map { attributes in
                    DER.set(of: attributes.map { DER.sequence(DER.objectIdentifier($0.type), $0.value) })
                })
        }

        /// No relative names at all.
        package static let empty = Name(relativeNames: [])
    }
}
