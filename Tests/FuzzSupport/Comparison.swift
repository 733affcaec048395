import DstackAttestation
import DstackEncoding

/// Cases as lines for a program that asks another verifier about the very same bytes.
extension FuzzRun {
    /// The case of a number as one JSON object with this library's verdict under the policy `authentic`, and a line feed.
    /// Nil for kinds that are no quotes.
    package func comparisonLine(_ number: Int, kind: FuzzKind? = nil) throws(FuzzFailure) -> [UInt8]? {
        let fuzzCase = try maker.make(kind ?? CaseMaker.comparedKind(ofNumber: number), number)
        guard case .exhibit(let exhibit) = fuzzCase.subject else { return nil }
        return Self.line(fuzzCase, seedName(fuzzCase), exhibit, maker.seed)
    }

    private static func line(_ fuzzCase: FuzzCase, _ name: String, _ exhibit: Exhibit, _ seed: UInt64) -> [UInt8] {
        let text = exhibit.collateralText
        var writer = JSONWriter()
        writer.object { object in
            object.member("kind", fuzzCase.kind.rawValue)
            object.member("number", fuzzCase.number)
            object.member("seed", seed)
            object.member("name", name)
            object.member("changes", fuzzCase.summary)
            object.member("now", exhibit.time)
            object.member("root", Base64.encode(exhibit.root))
            object.member("quote", Base64.encode(exhibit.quote))
            object.member("collateral", Base64.encode(text))
            object.object("ours") { judge(exhibit, text, into: &$0) }
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    /// The verdict from bytes, as a relying party would get it.
    private static func judge(_ exhibit: Exhibit, _ text: [UInt8], into object: inout JSONWriter.Object) {
        do throws(AttestationError) {
            let anchor = try TrustAnchor(certificate: exhibit.root)
            let report = QuoteVerifier(trustAnchor: anchor).verify(
                exhibit.quote, collateral: try QuoteCollateral(parsingJSON: text), policy: .authentic, at: exhibit.time)
            report.write(to: &object)
        } catch {
            object.member("verdict", "rejected")
            object.object("reason") { reason in
                reason.member("code", error.code.rawValue)
                reason.member("check", "input")
                reason.member("message", error.description)
            }
        }
    }
}
