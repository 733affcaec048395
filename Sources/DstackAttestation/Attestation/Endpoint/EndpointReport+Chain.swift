import DstackCrypto
import DstackEncoding

extension EndpointReport {
    /// From the hardware's root down to the connection; each link is certified, signed or named by the one before it.
    public var chain: [ChainLink] {
        var links = EvidenceChain(evidence, trustAnchor: trustAnchor)
        links.collateralAbsence = collateralAbsence
        links.isUndecided = verdict == .undecided
        links.isOfConnection = true
        return ChainLink.hanging([
            links.root, links.platform, links.quote, links.registers, links.application, keyLink(links),
            connectionLink(links),
        ])
    }

    private func keyLink(_ links: EvidenceChain) -> ChainLink {
        var outcome = links.outcome(of: "certificate_key")
        if outcome == .passed, validity?.failure != nil { outcome = .failed }
        let naming = binding == .sessionBound ? "named by the quote, with this connection" : "named by the quote"
        return links.link(
            "certificate_key", "certificate key", outcome == .passed ? naming : "not shown to be what the quote names",
            [("key sha256", certificate.map { SHA256.hash($0.publicKey).hex })], outcome: outcome,
            failure: validity?.failure)
    }

    private func connectionLink(_ links: EvidenceChain) -> ChainLink {
        let isShown = chainHoldsToKey
        let meaning =
            binding == .sessionBound
            ? "attested code ends this very TLS connection" : "the other end has shown that it has that key"
        return links.link(
            "connection", "this connection", address.authority + (binding.map { ", \($0.rawValue)" } ?? ""),
            [
                ("meaning", isShown ? meaning : nil),
                ("only the key", isShown && binding == .keyBound ? sessionAbsence : nil),
            ], outcome: isShown ? .passed : .notReached)
    }

    private var chainHoldsToKey: Bool { evidence?.verdict == .accepted && validity?.failure == nil }
}
