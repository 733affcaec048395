package import DstackEncoding

/// What certificates and revocation lists have in common: bytes that an issuer signed, and how (X.509, SIGNED).
package protocol SignedX509: Sendable {
    /// All of it.
    var der: [UInt8] { get }
    /// Where the parts stand in ``der``.
    var signedRanges: SignedX509Ranges { get }
}

/// Where the parts of a ``SignedX509`` stand.
package struct SignedX509Ranges: Sendable {
    /// What is signed.
    let tbs: Range<Int>
    let issuer: Range<Int>
    /// The algorithm among what is signed.
    let tbsAlgorithm: Range<Int>
    /// The algorithm beside the signature.
    let algorithm: Range<Int>
    let signature: Range<Int>
}

extension SignedX509 {
    /// The DER of the issuer's Name.
    package var issuer: ArraySlice<UInt8> { der[signedRanges.issuer] }

    /// SHA-256 of the bytes that the signature covers.
    package var digest: FixedBytes<32> { SHA256.hash(der.span.bytes.extracting(signedRanges.tbs)) }

    /// Whether both algorithm fields say ecdsa-with-SHA256 without parameters.
    package var isSignedWithP256SHA256Algorithm: Bool {
        let expected = ecdsaWithSHA256Algorithm
        return der.span.bytes.extracting(signedRanges.tbsAlgorithm).hasSameBytes(as: expected.span.bytes)
            && der.span.bytes.extracting(signedRanges.algorithm).hasSameBytes(as: expected.span.bytes)
    }

    /// The signature as numbers.
    package func p256Signature() throws(DecodingFailure) -> P256Signature {
        let range = signedRanges.signature
        return try P256Signature(der: der.span.bytes.extracting(range), base: range.lowerBound)
    }
}
