package import DstackAttestation
import DstackCrypto
import DstackEncoding

/// Says whether everything in an exhibit that a verdict rests on is genuine and belongs together, by comparing it with the
/// corpus. It knows nothing of verification.
///
/// What it leaves out is what may change without changing an answer: how PEM is written, certificates beside those that
/// are used, `pck_crl_issuer_chain`, zeros behind a quote, and which of an ECDSA signature's two equivalent forms is used.
package struct Provenance: Sendable {
    private let table: [Component: Genuine]

    /// A part of an exhibit in the one form that all its spellings have in common.
    private struct Component: Hashable, Sendable {
        let role: Role
        let content: [[UInt8]]
    }

    private enum Role: Hashable, Sendable { case quote, chain, tcbInfo, qeIdentity, rootCRL, pckCRL }

    /// Where a part is genuine: all origins that it serves, and an exhibit's piece to rebuild it from.
    private struct Genuine: Sendable {
        var origins: Set<Origin>
        var quote: [UInt8] = []
        var collateral: QuoteCollateral?
        var chain: [UInt8] = []
    }

    package init(_ corpus: Corpus) {
        var table: [Component: Genuine] = [:]
        for donor in corpus.donors {
            var parts: [(Component, Genuine)] = []
            if let quote = donor.quote {
                if let component = Self.quote(quote) {
                    parts.append((component, Genuine(origins: [donor.origin], quote: quote)))
                }
                if let pem = Self.chainOfQuote(quote) {
                    let genuine = Genuine(origins: [donor.origin], chain: pem)
                    for component in Self.chains(pem) { parts.append((component, genuine)) }
                }
            }
            if let collateral = donor.collateral {
                let genuine = Genuine(origins: [donor.origin], collateral: collateral)
                for component in [
                    Self.tcbInfo(collateral), Self.qeIdentity(collateral), Self.rootCRL(collateral),
                    Self.pckCRL(collateral),
                ] {
                    if let component { parts.append((component, genuine)) }
                }
                if let pem = collateral.pckCertificateChain {
                    let chain = Genuine(origins: [donor.origin], chain: Array(pem.utf8))
                    for component in Self.chains(Array(pem.utf8)) { parts.append((component, chain)) }
                }
            }
            for (component, genuine) in parts {
                table[component, default: genuine].origins.insert(donor.origin)
            }
        }
        self.table = table
    }

    /// The same exhibit put together from the genuine parts themselves; nil with the reason if a part is not genuine, or
    /// not for the others.
    package func genuineTwin(of exhibit: Exhibit, _ collateral: QuoteCollateral) -> Result<Exhibit, FuzzFailure> {
        let pem = collateral.pckCertificateChain.map { Array($0.utf8) } ?? Self.chainOfQuote(exhibit.quote)
        guard let quote = Self.quote(exhibit.quote).flatMap({ table[$0] }) else { return no("quote") }
        guard let chain = pem.flatMap({ Self.chains($0).lazy.compactMap { table[$0] }.first }) else {
            return no("PCK chain")
        }
        guard let tcbInfo = Self.tcbInfo(collateral).flatMap({ table[$0] }) else { return no("TCB info") }
        guard let identity = Self.qeIdentity(collateral).flatMap({ table[$0] }) else { return no("QE identity") }
        guard let rootCRL = Self.rootCRL(collateral).flatMap({ table[$0] }) else { return no("root revocation list") }
        guard let pckCRL = Self.pckCRL(collateral).flatMap({ table[$0] }) else { return no("PCK revocation list") }
        let fits = quote.origins.contains { origin in
            chain.origins.contains {
                $0.root == origin.root && $0.machine == origin.machine && $0.family == origin.family
            }
                && tcbInfo.origins.contains {
                    $0.root == origin.root && $0.family == origin.family && $0.tee == origin.tee
                } && identity.origins.contains { $0.root == origin.root && $0.tee == origin.tee }
                && rootCRL.origins.contains { $0.root == origin.root }
                && pckCRL.origins.contains { $0.root == origin.root && $0.authority == origin.authority }
        }
        guard fits else { return .failure(FuzzFailure("genuine parts that are not for each other")) }
        guard let info = tcbInfo.collateral, let qe = identity.collateral, let root = rootCRL.collateral,
            let pck = pckCRL.collateral
        else { return no("collateral") }
        var twin = exhibit
        twin.quote = quote.quote
        twin.collateralJSON = nil
        twin.collateral = QuoteCollateral(
            pckCRLIssuerChain: pck.pckCRLIssuerChain, rootCACRL: root.rootCACRL, pckCRL: pck.pckCRL,
            tcbInfoIssuerChain: info.tcbInfoIssuerChain, tcbInfo: info.tcbInfo,
            tcbInfoSignature: info.tcbInfoSignature, qeIdentityIssuerChain: qe.qeIdentityIssuerChain,
            qeIdentity: qe.qeIdentity, qeIdentitySignature: qe.qeIdentitySignature,
            pckCertificateChain: String(decoding: chain.chain, as: UTF8.self))
        return .success(twin)
    }

    private func no(_ part: String) -> Result<Exhibit, FuzzFailure> { .failure(FuzzFailure("\(part) not genuine")) }

    // MARK: Parts

    private static func quote(_ bytes: [UInt8]) -> Component? {
        guard let layout = QuoteLayout(bytes), let fields = QuoteBytes(bytes) else { return nil }
        if let tail = layout.range(of: "trailing"), bytes[tail].contains(where: { $0 != 0 }) { return nil }
        // Nothing may be left over inside: the three sizes must account for each other exactly.
        let inside = (fields["qe_auth_data"]?.count ?? 0) + (fields["certification data"]?.count ?? 0)
        let outer = 384 + 64 + 2 + 2 + 4 + inside
        let isExact =
            layout.range(of: "outer size") == nil
            ? fields.number("signature data size") == UInt64(128 + outer)
            : fields.number("outer size") == UInt64(outer)
                && fields.number("signature data size") == UInt64(128 + 6 + outer)
        guard isExact else { return nil }
        func signature(_ name: String) -> [UInt8] {
            let raw = FixedBytes<64>((fields[name + ".r"] ?? []) + (fields[name + ".s"] ?? [])) ?? FixedBytes()
            return FuzzKey.normalized(raw).bytes
        }
        return Component(
            role: .quote,
            content: [
                fields.signed, signature("isv_signature"), fields["attestation_key"] ?? [],
                fields["outer type"] ?? [], fields.qeReport, signature("qe_report_signature"),
                fields["qe_auth_data"] ?? [],
            ])
    }

    private static func chainOfQuote(_ bytes: [UInt8]) -> [UInt8]? {
        guard let fields = QuoteBytes(bytes), fields.number("certification data type") == 5 else { return nil }
        return fields["certification data"]
    }

    /// The leaf with each of the other certificates: one of them is the CA.
    private static func chains(_ pem: [UInt8]) -> [Component] {
        guard let blocks = try? PEM.decode(pem, label: "CERTIFICATE"), let leaf = blocks.first.flatMap(signed) else {
            return []
        }
        return blocks.dropFirst().compactMap { block in
            signed(block).map { Component(role: .chain, content: leaf + $0) }
        }
    }

    /// A certificate or list: what is signed, and the signature in one form.
    private static func signed(_ der: [UInt8]) -> [[UInt8]]? {
        guard let parts = SignedParts(der), let raw = parts.rawSignature else { return nil }
        // Put together again, nothing else may have been in it.
        guard parts.assembled(signature: FuzzKey.der(raw)) == der else { return nil }
        return [parts.message, FuzzKey.normalized(raw).bytes]
    }

    private static func document(_ role: Role, _ text: String, _ signature: [UInt8], _ chain: String) -> Component? {
        guard let raw = FixedBytes<64>(signature),
            let leaf = try? PEM.decode(Array(chain.utf8), label: "CERTIFICATE").first.flatMap(signed)
        else { return nil }
        return Component(role: role, content: [Array(text.utf8), FuzzKey.normalized(raw).bytes] + leaf)
    }

    private static func tcbInfo(_ collateral: QuoteCollateral) -> Component? {
        document(.tcbInfo, collateral.tcbInfo, collateral.tcbInfoSignature, collateral.tcbInfoIssuerChain)
    }

    private static func qeIdentity(_ collateral: QuoteCollateral) -> Component? {
        document(
            .qeIdentity, collateral.qeIdentity, collateral.qeIdentitySignature, collateral.qeIdentityIssuerChain)
    }

    private static func rootCRL(_ collateral: QuoteCollateral) -> Component? {
        signed(collateral.rootCACRL).map { Component(role: .rootCRL, content: $0) }
    }

    private static func pckCRL(_ collateral: QuoteCollateral) -> Component? {
        signed(collateral.pckCRL).map { Component(role: .pckCRL, content: $0) }
    }
}
