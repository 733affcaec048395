import DstackEncoding

/// A DCAP quote: evidence by a quoting enclave that an enclave or a trust domain exists on a certified platform.
///
/// A `Quote` is *parsed, not verified*: nothing in it may be believed before ``QuoteVerifier`` accepted it. Parsing is
/// lossless: ``encoded`` gives the same bytes, with everything that was left over anywhere.
///
/// Versions: 3 (SGX), 4 (SGX, TDX 1.0) and 5 (SGX, TDX 1.0, 1.5 and its extended form). Source: Intel SGX DCAP ECDSA Quote
/// Library API, appendix A, and Intel TDX DCAP Quoting Library API, appendix A.
public struct Quote: Hashable, Sendable {
    /// Version, TEE and quoting enclave.
    public var header: QuoteHeader
    /// What is attested.
    public var body: QuoteBody
    /// Signatures, attestation key, PCK certificates.
    public var signature: QuoteSignature
    /// Bytes behind the quote. Kernels hand out buffers of a fixed size, so zeros are normal here; anything else is refused
    /// by verification.
    public var trailing: [UInt8]

    /// The most bytes that any length field inside a quote may announce.
    public static let maximumDataLength: UInt32 = 1 << 20

    /// A quote from its parts.
    public init(header: QuoteHeader, body: QuoteBody, signature: QuoteSignature) {
        self.header = header
        self.body = body
        self.signature = signature
        self.trailing = []
    }

    /// Parses a quote.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_quote`, saying which field at which byte is wrong.
    public init(parsing bytes: [UInt8]) throws(AttestationError) {
        do throws(DecodingFailure) {
            var reader = ByteReader(bytes.span.bytes)
            try self.init(&reader)
        } catch {
            throw AttestationError(.invalidQuote, error)
        }
    }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        header = try QuoteHeader(&reader)
        let bodyType: UInt16
        switch header.version {
        case 3, 4:
            switch header.teeType {
            case .sgx: bodyType = 1
            case .tdx: bodyType = 2
            case nil:
                throw DecodingFailure(
                    .unsupported, "header.tee_type", at: 4,
                    "SGX (0) or TDX (0x81) expected, found 0x\(String(header.teeTypeValue, radix: 16))")
            }
        case 5:
            bodyType = try reader.littleEndian("quote body type")
            let offset = reader.offset
            let size: UInt32 = try reader.littleEndian("quote body size")
            guard let expected = QuoteBody.byteCount(ofType: bodyType) else {
                throw DecodingFailure(
                    .unsupported, "quote body type", at: offset - 2, "1 to 4 expected, found \(bodyType)")
            }
            guard Int(size) == expected else {
                throw DecodingFailure(
                    .malformed, "quote body size", at: offset,
                    "\(expected) expected for body type \(bodyType), found \(size)")
            }
        default:
            throw DecodingFailure(
                .unsupported, "header.version", at: 0, "3, 4 or 5 expected, found \(header.version)")
        }
        body = try QuoteBody(type: bodyType, &reader)
        let offset = reader.offset
        let size: UInt32 = try reader.littleEndian("quote signature data length")
        guard size <= Self.maximumDataLength else {
            throw DecodingFailure(
                .tooLarge, "quote signature data length", at: offset,
                "\(size) bytes, at most \(Self.maximumDataLength) are read")
        }
        var data = try reader.reader(Int(size), "quote signature data")
        signature = try QuoteSignature(version: header.version, &data)
        trailing = reader.rest()
    }

    /// Header, body descriptor and body: the bytes that ``QuoteSignature/isvSignature`` covers.
    public var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: signedByteCount)
        encodeSigned(to: &writer)
        return writer.bytes
    }

    /// How many bytes of the encoding, from its beginning, the signature covers.
    public var signedByteCount: Int { 48 + (header.version == 5 ? 6 : 0) + body.byteCount }

    private func encodeSigned(to writer: inout ByteWriter) {
        header.encode(to: &writer)
        if header.version == 5 {
            writer.littleEndian(body.typeValue)
            writer.littleEndian(UInt32(body.byteCount))
        }
        body.encode(to: &writer)
    }

    /// The quote on the wire; for a parsed quote the bytes it was parsed from.
    public var encoded: [UInt8] {
        var signatureData = ByteWriter(capacity: 4096)
        signature.encode(to: &signatureData)
        var writer = ByteWriter(capacity: signedByteCount + 4 + signatureData.bytes.count + trailing.count)
        encodeSigned(to: &writer)
        writer.littleEndian(UInt32(truncatingIfNeeded: signatureData.bytes.count))
        writer.append(signatureData.bytes)
        writer.append(trailing)
        return writer.bytes
    }
}
