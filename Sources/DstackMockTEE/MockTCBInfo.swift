public import DstackAttestation
import DstackEncoding

/// A statement about a platform family, as Intel signs it for real ones ("Get TCB Info" of the PCS API, version 3 of the
/// document): which security versions count as what.
public struct MockTCBInfo: Hashable, Sendable {
    /// What a platform must have at least, and what it then counts as.
    public struct Level: Hashable, Sendable {
        /// Security versions of the 16 SGX components.
        public var sgxComponents: [UInt8]
        /// Security versions of the 16 TDX components; nil leaves the list out.
        public var tdxComponents: [UInt8]?
        /// Security version of the PCE.
        public var pceSvn: UInt16
        /// Unix seconds.
        public var date: Int64
        /// What the platform counts as.
        public var status: TCBStatus
        /// Advisories that apply; an empty list is left out of the document.
        public var advisoryIDs: [String]
    }

    /// What a TDX module or a quoting enclave must have at least, and what it then counts as.
    public struct SVNLevel: Hashable, Sendable {
        /// Security version.
        public var isvSvn: UInt16
        /// Unix seconds.
        public var date: Int64
        /// What the component counts as.
        public var status: TCBStatus
        /// Advisories that apply; an empty list is left out of the document.
        public var advisoryIDs: [String]

        /// A level with its facts.
        public init(isvSvn: UInt16, date: Int64, status: TCBStatus, advisoryIDs: [String] = []) {
            self.isvSvn = isvSvn
            self.date = date
            self.status = status
            self.advisoryIDs = advisoryIDs
        }
    }

    /// Signer and attributes of the TDX module.
    public struct Module: Hashable, Sendable {
        /// Signer; zeros for Intel's and here.
        public var mrSigner: FixedBytes<48> = FixedBytes()
        /// Attributes that are expected.
        public var attributes: FixedBytes<8> = FixedBytes()
        /// Which bits of the attributes are compared.
        public var attributesMask: FixedBytes<8> = FixedBytes(repeating: 0xFF)

        /// Zeros, all of them compared.
        public init() {}
    }

    /// A major version of the TDX module.
    public struct ModuleIdentity: Hashable, Sendable {
        /// `TDX_` and two hexadecimal digits.
        public var id: String
        /// Signer and attributes.
        public var module = Module()
        /// Levels in the order of the document.
        public var levels: [SVNLevel]
    }

    /// `SGX` or `TDX`.
    public var id: String
    /// Version of the document.
    public var version = 3
    /// Unix seconds.
    public var issueDate: Int64
    /// Unix seconds.
    public var nextUpdate: Int64
    /// Platform family.
    public var fmspc: FixedBytes<6>
    /// Identity of the PCE.
    public var pceId: FixedBytes<2>
    /// How component versions are to be compared; 0 is the only way there is.
    public var tcbType = 0
    /// Rises with every recovery from a weakness.
    public var evaluationDataNumber: UInt32 = 17
    /// The TDX module as such; nil leaves it out.
    public var module: Module?
    /// The TDX module by major version; nil leaves the list out.
    public var moduleIdentities: [ModuleIdentity]?
    /// Levels in the order of the document.
    public var levels: [Level]

    /// Names and kinds of components as Intel's documents give them; a verifier does not need them.
    private static let sgxKinds = [
        0: ("BIOS", "Early Microcode Update"), 1: ("OS/VMM", "SGX Late Microcode Update"), 2: ("OS/VMM", "TXT SINIT"),
        3: ("BIOS", ""), 4: ("BIOS", ""), 5: ("BIOS", ""), 7: ("OS/VMM", "SEAMLDR ACM"),
    ]
    private static let tdxKinds = [
        0: ("OS/VMM", "TDX Module"), 1: ("OS/VMM", "TDX Module"), 2: ("OS/VMM", "TDX Late Microcode Update"),
    ]

    /// A statement under which the platform is `UpToDate`; lower versions are `OutOfDate`.
    init(_ platform: MockPlatform.Configuration, tee: TEEType, at now: Int64) {
        id = tee.name
        issueDate = now - MockCollateral.day
        nextUpdate = now + 30 * MockCollateral.day
        fmspc = platform.fmspc
        pceId = platform.pceId
        let published = now - 90 * MockCollateral.day
        // The module's own versions (components 0 and 1) are judged by its identity.
        let tdx = [0, 0] + platform.teeTcbSvn.bytes.dropFirst(2)
        levels = [
            Level(
                sgxComponents: platform.cpuSvn.bytes, tdxComponents: tee == .tdx ? tdx : nil,
                pceSvn: platform.pceSvn, date: published, status: .upToDate, advisoryIDs: []),
            Level(
                sgxComponents: [UInt8](repeating: 0, count: 16),
                tdxComponents: tee == .tdx ? [UInt8](repeating: 0, count: 16) : nil, pceSvn: 0,
                date: published - 365 * MockCollateral.day, status: .outOfDate,
                advisoryIDs: ["SIMULATED-SA-00001"]),
        ]
        if tee == .tdx {
            module = Module()
            moduleIdentities = [
                ModuleIdentity(
                    id: "TDX_" + Hex.encodeUppercase([platform.teeTcbSvn[1]]),
                    levels: [
                        SVNLevel(isvSvn: UInt16(platform.teeTcbSvn[0]), date: published, status: .upToDate),
                        SVNLevel(
                            isvSvn: 0, date: published - 365 * MockCollateral.day, status: .outOfDate,
                            advisoryIDs: ["SIMULATED-SA-00002"]),
                    ])
            ]
        }
    }

    package var json: MockJSON {
        var members: [(name: String, value: MockJSON)] = [
            ("id", .string(id)), ("version", .number(version)),
            ("issueDate", .string(RFC3339.format(issueDate))), ("nextUpdate", .string(RFC3339.format(nextUpdate))),
            ("fmspc", .string(Hex.encodeUppercase(fmspc.bytes))), ("pceId", .string(Hex.encodeUppercase(pceId.bytes))),
            ("tcbType", .number(tcbType)), ("tcbEvaluationDataNumber", .number(evaluationDataNumber)),
        ]
        if let module { members.append(("tdxModule", .object(module.members))) }
        if let moduleIdentities {
            let identities = moduleIdentities.map { identity in
                MockJSON.object(
                    [("id", .string(identity.id))] + identity.module.members + [
                        ("tcbLevels", .array(identity.levels.map(\.json)))
                    ])
            }
            members.append(("tdxModuleIdentities", .array(identities)))
        }
        members.append(("tcbLevels", .array(levels.map(\.json))))
        return .object(members)
    }

    fileprivate static func components(_ values: [UInt8], _ kinds: [Int: (String, String)]) -> MockJSON {
        .array(
            values.enumerated().map { index, value in
                var members: [(name: String, value: MockJSON)] = [("svn", .number(value))]
                if let (category, type) = kinds[index] {
                    members += [("category", .string(category)), ("type", .string(type))]
                }
                return .object(members)
            })
    }

    fileprivate static func judgement(_ date: Int64, _ status: TCBStatus, _ advisoryIDs: [String]) -> [(
        name: String, value: MockJSON
    )] {
        [("tcbDate", .string(RFC3339.format(date))), ("tcbStatus", .string(status.rawValue))]
            + (advisoryIDs.isEmpty ? [] : [("advisoryIDs", .array(advisoryIDs.map { .string($0) }))])
    }
}

extension MockTCBInfo.Level {
    fileprivate var json: MockJSON {
        var tcb: [(name: String, value: MockJSON)] = [
            ("sgxtcbcomponents", MockTCBInfo.components(sgxComponents, MockTCBInfo.sgxKinds)),
            ("pcesvn", .number(pceSvn)),
        ]
        if let tdxComponents {
            tcb.append(("tdxtcbcomponents", MockTCBInfo.components(tdxComponents, MockTCBInfo.tdxKinds)))
        }
        return .object([("tcb", .object(tcb))] + MockTCBInfo.judgement(date, status, advisoryIDs))
    }
}

extension MockTCBInfo.SVNLevel {
    var json: MockJSON {
        .object(
            [("tcb", .object([("isvsvn", .number(isvSvn))]))] + MockTCBInfo.judgement(date, status, advisoryIDs))
    }
}

extension MockTCBInfo.Module {
    fileprivate var members: [(name: String, value: MockJSON)] {
        [
            ("mrsigner", .string(Hex.encodeUppercase(mrSigner.bytes))),
            ("attributes", .string(Hex.encodeUppercase(attributes.bytes))),
            ("attributesMask", .string(Hex.encodeUppercase(attributesMask.bytes))),
        ]
    }
}
