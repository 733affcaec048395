import DstackCrypto
import DstackEncoding
import DstackSystem

/// The forms in which services and files hand out revocation lists: DER, PEM, and either of them, or base64, as text.
enum RevocationListForm {
    /// The DER of a list, whichever form it comes in. What it says is not looked at beyond that it is one list.
    ///
    /// Intel's service gives DER where it is asked for DER, caches of it give hexadecimal text or PEM, and older tools kept
    /// the hexadecimal text of PEM.
    static func der(_ bytes: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        var bytes = bytes
        // Each step takes one wrapping off; the deepest that exists is hexadecimal text of PEM.
        for _ in 0..<3 {
            if bytes.first == DERTag.sequence.octet, bytes.count > 1, bytes[1] & 0x80 != 0 {
                // The digit 0 is the octet 0x30 of a sequence as well; the length of a real list takes more than one octet,
                // which no digit begins.
                _ = try CertificateRevocationList(der: bytes)
                return bytes
            }
            guard let inner = unwrapped(bytes) else { break }
            bytes = inner
        }
        throw DecodingFailure(
            .malformed, "revocation list",
            TextForm.isHTML(bytes)
                ? "\(TextForm.description(ofHTML: bytes)) where DER, PEM or hexadecimal text is expected"
                : "neither DER nor PEM nor hexadecimal text")
    }

    private static func unwrapped(_ bytes: [UInt8]) -> [UInt8]? {
        let label = "X509 CRL"
        if let lists = try? PEM.decode(bytes, label: label), lists.count == 1 { return lists[0] }
        let text = String(decoding: bytes.filter { ![0x0A, 0x0D, 0x20, 0x09].contains($0) }, as: UTF8.self)
        guard !text.isEmpty else { return nil }
        let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? String(text.dropFirst(2)) : text
        if let inner = try? Hex.decode(digits, subject: "revocation list") { return inner }
        return try? Base64.decode(text, subject: "revocation list")
    }
}

/// What a text is that somebody sent in place of what was asked for.
enum TextForm {
    /// Whether a body is an HTML page: a sign-in form, a proxy's error, the wrong address.
    static func isHTML(_ bytes: [UInt8]) -> Bool {
        let start = bytes.drop { [0x0A, 0x0D, 0x20, 0x09, 0xEF, 0xBB, 0xBF].contains($0) }.prefix(200)
        let text = String(decoding: start, as: UTF8.self).lowercased()
        return ["<!doctype html", "<html", "<head", "<body"].contains { text.hasPrefix($0) }
    }

    /// `an HTML page ("Sign in")`.
    static func description(ofHTML bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
        guard let start = text.firstRange(of: "<title>"),
            let end = text[start.upperBound...].firstRange(of: "</title>")
        else { return "an HTML page" }
        let title = String(text[start.upperBound..<end.lowerBound]).trimmed
        return title.isEmpty ? "an HTML page" : "an HTML page (\(SafeText.quoted(title, limit: 60)))"
    }
}
