package import DstackEncoding

/// A parsed PKCS#10 certification request (RFC 2986). Parsed is not verified: see ``isSignatureValid``.
package struct CertificateRequest: Sendable {
    package let der: [UInt8]
    /// The subject's Name, DER.
    package let subject: X509.Name
    /// SubjectPublicKeyInfo, DER.
    package let subjectPublicKeyInfo: [UInt8]
    /// What the requester asks the certificate to have (RFC 2985 section 5.4.2), each at most once.
    package let extensions: [X509.Extension]
    package let signatureAlgorithm: X509.Algorithm
    package let signature: [UInt8]
    private let signedRange: Range<Int>

    /// PKCS#9 extensionRequest.
    static let extensionRequest = ObjectIdentifier(1, 2, 840, 113549, 1, 9, 14)

    /// - Throws: ``DecodingFailure`` for anything that is not exactly one DER request of version 1. Attributes other than
    ///   the extension request are passed over.
    package init(der: [UInt8]) throws(DecodingFailure) {
        self.der = der
        var outer = DERReader(der.span.bytes)
        var request = try outer.constructed(.sequence, "certificate request")
        try outer.expectEnd(of: "certificate request")
        let info = try request.content(.sequence, "certificate request info")
        signedRange = info.encodingRange
        signatureAlgorithm = X509.Algorithm(
            der: [UInt8](copying: try request.content(.sequence, "certificate request algorithm").encoding))
        signature = try request.bitString("certificate request signature").bytes
        try request.expectEnd(of: "certificate request")

        var fields = info.reader
        guard try fields.unsigned(UInt8.self, "certificate request version") == 0 else {
            throw DecodingFailure(.unsupported, "certificate request version", "only version 1 (written 0) exists")
        }
        subject = X509.Name(
            der: [UInt8](copying: try fields.content(.sequence, "certificate request subject").encoding))
        subjectPublicKeyInfo = [UInt8](
            copying: try fields.content(.sequence, "certificate request public key").encoding)
        let attributes = try fields.content(.constructedContext(0), "certificate request attributes")
        try fields.expectEnd(of: "certificate request info")

        var extensions: [X509.Extension]?
        var list = attributes.reader
        while !list.isAtEnd {
            var attribute = try list.constructed(.sequence, "certificate request attribute")
            let type = try attribute.objectIdentifier("certificate request attribute type")
            let values = try attribute.content(.set, "certificate request attribute values")
            try attribute.expectEnd(of: "certificate request attribute")
            guard type == Self.extensionRequest else { continue }
            guard extensions == nil else {
                throw DecodingFailure(
                    .malformed, "certificate request attributes", at: values.encodingOffset,
                    "more than one extension request")
            }
            var set = values.reader
            let requested = try set.constructed(.sequence, "requested extensions")
            try set.expectEnd(of: "requested extensions")
            extensions = try Self.extensions(requested)
        }
        self.extensions = extensions ?? []
    }

    private static func extensions(_ reader: consuming DERReader) throws(DecodingFailure) -> [X509.Extension] {
        var extensions = [X509.Extension]()
        var seen = Set<ObjectIdentifier>()
        while !reader.isAtEnd {
            var fields = try reader.constructed(.sequence, "requested extension")
            let start = fields.offset
            let identifier = try fields.objectIdentifier("requested extension")
            let isCritical = fields.nextTag == .boolean ? try fields.boolean("requested extension criticality") : false
            let value = try fields.content(.octetString, "requested extension value").bytes
            try fields.expectEnd(of: "requested extension")
            guard seen.insert(identifier).inserted else {
                throw DecodingFailure(
                    .malformed, "requested extension", at: start, "extension \(identifier) appears more than once")
            }
            extensions.append(X509.Extension(identifier, critical: isCritical, value: value))
        }
        return extensions
    }

    /// Whether the key in the request signed it: proof that the requester has the private key, and of nothing else.
    package var isSignatureValid: Bool {
        guard let key = try? CertificatePublicKey(spki: subjectPublicKeyInfo) else { return false }
        return key.isValidSignature(signature, algorithm: signatureAlgorithm, over: [UInt8](der[signedRange]))
    }

    /// The value of a requested extension, or nil.
    package func value(of identifier: ObjectIdentifier) -> [UInt8]? {
        let element = DER.objectIdentifier(identifier)
        return extensions.first { $0.identifier == element }?.value
    }
}

/// Writes PKCS#10 certification requests (RFC 2986), with the same freedom as ``CertificateBuilder``.
package struct CertificateRequestBuilder: Sendable {
    /// 1, which is written as 0.
    package var version: UInt = 1
    package var subject: X509.Name
    /// SubjectPublicKeyInfo, DER, if not the signer's.
    package var publicKey: [UInt8]?
    /// Asked for with an extension request; empty leaves it out.
    package var extensions: [X509.Extension]
    /// Other attributes, whole elements.
    package var attributes: [[UInt8]] = []
    /// The algorithm to name, if not the signer's.
    package var algorithm: X509.Algorithm?

    package init(subject: X509.Name, extensions: [X509.Extension] = []) {
        self.subject = subject
        self.extensions = extensions
    }

    /// The request, DER, for the signer's own key.
    package func signed<Signer: CertificateSigner & ~Copyable>(
        by signer: borrowing Signer
    ) throws(CryptoFailure) -> [UInt8] {
        var attributes = attributes
        if !extensions.isEmpty {
            attributes.append(
                DER.sequence(
                    DER.objectIdentifier(CertificateRequest.extensionRequest),
                    DER.set(of: [DER.sequence(of: extensions.map(\.der))])))
        }
        // The SET OF under the implicit tag keeps its order.
        let sorted = attributes.sorted { $0.lexicographicallyPrecedes($1) }
        let info = DER.sequence(
            DER.integer(version &- 1), subject.der, publicKey ?? signer.subjectPublicKeyInfo,
            DER.explicit(0, sorted.flatMap { $0 }))
        return try SignedStructure.encode(info, by: signer, algorithm: algorithm)
    }
}
