public import DstackAttestation
import DstackEncoding

/// A statement about a quoting enclave, as Intel signs it for real ones ("Get Quoting Enclave Identity" of the PCS API,
/// version 2 of the document).
public struct MockQEIdentity: Hashable, Sendable {
    /// `QE` for SGX, `TD_QE` for TDX.
    public var id: String
    /// Version of the document.
    public var version = 2
    /// Unix seconds.
    public var issueDate: Int64
    /// Unix seconds.
    public var nextUpdate: Int64
    /// Rises with every recovery from a weakness.
    public var evaluationDataNumber: UInt32 = 17
    /// Expected bits, bytes in the order of the report.
    public var miscSelect: FixedBytes<4> = FixedBytes()
    /// Which of them are compared.
    public var miscSelectMask: FixedBytes<4> = FixedBytes(repeating: 0xFF)
    /// Expected bits, bytes in the order of the report: initialised, 64-bit, provisioning key.
    public var attributes: FixedBytes<16> = MockQEIdentity.enclaveAttributes
    /// Which of them are compared; as in Intel's documents all but MODE64BIT and XFRM.
    public var attributesMask: FixedBytes<16> =
        FixedBytes(hex: "fbffffffffffffff0000000000000000") ?? FixedBytes(repeating: 0xFF)
    /// Signer of the enclave.
    public var mrSigner: FixedBytes<32>
    /// Product of the signer: 1 for SGX, 2 for TDX.
    public var isvProdId: UInt16
    /// Levels in the order of the document.
    public var levels: [MockTCBInfo.SVNLevel]

    static let enclaveAttributes: FixedBytes<16> =
        FixedBytes(hex: "11000000000000000000000000000000") ?? FixedBytes()

    /// Product number of the quoting enclave for a TEE.
    static func isvProdId(_ tee: TEEType) -> UInt16 { tee == .sgx ? 1 : 2 }

    /// A statement under which the platform's quoting enclave is `UpToDate`; older ones are `OutOfDate`.
    init(_ platform: MockPlatform.Configuration, tee: TEEType, at now: Int64) {
        id = tee == .sgx ? "QE" : "TD_QE"
        issueDate = now - MockCollateral.day
        nextUpdate = now + 30 * MockCollateral.day
        mrSigner = platform.qeMrSigner
        isvProdId = Self.isvProdId(tee)
        let published = now - 90 * MockCollateral.day
        levels = [
            MockTCBInfo.SVNLevel(isvSvn: platform.qeIsvSvn, date: published, status: .upToDate),
            MockTCBInfo.SVNLevel(
                isvSvn: 1, date: published - 365 * MockCollateral.day, status: .outOfDate,
                advisoryIDs: ["SIMULATED-SA-00003"]),
        ]
    }

    package var json: MockJSON {
        .object([
            ("id", .string(id)), ("version", .number(version)),
            ("issueDate", .string(RFC3339.format(issueDate))), ("nextUpdate", .string(RFC3339.format(nextUpdate))),
            ("tcbEvaluationDataNumber", .number(evaluationDataNumber)),
            ("miscselect", .string(Hex.encodeUppercase(miscSelect.bytes))),
            ("miscselectMask", .string(Hex.encodeUppercase(miscSelectMask.bytes))),
            ("attributes", .string(Hex.encodeUppercase(attributes.bytes))),
            ("attributesMask", .string(Hex.encodeUppercase(attributesMask.bytes))),
            ("mrsigner", .string(Hex.encodeUppercase(mrSigner.bytes))), ("isvprodid", .number(isvProdId)),
            ("tcbLevels", .array(levels.map(\.json))),
        ])
    }
}
