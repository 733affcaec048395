import DstackEncoding

/// Intel's statement about a quoting enclave (Intel SGX PCS API, "Get Quoting Enclave Identity", version 2).
struct QEIdentity: Sendable {
    let text: [UInt8]
    /// `QE` for SGX, `TD_QE` for TDX.
    let id: String
    let version: UInt8
    /// Unix seconds, inclusive.
    let issueDate: Int64
    /// Unix seconds, inclusive.
    let nextUpdate: Int64
    let evaluationDataNumber: UInt32
    /// The bytes in the order of the report, which is little endian.
    let miscSelect: FixedBytes<4>
    let miscSelectMask: FixedBytes<4>
    let attributes: FixedBytes<16>
    let attributesMask: FixedBytes<16>
    let mrSigner: FixedBytes<32>
    let isvProdId: UInt16
    /// Highest security version first, whatever order the document has.
    let levels: [SVNLevel]

    /// - Throws: ``DecodingFailure`` unless the text is strict JSON with all members of their types.
    init(parsing text: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: text, subject: "qe_identity", maximumDepth: 16).root
        self.text = text
        id = try root.member("id").string()
        version = try root.member("version").integer()
        issueDate = try root.member("issueDate").timestamp(.up)
        nextUpdate = try root.member("nextUpdate").timestamp(.down)
        evaluationDataNumber = try root.member("tcbEvaluationDataNumber").integer()
        miscSelect = try root.member("miscselect").fixedHex(prefix: .none)
        miscSelectMask = try root.member("miscselectMask").fixedHex(prefix: .none)
        attributes = try root.member("attributes").fixedHex(prefix: .none)
        attributesMask = try root.member("attributesMask").fixedHex(prefix: .none)
        mrSigner = try root.member("mrsigner").fixedHex(prefix: .none)
        isvProdId = try root.member("isvprodid").integer()
        levels = try SVNLevel.list(root.member("tcbLevels"))
    }
}
