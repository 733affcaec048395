import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem

/// What is verified: one quote or several of the same kind, with their collateral.
struct Sample {
    let name: String
    let quotes: [[UInt8]]
    let collateralJSON: [UInt8]
    let collateral: QuoteCollateral
    let trustAnchor: TrustAnchor
    let time: Int64
    /// Public keys that are the same for every platform: the root's, the PCK CA's and the TCB signer's.
    let commonKeys: [FixedBytes<64>]

    private init(
        _ name: String, quotes: [[UInt8]], collateralJSON: [UInt8], collateral: QuoteCollateral,
        trustAnchor: TrustAnchor, time: Int64
    ) throws {
        self.name = name
        self.quotes = quotes
        self.collateralJSON = collateralJSON
        self.collateral = collateral
        self.trustAnchor = trustAnchor
        self.time = time
        var keys: [FixedBytes<64>] = []
        for chain in [collateral.tcbInfoIssuerChain, collateral.pckCRLIssuerChain] {
            for der in try PEM.decode(Array(chain.utf8), label: "CERTIFICATE") {
                if let point = try Certificate(der: der).p256Point, !keys.contains(point) { keys.append(point) }
            }
        }
        commonKeys = keys
    }

    /// Real, Intel-signed evidence.
    static func real(_ name: String, quote: String, collateral: String, at time: Int64) throws -> Sample {
        let json = try File.read(collateral, limit: 1 << 22)
        return try Sample(
            name, quotes: [File.read(quote, limit: 1 << 20)], collateralJSON: json,
            collateral: QuoteCollateral(parsingJSON: json), trustAnchor: .intel, time: time)
    }

    /// Evidence of simulated platforms under one root: `platforms` machines with `quotes` each.
    static func simulated(_ name: String, platforms: Int, quotes: Int, at time: Int64) throws -> Sample {
        let base = try MockPlatform(seed: SHA256.hash(Array("benchmark".utf8)))
        var all: [[UInt8]] = []
        for machine in 0..<platforms {
            let seed = SHA256.hash(Array("machine \(machine)".utf8))
            let (pck, attestation) = (MockKey(seed: seed, label: "PCK"), MockKey(seed: seed, label: "attestation"))
            let platform = try base.reissued { certificates in
                certificates.pck.builder.publicKey = pck.spki
                certificates.pck.builder.serialNumber = DER.integer(magnitude: [0x40] + seed.bytes.prefix(19))
            }
            // As on a real machine, one report of the quoting enclave vouches for all quotes.
            var vouching: FixedBytes<64>?
            for index in 0..<quotes {
                var report = TDReport()
                report.teeTcbSvn = platform.configuration.teeTcbSvn
                report.tdAttributes = FixedBytes([0, 0, 0, 0x10, 0, 0, 0, 0]) ?? FixedBytes()
                report.reportData[0] = UInt8(truncatingIfNeeded: index)
                report.reportData[1] = UInt8(truncatingIfNeeded: index >> 8)
                let known = vouching
                let bytes = try platform.quote(.td10(report)) { quote in
                    quote.attestationKey = attestation
                    quote.qeReportSigner = pck
                    quote.tampering = { if let known { $0.signature.qeReportSignature = known } }
                }
                vouching = try Quote(parsing: bytes).signature.qeReportSignature
                all.append(bytes)
            }
        }
        let collateral = try base.collateral(for: .tdx, at: time)
        return try Sample(
            name, quotes: all, collateralJSON: collateral.json, collateral: collateral,
            trustAnchor: TrustAnchor(certificate: base.rootCertificate), time: time)
    }
}
