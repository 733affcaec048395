public import DstackEncoding

/// One level of a TCB document: what a platform, module or enclave must have at least, and what it then counts as.
public struct TCBLevel: Hashable, Sendable {
    /// Security versions of the 16 SGX components.
    public let sgxComponents: FixedBytes<16>
    /// Security versions of the 16 TDX components; nil in SGX documents.
    public let tdxComponents: FixedBytes<16>?
    /// Security version of the PCE.
    public let pceSvn: UInt16
    /// Unix seconds: everything published by then is in place at this level.
    public let date: Int64
    /// What a platform at this level counts as.
    public let status: TCBStatus
    /// Intel's advisories that apply at this level.
    public let advisoryIDs: [String]
    /// The level as it stands in the document, for claims.
    let source: Range<Int>
}

/// One level of the TDX module or of a quoting enclave.
public struct SVNLevel: Hashable, Sendable {
    /// The least security version of this level.
    public let isvSvn: UInt16
    /// Unix seconds.
    public let date: Int64
    /// What the component counts as at this level.
    public let status: TCBStatus
    /// Intel's advisories that apply at this level.
    public let advisoryIDs: [String]
    let source: Range<Int>
}

/// Intel's statement about a platform family (Intel SGX PCS API, "Get TCB Info", version 3 of the document).
///
/// Read only after its signature over ``text`` was found good, or together with it.
struct TCBInfo: Sendable {
    /// The TDX module as such, used where the module has no identity of its own.
    struct Module: Hashable, Sendable {
        let mrSigner: FixedBytes<48>
        let attributes: FixedBytes<8>
        let attributesMask: FixedBytes<8>
    }

    /// A major version of the TDX module.
    struct ModuleIdentity: Hashable, Sendable {
        /// `TDX_` and two hexadecimal digits.
        let id: String
        let module: Module
        /// Highest security version first.
        let levels: [SVNLevel]
    }

    let text: [UInt8]
    let id: String
    let version: UInt8
    /// Unix seconds, inclusive.
    let issueDate: Int64
    /// Unix seconds, inclusive.
    let nextUpdate: Int64
    let fmspc: FixedBytes<6>
    let pceId: FixedBytes<2>
    let tcbType: Int64
    let evaluationDataNumber: UInt32
    let module: Module?
    let moduleIdentities: [ModuleIdentity]
    /// Highest level first: SGX components, PCE, TDX components, each in descending lexicographic order, so that the first
    /// match is the best whatever order the document has.
    let levels: [TCBLevel]

    /// - Throws: ``DecodingFailure`` unless the text is strict JSON with all members of their types.
    init(parsing text: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: text, subject: "tcb_info", maximumDepth: 16).root
        self.text = text
        id = try root.member("id").string()
        version = try root.member("version").integer()
        issueDate = try root.member("issueDate").timestamp(.up)
        nextUpdate = try root.member("nextUpdate").timestamp(.down)
        fmspc = try root.member("fmspc").fixedHex(prefix: .none)
        pceId = try root.member("pceId").fixedHex(prefix: .none)
        tcbType = try root.member("tcbType").integer()
        evaluationDataNumber = try root.member("tcbEvaluationDataNumber").integer()
        module = try root.optionalMember("tdxModule").map(Module.init)
        var identities: [ModuleIdentity] = []
        if let list = try root.optionalMember("tdxModuleIdentities") {
            for node in try list.array() { identities.append(try ModuleIdentity(node)) }
        }
        moduleIdentities = identities
        let isTDX = id == "TDX"
        var levels: [TCBLevel] = []
        for node in try root.member("tcbLevels").array() { levels.append(try TCBLevel(node, isTDX: isTDX)) }
        self.levels = levels.sorted { $0.isHigher(than: $1) }
    }
}

extension TCBInfo.Module {
    init(_ node: JSONNode) throws(DecodingFailure) {
        mrSigner = try node.member("mrsigner").fixedHex(prefix: .none)
        attributes = try node.member("attributes").fixedHex(prefix: .none)
        attributesMask = try node.member("attributesMask").fixedHex(prefix: .none)
    }
}

extension TCBInfo.ModuleIdentity {
    init(_ node: JSONNode) throws(DecodingFailure) {
        id = try node.member("id").string()
        module = try TCBInfo.Module(node)
        levels = try SVNLevel.list(node.member("tcbLevels"))
    }
}

extension TCBLevel {
    init(_ node: JSONNode, isTDX: Bool) throws(DecodingFailure) {
        let tcb = try node.member("tcb")
        sgxComponents = try Self.components(tcb.member("sgxtcbcomponents"))
        tdxComponents = isTDX ? try Self.components(tcb.member("tdxtcbcomponents")) : nil
        pceSvn = try tcb.member("pcesvn").integer()
        date = try node.member("tcbDate").timestamp(.down)
        status = try node.member("tcbStatus").tcbStatus()
        advisoryIDs = try node.advisoryIDs()
        source = node.range
    }

    private static func components(_ node: JSONNode) throws(DecodingFailure) -> FixedBytes<16> {
        // Exactly 16: with fewer, a comparison of pairs would silently skip the rest.
        try node.octets(ofMember: "svn")
    }

    /// Canonical order; total, so that it does not depend on the document's.
    func isHigher(than other: TCBLevel) -> Bool {
        for index in 0..<16 where sgxComponents[index] != other.sgxComponents[index] {
            return sgxComponents[index] > other.sgxComponents[index]
        }
        if pceSvn != other.pceSvn { return pceSvn > other.pceSvn }
        if let mine = tdxComponents, let others = other.tdxComponents {
            for index in 0..<16 where mine[index] != others[index] { return mine[index] > others[index] }
        }
        return false
    }
}

extension SVNLevel {
    /// Reads a list of levels; highest security version first, whatever order the document has.
    static func list(_ node: JSONNode) throws(DecodingFailure) -> [SVNLevel] {
        var levels: [SVNLevel] = []
        for element in try node.array() { levels.append(try SVNLevel(element)) }
        return levels.sorted { $0.isvSvn > $1.isvSvn }
    }

    private init(_ node: JSONNode) throws(DecodingFailure) {
        isvSvn = try node.member("tcb").member("isvsvn").integer()
        date = try node.member("tcbDate").timestamp(.down)
        status = try node.member("tcbStatus").tcbStatus()
        advisoryIDs = try node.advisoryIDs()
        source = node.range
    }
}

extension JSONNode {
    /// An RFC 3339 timestamp, as Unix seconds. Dates before 1970 are refused: no collateral is that old.
    func timestamp(_ rounding: RFC3339.Rounding) throws(DecodingFailure) -> Int64 {
        guard let range = plainStringRange else { throw failure("an RFC 3339 timestamp expected, found \(kindName)") }
        do throws(DecodingFailure) {
            let bytes = document.bytes
            let seconds = try RFC3339.parse(bytes.span.bytes.extracting(range), rounding: rounding)
            guard seconds >= 0 else { throw failure("a date before 1970") }
            return seconds
        } catch {
            throw failure(error.reason)
        }
    }

    /// One of the statuses a document may contain. Anything else is an error: an unknown word must not pass for good.
    func tcbStatus() throws(DecodingFailure) -> TCBStatus {
        guard let status = TCBStatus(rawValue: try string()), TCBStatus.documented.contains(status) else {
            throw failure("unknown TCB status", .unsupported)
        }
        return status
    }

    /// The advisories of a level; absent is none, null is malformed.
    func advisoryIDs() throws(DecodingFailure) -> [String] {
        guard let node = self["advisoryIDs"] else { return [] }
        var result: [String] = []
        for element in try node.array() { result.append(try element.string()) }
        return result
    }
}
