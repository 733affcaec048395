internal import DstackAttestation

extension ExpectedValues {
    /// These values and those of another side.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_policy` where both sides want something else of the same value:
    ///   neither may overrule the other, and no evidence can satisfy both.
    func merged(with other: ExpectedValues) throws(AttestationError) -> ExpectedValues {
        var result = self
        for expectation in Expectation.all {
            guard let others = expectation.json(in: other) else { continue }
            if let mine = expectation.json(in: self), mine != others {
                throw AttestationError(
                    .invalidPolicy, subject: expectation.member,
                    reason: "the request expects \(others), the verifier's policy \(mine)")
            }
            expectation.take(from: other, into: &result)
        }
        return result
    }

    /// Whether a quote and what explains it have the expected value of a name.
    ///
    /// - Parameter evidence: what was replayed and verified to belong to the quote; nil if nothing was.
    func isMet(_ name: String, by body: QuoteBody, _ evidence: EvidenceFacts?) -> Bool {
        // A name that is expected and not known here has not been compared.
        Expectation.all.first { $0.member == name }?.compare(self, with: Expectation.Facts(body, evidence))?.isMet
            ?? false
    }
}
