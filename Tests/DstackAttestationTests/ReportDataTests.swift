import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("Report data")
struct ReportDataTests {
    /// vectors/attestation/README.md, section 4.
    static let hello: [(ReportData.HashAlgorithm, String)] = [
        (
            .sha512,
            "e39fd3dbee991d65e65cc38c6e9d664324929816279a19b495bcd3f77a62d819"
                + "49ba61282d8a732916d39bb9f6a6a16d11211c0d800b6ffc56ecf74419a7c835"
        ),
        (
            .sha256,
            "57d90585d4b2cce9b2818a7b2a01398d5d2d6a8cb7ca8b735acb8d3203cf8a77" + String(repeating: "0", count: 64)
        ),
        (
            .sha3_384,
            "74ae0b2a56d9367f1678987363eb63649d4d26a00a3adf440f6aac6fd15d9580"
                + "8aeb015c138fc8e842dcbd81aaa3fe5b" + String(repeating: "0", count: 32)
        ),
    ]

    @Test("tag, colon and content are hashed, left-aligned and filled up with zeros", arguments: hello)
    func tagged(algorithm: ReportData.HashAlgorithm, expected: String) {
        #expect(ReportData(tag: .appData, content: "hello".utf8, hash: algorithm).hex == expected)
    }

    @Test("all algorithms, prefixes and raw equal the vectors", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func vectors() throws {
        let rows = try Vectors.json("guest-agent/derived-vectors.json").member("tappd_tdx_report_data")
        var algorithms: Set<String> = []
        var refused = 0
        for row in rows.elements {
            let algorithm = try row.member("hash_algorithm").string()
            let prefix = try row.member("prefix").string()
            let content = try row.member("report_data").hexBytes()
            let tag = prefix.isEmpty ? ReportData.Tag.appData : ReportData.Tag(prefix)
            if let effective = try row.optionalMember("effective") {
                #expect(try ReportData(tag: tag, content: content, algorithm: algorithm).hex == effective.string())
                algorithms.insert(algorithm)
            } else {
                #expect(throws: AttestationError.self) {
                    try ReportData(tag: tag, content: content, algorithm: algorithm)
                }
                refused += 1
            }
        }
        #expect(algorithms == Set(ReportData.HashAlgorithm.allCases.map(\.rawValue) + ["", "raw"]))
        #expect(refused > 0)
    }

    @Test("unknown algorithms and raw content that is not 64 bytes are refused")
    func refused() {
        for (algorithm, count) in [("md5", 64), ("SHA512", 64), ("raw", 63), ("raw", 65), ("raw", 0)] {
            let error = #expect(throws: AttestationError.self) {
                try ReportData(tag: .appData, content: [UInt8](repeating: 1, count: count), algorithm: algorithm)
            }
            #expect(error?.code == .invalidReportData)
        }
    }

    @Test(
        "shorter data is filled up with zeros on the right, longer data refused",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func padding() throws {
        let rows = try Vectors.json("guest-agent/derived-vectors.json").member("get_quote_report_data")
        for row in rows.elements {
            guard let padded = try row.optionalMember("padded") else { continue }
            let text = try row.member("in").string()
            let bytes = hex(String(text.trimmingPrefix("0x")))
            #expect(try ReportData(padding: bytes).hex == padded.string())
        }
        #expect(throws: AttestationError.self) { try ReportData(padding: [UInt8](repeating: 0, count: 65)) }
    }

    @Test("RA-TLS binds the certificate's key", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func raTLS() throws {
        var count = 0
        for row in try Vectors.json("keys/kdf.json").member("report_data").elements {
            guard try row.member("kind").string() == "ratls" else { continue }
            let expected = try row.member("report_data").string()
            #expect(ReportData(raTLSKey: try row.member("spki_der").hexBytes()).hex == expected)
            count += 1
        }
        #expect(count > 0)
    }
}
