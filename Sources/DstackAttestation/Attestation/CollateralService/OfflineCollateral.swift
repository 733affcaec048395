internal import DstackCrypto
internal import DstackEncoding
internal import DstackSystem
internal import Glibc

/// Collateral from files that were fetched before: for machines without network, and for tests.
///
/// ```swift
/// let provider = try OfflineCollateral(path: "/var/lib/collateral")
/// ```
public struct OfflineCollateral: CollateralProvider {
    /// What a set of collateral is for. Read from unverified documents: it only chooses which set is tried.
    private struct Key: Hashable {
        let fmspc: FixedBytes<6>
        let isTDX: Bool
        /// Name of the authority that issued the PCK certificates, DER; there are two, with a revocation list each.
        let issuer: [UInt8]
    }

    private let sets: [(key: Key, issued: Int64, collateral: QuoteCollateral)]

    /// The most files of a directory that are read.
    private static let maximumFileCount = 1024

    /// Sets of collateral that are at hand.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_collateral` for a set whose platform cannot be told.
    public init(_ collateral: [QuoteCollateral]) throws(AttestationError) {
        var sets: [(key: Key, issued: Int64, collateral: QuoteCollateral)] = []
        for collateral in collateral { sets.append(try Self.entry(collateral)) }
        self.sets = sets
    }

    /// Sets of collateral from a file with one, or from a directory in which every `*.json` is one.
    ///
    /// - Throws: ``AttestationError`` with code `collateral_unavailable` for what cannot be read, `invalid_collateral` for
    ///   a file that is no collateral.
    public init(path: String) throws(AttestationError) {
        var all: [QuoteCollateral] = []
        for file in try Self.files(path) {
            do throws(AttestationError) {
                let collateral = try QuoteCollateral(parsingJSON: Self.read(file, isListed: file != path))
                _ = try Self.entry(collateral)
                all.append(collateral)
            } catch {
                throw AttestationError(error.code, subject: file, reason: "\(error.subject): \(error.reason)")
            }
        }
        try self.init(all)
    }

    /// The set for a quote: same platform family, TEE and issuer; of several the one issued last.
    public func collateral(for quote: Quote) throws(AttestationError) -> QuoteCollateral {
        // One set alone is the answer to everything: its report tells better than an error why it does not fit.
        if sets.count == 1 { return sets[0].collateral }
        let key = try Self.key(of: quote)
        let fitting = sets.filter { $0.key == key }
        guard let latest = fitting.max(by: { $0.issued < $1.issued }) else {
            throw AttestationError(
                .collateralUnavailable, subject: "collateral",
                reason: "none of \(sets.count) sets is for \(key.isTDX ? "TDX" : "SGX") on FMSPC "
                    + Hex.encodeUppercase(key.fmspc.bytes))
        }
        return latest.collateral
    }

    /// The same: finding it takes nothing from anybody.
    public func collateral(
        for quote: Quote, verifiedBy verifier: QuoteVerifier
    ) throws(AttestationError) -> QuoteCollateral { try collateral(for: quote) }

    private static func key(of quote: Quote) throws(AttestationError) -> Key {
        guard case .pckCertificateChain(let pem) = quote.signature.certificationData.content else {
            throw AttestationError(
                .collateralUnavailable, subject: "collateral",
                reason: "the quote has no PCK certificate, so that its platform is not known")
        }
        return try AttestationError.decoding(.invalidQuote) { () throws(DecodingFailure) in
            guard let der = try PEM.decode(pem, label: "CERTIFICATE").first else {
                throw DecodingFailure(.malformed, "PCK certificate chain", "there is no certificate in it")
            }
            let certificate = try Certificate(der: der)
            guard let value = certificate.value(of: PCKExtension.identifier) else {
                throw DecodingFailure(.malformed, "PCK certificate", "has no SGX extensions")
            }
            return Key(
                fmspc: try PCKExtension(parsing: Array(value)).fmspc, isTDX: quote.header.teeType == .tdx,
                issuer: Array(certificate.issuer))
        }
    }

    private static func entry(
        _ collateral: QuoteCollateral
    ) throws(AttestationError) -> (key: Key, issued: Int64, collateral: QuoteCollateral) {
        try AttestationError.decoding(.invalidCollateral) { () throws(DecodingFailure) in
            // No more of it than tells what the set is for: what else is wrong with a document, such as a status that is not
            // known, is a verdict's to say, by the check that it fails.
            let tcbInfo = try JSONDocument(
                parsing: Array(collateral.tcbInfo.utf8), subject: "tcb_info", maximumDepth: 16
            ).root
            let list = try CertificateRevocationList(der: collateral.pckCRL)
            let key = Key(
                fmspc: try tcbInfo.member("fmspc").fixedHex(prefix: .none),
                isTDX: try tcbInfo.member("id").string() == "TDX", issuer: Array(list.issuer))
            return (key, try tcbInfo.member("issueDate").timestamp(.up), collateral)
        }
    }

    // MARK: Files

    /// - Parameter isListed: whether the file was found in a directory, where nobody named it; one that is named may be a pipe.
    private static func read(_ path: String, isListed: Bool) throws(AttestationError) -> [UInt8] {
        do throws(SystemError) {
            let limit = QuoteCollateral.maximumByteCount
            return try isListed
                ? File.readRegular(path, limit: limit, followsLinks: true) : File.read(path, limit: limit)
        } catch {
            throw AttestationError(.collateralUnavailable, subject: path, reason: error.reason)
        }
    }

    private static func files(_ path: String) throws(AttestationError) -> [String] {
        let names: [String]
        do throws(SystemError) {
            names = try CollateralDirectory.names(path).filter { $0 != FloorsFile.name }
        } catch {
            if error.code == ENOTDIR { return [path] }
            throw AttestationError(.collateralUnavailable, subject: path, reason: error.reason)
        }
        guard (1...maximumFileCount).contains(names.count) else {
            throw AttestationError(
                .collateralUnavailable, subject: path,
                reason: names.isEmpty
                    ? "no *.json in the directory" : "\(names.count) *.json, at most \(maximumFileCount) are read")
        }
        return names.map { "\(path)/\($0)" }
    }
}
