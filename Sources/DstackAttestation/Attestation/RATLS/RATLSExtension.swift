internal import DstackCrypto
package import DstackEncoding

/// The certificate extensions by which dstack's certificates say what they are for and prove who holds their key.
///
/// All are under 1.3.6.1.4.1.62397.1, not critical, and wrap their content twice: the OCTET STRING that every extension's
/// value is has a second OCTET STRING inside, and that has the content.
package enum RATLSExtension: UInt64, Sendable, CaseIterable {
    /// TDX quote. Written by older releases, together with ``eventLog``.
    case quote = 1
    /// Event log that explains ``quote``: JSON, maybe compressed.
    case eventLog = 2
    /// Application id, 20 bytes.
    case appID = 3
    /// What the certificate is for, UTF-8.
    case usage = 4
    /// Attestation envelope.
    case attestation = 8
    /// ``AppInfo`` as a MessagePack array.
    case appInfo = 9

    package var identifier: ObjectIdentifier { ObjectIdentifier(1, 3, 6, 1, 4, 1, 62397, 1, rawValue) }

    /// The bytes that the extension's value has for some content.
    package static func value(for content: [UInt8]) -> [UInt8] { DER.octetString(content) }

    /// The content of the extension, or nil if the certificate does not have it.
    ///
    /// - Throws: ``DecodingFailure`` if it is marked critical, or if its value is not exactly one OCTET STRING.
    func content(in certificate: Certificate) throws(DecodingFailure) -> [UInt8]? {
        let identifier = identifier
        guard let found = certificate.extensions.first(where: { $0.identifier == identifier }),
            let value = certificate.value(of: identifier)
        else { return nil }
        // A format without a critical form; what is marked so was made by somebody with another one in mind.
        guard !found.isCritical else {
            throw DecodingFailure(.unsupported, "extension \(identifier)", at: value.startIndex, "must not be critical")
        }
        let bytes = Array(value)
        var reader = DERReader(bytes.span.bytes, base: value.startIndex)
        let content = try reader.content(.octetString, "value of a dstack extension").bytes
        try reader.expectEnd(of: "value of a dstack extension")
        return content
    }
}
