import DstackCrypto
import DstackEncoding
import DstackSystem

/// Revocation lists as services and files hand them out.
enum RevocationListForm {
    /// The DER of a list, in whichever form ``EvidenceFile`` recognises it. What it says is not looked at beyond that it is
    /// one list.
    ///
    /// Intel's service gives DER where it is asked for DER, caches of it give hexadecimal text or PEM, and older tools kept
    /// the hexadecimal text of PEM.
    static func der(_ bytes: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        let file = EvidenceFile(recognising: bytes)
        switch file.kind {
        case .revocationList: return file.bytes
        case .markup:
            throw DecodingFailure(
                .malformed, "revocation list",
                "\(HTMLPage.description(of: bytes) ?? file.described) where DER, PEM or hexadecimal text is expected")
        case .binary where file.bytes.first == DERTag.sequence.octet:
            // Its reader says best what is wrong with it.
            _ = try CertificateRevocationList(der: file.bytes)
            return file.bytes
        case .binary, .text, .damagedHexadecimal:
            throw DecodingFailure(.malformed, "revocation list", "neither DER nor PEM nor hexadecimal text")
        default:
            let refusal = file.refusal(.invalidCollateral, wanted: "a revocation list")
            throw DecodingFailure(.malformed, refusal.subject, refusal.reason)
        }
    }
}

/// A page that somebody sent in place of what was asked for: a sign-in form, a proxy's error, the wrong address.
enum HTMLPage {
    /// `an HTML page ("Sign in")`; nil for a body that is none.
    static func description(of body: [UInt8]) -> String? {
        let start = body.drop { [0x0A, 0x0D, 0x20, 0x09, 0xEF, 0xBB, 0xBF].contains($0) }
        let text = String(decoding: start.prefix(4096), as: UTF8.self)
        let beginning = text.prefix(16).lowercased()
        guard ["<!doctype html", "<html", "<head", "<body"].contains(where: beginning.hasPrefix) else { return nil }
        guard let opening = text.firstRange(of: "<title>"),
            let end = text[opening.upperBound...].firstRange(of: "</title>")
        else { return "an HTML page" }
        let title = String(text[opening.upperBound..<end.lowerBound]).trimmed
        return title.isEmpty ? "an HTML page" : "an HTML page (\(SafeText.quoted(title, limit: 60)))"
    }
}
