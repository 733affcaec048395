public import DstackAttestation
import DstackCrypto
package import DstackEncoding
import Synchronization

/// A quote before it is signed.
package struct MockQuote {
    package var header: QuoteHeader
    package var body: QuoteBody
    /// The key that signs the quote and stands in it.
    package var attestationKey: MockKey
    /// Nil for the point of ``attestationKey``.
    package var attestationPoint: FixedBytes<64>?
    package var qeAuthData: [UInt8]
    /// Report of the quoting enclave; its report data is computed unless ``qeReportData`` is set.
    package var qeReport: EnclaveReport
    package var qeReportData: FixedBytes<64>?
    package var qeReportSigner: MockKey
    /// Where the signature of the report before lies.
    var signatureOfQEReport: MockSignatureOfQEReport
    package var outerType: UInt16?
    package var certificationData: CertificationData
    /// Changes to header or body after the quote was signed, to signatures and to what is left over.
    package var tampering: ((inout Quote) -> Void)?
    /// Changes to the bytes.
    package var tamperingBytes: ((inout [UInt8]) -> Void)?

    /// SHA-256(key ‖ auth data) and 32 zeros: how the quoting enclave vouches for the attestation key.
    package static func binding(_ point: FixedBytes<64>, _ authData: [UInt8]) -> FixedBytes<64> {
        FixedBytes(SHA256.hash(point.bytes + authData).bytes + [UInt8](repeating: 0, count: 32)) ?? FixedBytes()
    }

    func issued() throws(MockTEEError) -> [UInt8] {
        let point = attestationPoint ?? attestationKey.point
        var report = qeReport
        report.reportData = qeReportData ?? Self.binding(point, qeAuthData)
        var quote = Quote(
            header: header, body: body,
            signature: QuoteSignature(
                isvSignature: FixedBytes(), attestationKey: point, outerType: outerType, qeReport: report,
                qeReportSignature: try signatureOfQEReport.value(report.encoded, by: qeReportSigner),
                qeAuthData: qeAuthData,
                certificationData: certificationData))
        quote.signature.isvSignature = try attestationKey.sign(quote.signedBytes)
        tampering?(&quote)
        var bytes = quote.encoded
        tamperingBytes?(&bytes)
        return bytes
    }
}

/// The last signature of a quoting enclave's report, for as long as it is the same report.
final class MockSignatureOfQEReport: Sendable {
    private struct Last {
        let report: [UInt8]
        let signer: MockKey
        let signature: FixedBytes<64>
    }

    private let last = Mutex<Last?>(nil)

    func value(_ report: [UInt8], by signer: MockKey) throws(MockTEEError) -> FixedBytes<64> {
        if let last = last.withLock({ $0 }), last.signer === signer, last.report == report { return last.signature }
        let signature = try signer.sign(report)
        last.withLock { $0 = Last(report: report, signer: signer, signature: signature) }
        return signature
    }
}

/// How a simulated quote tells which PCK certificate certifies it.
public enum MockCertification: Sendable, CaseIterable {
    /// Type 5: with the chain itself, as nearly all quotes have it.
    case chain
    /// Type 2: the platform's identifier encrypted under RSA-2048; the verifier needs the chain in the collateral.
    case encryptedPPIDRSA2048
    /// Type 3: the same under RSA-3072.
    case encryptedPPIDRSA3072
}

extension MockPlatform {
    /// A quote over a report, signed as the quoting enclave does.
    ///
    /// - Parameters:
    ///   - body: what is attested. ``MockTrustDomain`` makes honest TD reports, ``enclaveReport(reportData:)`` honest
    ///     enclave reports.
    ///   - version: of the quote; by default 3 for an enclave, 4 for TDX 1.0 and 5 for TDX 1.5.
    ///   - certification: how the PCK certificate is found.
    public func quote(
        _ body: QuoteBody, version: UInt16? = nil, certification: MockCertification = .chain
    ) throws(MockTEEError) -> [UInt8] {
        try quote(body, version: version, certification: certification, edit: { _ in })
    }

    /// The same, with changes to everything that is signed.
    package func quote(
        _ body: QuoteBody, version: UInt16? = nil, certification: MockCertification = .chain,
        edit: (inout MockQuote) -> Void
    ) throws(MockTEEError) -> [UInt8] {
        let tee: TEEType = body.enclaveReport != nil ? .sgx : .tdx
        let version = version ?? Self.usualVersion(of: body)
        // The first 16 bytes identify the quoting enclave on this machine.
        let identifier = MockKey.derive("QE ID", tee.name, seed: seed).bytes.prefix(16)
        var draft = MockQuote(
            header: QuoteHeader(
                version: version, teeType: tee,
                userData: FixedBytes(identifier + [0, 0, 0, 0]) ?? FixedBytes()),
            body: body, attestationKey: keys.attestation, qeAuthData: Array(0..<32), qeReport: qeReport(for: tee),
            qeReportSigner: keys.pck, signatureOfQEReport: qeReportSignature, outerType: version == 3 ? nil : 6,
            certificationData: certificationData(certification))
        edit(&draft)
        return try draft.issued()
    }

    private static func usualVersion(of body: QuoteBody) -> UInt16 {
        switch body {
        case .sgxEnclave: 3
        case .td10: 4
        case .td15, .td15Extended: 5
        }
    }

    /// The report of the platform's quoting enclave for a TEE, without its report data.
    package func qeReport(for tee: TEEType) -> EnclaveReport {
        var report = EnclaveReport()
        report.cpuSvn = configuration.cpuSvn
        report.attributes = MockQEIdentity.enclaveAttributes
        report.mrEnclave = MockKey.derive("QE", tee.name, seed: FixedBytes())
        report.mrSigner = configuration.qeMrSigner
        report.isvProdId = MockQEIdentity.isvProdId(tee)
        report.isvSvn = configuration.qeIsvSvn
        return report
    }

    /// An honest report of an enclave on this platform, as ``quote(_:version:certification:)`` takes it: initialised,
    /// 64-bit, not debuggable.
    public func enclaveReport(reportData: FixedBytes<64>) -> EnclaveReport {
        var report = EnclaveReport()
        report.cpuSvn = configuration.cpuSvn
        report.attributes = FixedBytes(hex: "0500000000000000e700000000000000") ?? FixedBytes()
        report.mrEnclave = FixedBytes(repeating: 0xE1)
        report.mrSigner = FixedBytes(repeating: 0xE2)
        report.isvProdId = 1
        report.isvSvn = 1
        report.reportData = reportData
        return report
    }

    private func certificationData(_ certification: MockCertification) -> CertificationData {
        let (type, count): (UInt16, Int)
        switch certification {
        case .chain: return CertificationData(type: 5, data: pckChainPEM)
        case .encryptedPPIDRSA2048: (type, count) = (2, 256)
        case .encryptedPPIDRSA3072: (type, count) = (3, 384)
        }
        // Nobody can decrypt it, as nobody but Intel can in real quotes.
        var writer = ByteWriter(capacity: count + 20)
        for block in 0..<UInt32(count / 32) {
            writer.fixed(MockKey.derive("encrypted PPID", "", counter: block, seed: seed))
        }
        writer.fixed(configuration.cpuSvn)
        writer.littleEndian(configuration.pceSvn)
        writer.fixed(configuration.pceId)
        return CertificationData(type: type, data: writer.bytes)
    }
}
