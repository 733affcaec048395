package import DstackEncoding

/// One component of a platform that is older than an acceptable level of Intel's documents asks for.
public struct TCBShortfall: Hashable, Sendable {
    /// Which component.
    public enum Component: Hashable, Sendable {
        /// One of the 16 SGX components of CPUSVN, by number, 1 to 16.
        case sgx(Int)
        /// One of the 16 TDX components of the TEE TCB SVN, by number, 1 to 16.
        case tdx(Int)
        /// The provisioning certification enclave.
        case pce
        /// The TDX module, by the identity of its major version.
        case tdxModule
        /// The quoting enclave.
        case quotingEnclave
    }

    /// What brings a component up to date.
    public enum Remedy: String, Hashable, Sendable, CaseIterable {
        /// The TDX module.
        case tdxModule = "tdx_module"
        /// Processor microcode that only the BIOS can load.
        case biosMicrocode = "bios_microcode"
        /// Processor microcode that the operating system can load, too.
        case microcode
        /// Other parts of the BIOS.
        case bios
        /// An authenticated code module that the BIOS or the operating system loads: SINIT, SEAMLDR.
        case authenticatedCodeModule = "authenticated_code_module"
        /// The provisioning certification enclave.
        case pce
        /// The quoting enclave.
        case quotingEnclave = "quoting_enclave"
        /// The document does not name the component.
        case microcodeOrBIOS = "microcode_or_bios"
        /// The host has been updated already; the trust domain still has the versions of its launch.
        case relaunch

        /// For a person.
        public var advice: String {
            switch self {
            case .tdxModule: "a newer TDX module, which the host's BIOS or boot loader brings"
            case .biosMicrocode: "newer microcode, which comes with a BIOS update and counts after a restart"
            case .microcode: "newer microcode, from a BIOS update or the host's operating system"
            case .bios: "a BIOS update"
            case .authenticatedCodeModule:
                "a newer SINIT or SEAMLDR module, from a BIOS update or the host's operating system"
            case .pce: "a newer provisioning certification enclave on the host (package libsgx-ae-pce)"
            case .quotingEnclave: "a newer quoting enclave on the host (package libsgx-ae-tdqe or libsgx-ae-qe3)"
            case .microcodeOrBIOS: "newer microcode or a BIOS update"
            case .relaunch: "launching the trust domain again: the host has been updated since"
            }
        }
    }

    /// Which component.
    public let component: Component
    /// Who delivers it, in the document's words, such as `BIOS`; empty where it does not say.
    public let category: String
    /// What it is, in the document's words, such as `Early Microcode Update`; empty where it does not say.
    public let type: String
    /// The security version that the platform has.
    public let found: UInt16
    /// The least one of the level.
    public let needed: UInt16
    /// What raises it.
    public let remedy: Remedy

    /// The component for a person, such as `SGX component 1 (Early Microcode Update)`.
    public var title: String {
        let name = type.isEmpty ? category : type
        let suffix = name.isEmpty ? "" : " (\(name))"
        return switch component {
        case .sgx(let number): "SGX component \(number)\(suffix)"
        case .tdx(let number): "TDX component \(number)\(suffix)"
        case .pce: "PCE"
        case .tdxModule: "TDX module"
        case .quotingEnclave: "quoting enclave"
        }
    }

    /// All of it in one line, such as `TDX module: security version 3 found, 5 needed; raised by …`.
    public var line: String {
        "\(title): security version \(found) found, \(needed) needed; raised by \(remedy.advice)"
    }

    init(
        _ component: Component, found: UInt16, needed: UInt16, category: String = "", type: String = "",
        isRelaunch: Bool
    ) {
        self.component = component
        self.found = found
        self.needed = needed
        self.category = category
        self.type = type
        remedy = isRelaunch ? .relaunch : Self.remedy(component, category: category, type: type)
    }

    private static func remedy(_ component: Component, category: String, type: String) -> Remedy {
        switch component {
        case .pce: return .pce
        case .tdxModule: return .tdxModule
        case .quotingEnclave: return .quotingEnclave
        // Intel TDX module specification: bytes 0 and 1 of the TEE TCB SVN are the module's versions.
        case .tdx(let number) where number <= 2: return .tdxModule
        case .sgx, .tdx: break
        }
        let (kind, source) = (type.lowercased(), category.lowercased())
        if kind.contains("tdx module") { return .tdxModule }
        if kind.contains("microcode") {
            return kind.contains("early") || source == "bios" ? .biosMicrocode : .microcode
        }
        if kind.contains("sinit") || kind.contains("seamldr") { return .authenticatedCodeModule }
        return source == "bios" ? .bios : .microcodeOrBIOS
    }

    package func write(to object: inout JSONWriter.Object) {
        switch component {
        case .sgx(let number):
            object.member("component", "sgx")
            object.member("number", number)
        case .tdx(let number):
            object.member("component", "tdx")
            object.member("number", number)
        case .pce: object.member("component", "pce")
        case .tdxModule: object.member("component", "tdx_module")
        case .quotingEnclave: object.member("component", "quoting_enclave")
        }
        if !category.isEmpty { object.member("category", category) }
        if !type.isEmpty { object.member("type", type) }
        object.member("found", found)
        object.member("needed", needed)
        object.member("remedy", remedy.rawValue)
        object.member("advice", remedy.advice)
    }
}

extension VerificationReport {
    /// What of the platform is older than Intel's documents ask of one that the policy accepts, and what would raise it; empty
    /// if nothing is. Also where an outdated platform is accepted, and where the platform reaches no level at all.
    ///
    /// Compared is with the level that the fewest components fall short of, among those of the statuses that the policy
    /// allows and that are not outdated (of any status that is not outdated, if it allows none of these).
    public var tcbShortfalls: [TCBShortfall] {
        // Of all three together, so that nothing can fall short. Most reports are, and need no more work.
        if facts.tcb?.status == .upToDate { return [] }
        guard isTCBKnown, let quote, let pck = platform, let tcbInfo = facts.collateral.tcbInfo else { return [] }
        let isRelaunch = status == .tdRelaunchAdvised || status == .tdRelaunchAdvisedConfigurationNeeded
        var result: [TCBShortfall] = []
        let report = quote.body.tdReport
        if facts.tcb?.platformLevel.map({ isSought($0.status) }) != true {
            let wanted = sought(tcbInfo.levels, \.status)
            let options = wanted.map { level in
                shortfalls(level, pck, report?.teeTcbSvn, tcbInfo, isRelaunch: isRelaunch)
            }
            result += options.min { $0.count < $1.count } ?? []
        }
        if let svn = report?.teeTcbSvn, svn[1] > 0 {
            let id = "TDX_" + Hex.encodeUppercase([svn[1]])
            let identity = tcbInfo.moduleIdentities.first { $0.id.uppercased() == id }
            result += shortfall(
                .tdxModule, found: UInt16(svn[0]), identity?.levels ?? [], isRelaunch: isRelaunch)
        }
        if let identity = facts.collateral.qeIdentity {
            result += shortfall(
                .quotingEnclave, found: quote.signature.qeReport.isvSvn, identity.levels, isRelaunch: false)
        }
        return result
    }

    /// Whether everything that is compared is genuine: all checks before the levels passed, but for the quoting enclave's own.
    private var isTCBKnown: Bool {
        for check in checks where check.id.rawValue < CheckID.tcbLevel.rawValue {
            switch check.outcome {
            case .passed, .notApplicable: continue
            case .failed(.noMatchingLevel) where check.id == .qeTCBLevel: continue
            case .failed, .notReached: return false
            }
        }
        return true
    }

    private func isSought(_ status: TCBStatus) -> Bool {
        policy.allowedStatuses.contains(status) && !status.isOutOfDate && status != .revoked
    }

    private func sought<Level>(_ levels: [Level], _ status: (Level) -> TCBStatus) -> [Level] {
        let wanted = levels.filter { isSought(status($0)) }
        return wanted.isEmpty ? levels.filter { !status($0).isOutOfDate && status($0) != .revoked } : wanted
    }

    /// For a component that has levels of its own.
    private func shortfall(
        _ component: TCBShortfall.Component, found: UInt16, _ levels: [SVNLevel], isRelaunch: Bool
    ) -> [TCBShortfall] {
        let reached = levels.first { $0.isvSvn <= found }
        guard reached.map({ isSought($0.status) }) != true,
            let needed = sought(levels, \.status).map(\.isvSvn).min(), needed > found
        else { return [] }
        return [TCBShortfall(component, found: found, needed: needed, isRelaunch: isRelaunch)]
    }

    private func shortfalls(
        _ level: TCBLevel, _ pck: PCKExtension, _ teeTcbSvn: FixedBytes<16>?, _ tcbInfo: TCBInfo, isRelaunch: Bool
    ) -> [TCBShortfall] {
        var result: [TCBShortfall] = []
        for index in 0..<16 where pck.cpuSvn[index] < level.sgxComponents[index] {
            let name = tcbInfo.componentName(of: level, in: "sgxtcbcomponents", index)
            // CPUSVN and PCE are the host's as the PCK certificate has them; launching anew changes nothing.
            result.append(
                TCBShortfall(
                    .sgx(index + 1), found: UInt16(pck.cpuSvn[index]), needed: UInt16(level.sgxComponents[index]),
                    category: name.category, type: name.type, isRelaunch: false))
        }
        if let teeTcbSvn, let components = level.tdxComponents {
            for index in TCBEvaluation.judgedTDXComponents(teeTcbSvn) where teeTcbSvn[index] < components[index] {
                let name = tcbInfo.componentName(of: level, in: "tdxtcbcomponents", index)
                result.append(
                    TCBShortfall(
                        .tdx(index + 1), found: UInt16(teeTcbSvn[index]), needed: UInt16(components[index]),
                        category: name.category, type: name.type, isRelaunch: isRelaunch))
            }
        }
        if pck.pceSvn < level.pceSvn {
            result.append(TCBShortfall(.pce, found: pck.pceSvn, needed: level.pceSvn, isRelaunch: false))
        }
        return result
    }
}

extension TCBInfo {
    /// What the document calls a component of a level; empty texts where it does not, as in versions before 3. Read again from
    /// the document, since only reports on outdated platforms ask.
    fileprivate func componentName(
        of level: TCBLevel, in list: StaticString, _ index: Int
    ) -> (category: String, type: String) {
        guard let root = try? JSONDocument(parsing: Array(text[level.source]), subject: "level").root,
            let components = root["tcb"]?[list]?.elements
        else { return ("", "") }
        let component = Array(components).dropFirst(index).first
        func word(_ name: StaticString) -> String {
            (try? component?[name]?.string()).map { String($0.prefix(64)) } ?? ""
        }
        return (word("category"), word("type"))
    }
}
