import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("Quotes: parsing")
struct QuoteParsingTests {
    @Test(
        "real quotes parse to the values they are known to have and encode to the same bytes",
        .enabled(if: Vectors.areAvailable, Vectors.absence),
        arguments: ["tdx_quote", "sgx_quote", "ratls_asset_tdx_quote"])
    func roundTrip(name: String) throws {
        let bytes = try Vectors.read("attestation/\(name)")
        let quote = try Quote(parsing: bytes)
        #expect(quote.encoded == bytes)
        #expect(Array(bytes.prefix(quote.signedByteCount)) == quote.signedBytes)
        #expect(quote.header.qeVendorId == QuoteHeader.intelVendorID)
        #expect(quote.signature.certificationData.type == 5)
        #expect(quote.signature.certificationTrailing.isEmpty && quote.signature.trailing.isEmpty)
    }

    @Test("the fields of a real TDX quote stand where Intel says", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func tdxFields() throws {
        let quote = try Quote(parsing: Vectors.read("attestation/tdx_quote"))
        let report = try #require(quote.body.tdReport)
        #expect(quote.header.version == 4 && quote.header.teeType == .tdx)
        #expect(quote.header.userData.hex == "889b7d6ff9df2405b240a830e73faf3d00000000")
        #expect(report.teeTcbSvn.hex == "060103" + String(repeating: "0", count: 26))
        #expect(
            report.mrSeam.hex
                == "5b38e33a6487958b72c3c12a938eaa5e3fd4510c51aeeab58c7d5ecee41d7c436489d6c8e4f92f160b7cad34207b00c1")
        #expect(report.mrSignerSeam.isZero && report.seamAttributes.isZero)
        #expect(report.tdAttributes.hex == "0000001000000000" && TDAttributes(report.tdAttributes) == .septVEDisable)
        #expect(report.xfam.hex == "e702060000000000")
        #expect(
            report.mrTd.hex
                == "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7")
        #expect(
            report.rtMr2.hex
                == "d833feef2cd945148aa38ead2c53e9b7f138190aaaebfc551dccd829fc207aa3ba80b70870d7330733642e01d48c3132")
        #expect(report.rtMr3.isZero)
        #expect(
            quote.body.reportData.hex == """
                9a9d48e7f6799642d3d1b34e1e5e1742d4bb02dd6ddd551862c1211d35c304f9\
                eca3efdbb481601c163cf52493d6e44aed55d51ec39b7e518fadb92c2b523f20
                """)
    }

    @Test("the fields of a real SGX quote stand where Intel says", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func sgxFields() throws {
        let quote = try Quote(parsing: Vectors.read("attestation/sgx_quote"))
        let report = try #require(quote.body.enclaveReport)
        #expect(quote.header.version == 3 && quote.header.qeSvn == 10 && quote.header.pceSvn == 15)
        #expect(report.mrEnclave.hex == "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb")
        #expect(report.mrSigner.hex == "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6")
        #expect(report.attributes.hex == "0500000000000000e700000000000000" && !report.isDebug)
        #expect(report.cpuSvn.hex == "0b0b1a18ffff04000000000000000000")
        #expect(report.reportData.bytes.starts(with: Array("Hello, world!".utf8)))
    }

    @Test("every truncation of a quote is refused", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func truncations() throws {
        for name in ["tdx_quote", "sgx_quote"] {
            let bytes = try Vectors.read("attestation/\(name)")
            let quote = try Quote(parsing: bytes)
            for length in 0..<bytes.count - quote.trailing.count {
                #expect(throws: AttestationError.self) { try Quote(parsing: Array(bytes[..<length])) }
            }
        }
    }

    @Test("version 5 bodies of every type survive a round trip, and a wrong size or type is refused")
    func version5() throws {
        let signature = QuoteSignature(
            isvSignature: FixedBytes(repeating: 1), attestationKey: FixedBytes(repeating: 2), outerType: 6,
            qeReport: EnclaveReport(), qeReportSignature: FixedBytes(repeating: 3),
            qeAuthData: [UInt8](repeating: 4, count: 32),
            certificationData: CertificationData(type: 5, data: [1, 2, 3]))
        var report = TDReport()
        report.reportData = FixedBytes(repeating: 0x5A)
        var report15 = TDReport15(base: report)
        report15.mrServiceTd = FixedBytes(repeating: 9)
        var extended = TDReport15Extended(base: report15)
        extended.tdId = FixedBytes(repeating: 7)
        extended.curServiceTdAttributes = FixedBytes(repeating: 8)
        for body in [
            .sgxEnclave(EnclaveReport()), .td10(report), .td15(report15), .td15Extended(extended),
        ] as [QuoteBody] {
            let quote = Quote(header: QuoteHeader(version: 5, teeType: .tdx), body: body, signature: signature)
            let bytes = quote.encoded
            #expect(bytes.count > quote.signedByteCount && quote.signedByteCount == 54 + body.byteCount)
            let parsed = try Quote(parsing: bytes)
            #expect(parsed == quote && parsed.encoded == bytes)
            for (offset, value) in [(48, UInt8(9)), (50, 1), (53, 1)] {
                var wrong = bytes
                wrong[offset] = value
                #expect(throws: AttestationError.self) { try Quote(parsing: wrong) }
            }
        }
    }

    @Test("a failure says which field at which byte")
    func message() {
        let failure = #expect(throws: AttestationError.self) { try Quote(parsing: [4, 0, 2, 0, 0x81, 0, 0, 0, 0]) }
        #expect(failure?.message == "header.qe_svn at byte 8: 2 bytes needed, 1 left")
    }
}
