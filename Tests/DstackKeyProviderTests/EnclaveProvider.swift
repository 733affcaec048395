import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeyProvider
import DstackMockTEE
import Glibc
import TestKit

/// A key provider in a simulated enclave: what a real one does, and what dishonest ones do.
struct EnclaveProvider: Sendable {
    static let now: Int64 = 1_790_000_000
    static let sealingKey = Array("sealing key".utf8)

    enum Fault: Sendable, CaseIterable {
        case debugEnclave, otherReportData, longerReportData, trustDomain, changedSignature, swappedBox, forStranger
        case shortSeed, longSeed, otherPlatform
    }

    let platform: MockPlatform
    var fault: Fault?

    init(fault: Fault? = nil) throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x33))
        self.fault = fault
    }

    /// From the sealing key and all that the quote says was measured.
    static func key(for report: TDReport) -> [UInt8] {
        let registers = [report.mrTd, report.rtMr0, report.rtMr1, report.rtMr2, report.rtMr3]
        return SHA256.hash(sealingKey + registers.flatMap { $0.bytes }).bytes
    }

    func answer(_ request: SealingKeyRequest) throws -> SealingKeyResponse {
        guard let report = try Quote(parsing: request.quote).body.tdReport else { throw POSIXFailure(EINVAL) }
        var seed = Self.key(for: report)
        if fault == .shortSeed { seed.removeLast() }
        if fault == .longSeed { seed.append(0) }
        guard var point = FixedBytes<32>(report.reportData.bytes.prefix(32)) else { throw POSIXFailure(EINVAL) }
        if fault == .forStranger { point = X25519.PrivateKey().publicKey.bytes }
        let box = try SealedBox.seal(seed, to: X25519.PublicKey(point))
        var data = SealingKeyExchange.reportData(of: box)
        if fault == .otherReportData { data[0] ^= 1 }
        if fault == .longerReportData { data[63] = 1 }
        let machine = fault == .otherPlatform ? try MockPlatform(seed: FixedBytes(repeating: 0x34)) : platform
        var enclave = machine.enclaveReport(reportData: data)
        if fault == .debugEnclave { enclave.attributes[0] |= 2 }
        var quote = try machine.quote(.sgxEnclave(enclave))
        if fault == .trustDomain { quote = try MockTrustDomain(on: machine).quote(reportData: data.bytes) }
        // Behind the header of 48 bytes and the report of 384 are the length of the rest and the signature.
        if fault == .changedSignature { quote[48 + 384 + 4] ^= 1 }
        let answered = fault == .swappedBox ? try SealedBox.seal(seed, to: X25519.PublicKey(point)) : box
        return SealingKeyResponse(encryptedKey: answered, providerQuote: quote)
    }

    /// Verifies as a guest does, its host's collateral at hand.
    func verify(_ quote: [UInt8], _ policy: VerificationPolicy) throws -> VerificationReport {
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
        let tee: TEEType = (try? Quote(parsing: quote).body.enclaveReport) == nil ? .tdx : .sgx
        return verifier.verify(
            quote, collateral: try platform.collateral(for: tee, at: Self.now), policy: policy, at: Self.now)
    }
}

struct POSIXFailure: Error {
    let code: Int32

    init(_ code: Int32) { self.code = code }
}

/// Listens on a port of its own and hands each connection to `body`, one after another.
final class StreamPeer: Sendable {
    private let listener: RawListener

    var port: UInt16 { listener.port }

    init(_ body: @escaping @Sendable (RawSocket) -> Void) throws {
        listener = try RawListener()
        listener.serve(body)
    }

    deinit { listener.end() }
}
