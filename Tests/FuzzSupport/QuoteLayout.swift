/// Where the fields of a quote stand (Intel SGX DCAP Quote Library API, appendix A; Intel TDX DCAP Quoting Library API,
/// appendix A), read from genuine quotes. It has nothing to do with the library's own parser.
struct QuoteLayout {
    /// Name and range of every field, in order.
    private(set) var fields: [(name: String, range: Range<Int>)] = []
    private(set) var signedRange = 0..<0
    private(set) var qeReportRange = 0..<0

    private static let enclave: [(String, Int)] = [
        ("cpu_svn", 16), ("misc_select", 4), ("reserved1", 28), ("attributes", 16), ("mr_enclave", 32),
        ("reserved2", 32), ("mr_signer", 32), ("reserved3", 96), ("isv_prod_id", 2), ("isv_svn", 2), ("reserved4", 60),
        ("report_data", 64),
    ]
    private static let td10: [(String, Int)] = [
        ("tee_tcb_svn", 16), ("mr_seam", 48), ("mr_signer_seam", 48), ("seam_attributes", 8), ("td_attributes", 8),
        ("xfam", 8), ("mr_td", 48), ("mr_config_id", 48), ("mr_owner", 48), ("mr_owner_config", 48), ("rt_mr0", 48),
        ("rt_mr1", 48), ("rt_mr2", 48), ("rt_mr3", 48), ("report_data", 64),
    ]
    private static let td15: [(String, Int)] = td10 + [("tee_tcb_svn2", 16), ("mr_service_td", 48)]
    private static let td15Extended: [(String, Int)] =
        td15 + [
            ("vmid", 1), ("td_id", 32), ("dev_info", 48), ("init_service_td_hash", 48),
            ("init_service_td_attributes", 8), ("init_cpu_svn", 16), ("init_tee_tcb_svn", 16), ("init_tee_fmspc", 12),
            ("cur_service_td_hash", 48), ("cur_service_td_attributes", 8),
        ]

    /// The layout of a genuine quote; nil for anything too short or unknown.
    init?(_ bytes: [UInt8]) {
        guard bytes.count > 1_020 else { return nil }
        var position = 0
        func number(at offset: Int, _ count: Int) -> Int {
            (0..<count).reversed().reduce(0) { $0 << 8 | (offset + $1 < bytes.count ? Int(bytes[offset + $1]) : 0) }
        }
        var fields: [(name: String, range: Range<Int>)] = []
        func add(_ name: String, _ count: Int) {
            fields.append((name, position..<position + count))
            position += count
        }
        for (name, count) in [
            ("version", 2), ("attestation_key_type", 2), ("tee_type", 4), ("qe_svn", 2), ("pce_svn", 2),
            ("qe_vendor_id", 16), ("user_data", 20),
        ] { add(name, count) }
        let version = number(at: 0, 2)
        var bodyType = number(at: 4, 4) == 0 ? 1 : 2
        if version == 5 {
            bodyType = number(at: position, 2)
            add("body type", 2)
            add("body size", 4)
        }
        guard let body = [1: Self.enclave, 2: Self.td10, 3: Self.td15, 4: Self.td15Extended][bodyType] else {
            return nil
        }
        for (name, count) in body { add(name, count) }
        signedRange = 0..<position
        add("signature data size", 4)
        add("isv_signature.r", 32)
        add("isv_signature.s", 32)
        add("attestation_key", 64)
        if version != 3 {
            add("outer type", 2)
            add("outer size", 4)
        }
        qeReportRange = position..<position + 384
        for (name, count) in Self.enclave { add("qe_report." + name, count) }
        add("qe_report_signature.r", 32)
        add("qe_report_signature.s", 32)
        let authCount = number(at: position, 2)
        add("qe_auth_data size", 2)
        add("qe_auth_data", authCount)
        add("certification data type", 2)
        let certificationCount = number(at: position, 4)
        add("certification data size", 4)
        add("certification data", certificationCount)
        guard position <= bytes.count else { return nil }
        if position < bytes.count { add("trailing", bytes.count - position) }
        self.fields = fields
    }

    func range(of name: String) -> Range<Int>? { fields.first { $0.name == name }?.range }

    /// Sizes that contain a field, for changes that move what follows it.
    static func sizes(around field: String) -> [String] {
        field == "qe_auth_data"
            ? ["qe_auth_data size", "outer size", "signature data size"]
            : ["certification data size", "outer size", "signature data size"]
    }
}

/// The bytes of a quote with their layout, for changes by field.
struct QuoteBytes {
    private(set) var bytes: [UInt8]
    private(set) var layout: QuoteLayout

    init?(_ bytes: [UInt8]) {
        guard let layout = QuoteLayout(bytes) else { return nil }
        self.bytes = bytes
        self.layout = layout
    }

    subscript(name: String) -> [UInt8]? {
        layout.range(of: name).map { Array(bytes[$0]) }
    }

    var signed: [UInt8] { Array(bytes[layout.signedRange]) }
    var qeReport: [UInt8] { Array(bytes[layout.qeReportRange]) }

    /// Overwrites a field with as many bytes as it has.
    mutating func set(_ name: String, _ value: some Collection<UInt8>) {
        guard let range = layout.range(of: name), range.count == value.count else { return }
        bytes.replaceSubrange(range, with: value)
    }

    mutating func setNumber(_ name: String, _ value: UInt64) {
        guard let range = layout.range(of: name) else { return }
        for (index, position) in range.enumerated() {
            bytes[position] = index < 8 ? UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) : 0
        }
    }

    func number(_ name: String) -> UInt64 {
        (self[name] ?? []).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func edit(_ name: String, _ change: (inout [UInt8]) -> Void) {
        guard var value = self[name] else { return }
        change(&value)
        set(name, value)
    }

    /// Replaces a field by one of another length, with all sizes around it.
    mutating func replace(_ name: String, with value: [UInt8], keepingSizes: Bool = false) {
        guard let range = layout.range(of: name) else { return }
        let difference = value.count - range.count
        bytes.replaceSubrange(range, with: value)
        if !keepingSizes, difference != 0 {
            for size in QuoteLayout.sizes(around: name) {
                guard layout.range(of: size) != nil else { continue }
                setNumber(size, number(size) &+ UInt64(bitPattern: Int64(difference)))
            }
        }
        if let moved = QuoteLayout(bytes) { layout = moved }
    }

    mutating func mutate(_ name: String, _ random: inout FuzzRandom) -> String {
        guard let range = layout.range(of: name), !range.isEmpty else { return "nothing done to \(name)" }
        let position = range.lowerBound + random.below(range.count)
        switch random.below(8) {
        case 0...3:
            let bit = random.below(8)
            bytes[position] ^= 1 << UInt8(bit)
            return "\(name): bit \(bit) of byte \(position - range.lowerBound) flipped"
        case 4:
            set(name, [UInt8](repeating: 0, count: range.count))
            return "\(name): zeros"
        case 5:
            set(name, [UInt8](repeating: 0xFF, count: range.count))
            return "\(name): ones"
        case 6 where range.count <= 8:
            let value = ByteMutation.changed(number(name), &random)
            setNumber(name, value)
            return "\(name): \(value)"
        default:
            set(name, random.bytes(range.count))
            return "\(name): random"
        }
    }
}
