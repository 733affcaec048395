import DstackCrypto
public import DstackEncoding

/// What Intel wrote about a platform into its PCK certificate (Intel SGX PCK Certificate and CRL Specification, section
/// 1.3.5).
public struct PCKExtension: Hashable, Sendable {
    /// Identifier of the platform: the same for all quotes of one machine.
    public let ppid: FixedBytes<16>
    /// Security versions of the CPU: the values that TCB levels are compared with.
    public let cpuSvn: FixedBytes<16>
    /// Security version of the PCE.
    public let pceSvn: UInt16
    /// Identity of the PCE.
    public let pceId: FixedBytes<2>
    /// Family, model, stepping, platform type and custom SKU: which TCB info applies.
    public let fmspc: FixedBytes<6>
    /// 0 standard, 1 scalable, 2 scalable with integrity.
    public let sgxType: UInt8
    /// Identifier of a multi-package platform; certificates of the Platform CA only.
    public let platformInstanceId: FixedBytes<16>?
    /// Whether packages can be added; nil where the certificate does not say.
    public let dynamicPlatform: Bool?
    /// Whether platform root keys are kept by Intel; nil where the certificate does not say.
    public let cachedKeys: Bool?
    /// Whether simultaneous multithreading is on; nil where the certificate does not say.
    public let smtEnabled: Bool?

    static let identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1)

    /// Reads the extension's value.
    ///
    /// - Throws: ``DecodingFailure`` for missing, repeated or mistyped entries. Entries with unknown numbers are ignored.
    init(parsing value: [UInt8]) throws(DecodingFailure) {
        var outer = DERReader(value.span.bytes)
        var entries = try outer.constructed(.sequence, "SGX extensions")
        try outer.expectEnd(of: "SGX extensions")
        var ppid: FixedBytes<16>?
        var pceId: FixedBytes<2>?
        var fmspc: FixedBytes<6>?
        var sgxType: UInt8?
        var instance: FixedBytes<16>?
        var tcb: TCB?
        var configuration: Configuration?
        var seen = SeenNumbers()
        while !entries.isAtEnd {
            var entry = try entries.constructed(.sequence, "SGX extension")
            switch try Self.number(&entry, under: Self.identifier, &seen) {
            case 1: ppid = try Self.fixed(&entry, "PPID")
            case 2: tcb = try TCB(&entry)
            case 3: pceId = try Self.fixed(&entry, "PCE-ID")
            case 4: fmspc = try Self.fixed(&entry, "FMSPC")
            case 5: sgxType = try entry.unsigned(UInt8.self, tag: .enumerated, "SGX type")
            case 6: instance = try Self.fixed(&entry, "platform instance ID")
            case 7: configuration = try Configuration(&entry)
            // One that is not known here still has exactly one value.
            default: _ = try entry.any("SGX extension")
            }
            try entry.expectEnd(of: "SGX extension")
        }
        guard let ppid, let pceId, let fmspc, let sgxType, let tcb else {
            throw DecodingFailure(
                .malformed, "SGX extensions", "PPID, TCB, PCE-ID, FMSPC and SGX type must all be present")
        }
        self.ppid = ppid
        self.pceId = pceId
        self.fmspc = fmspc
        self.sgxType = sgxType
        cpuSvn = tcb.cpuSvn
        pceSvn = tcb.pceSvn
        platformInstanceId = instance
        dynamicPlatform = configuration?.dynamicPlatform
        cachedKeys = configuration?.cachedKeys
        smtEnabled = configuration?.smtEnabled
    }

    /// The last arc of an entry's identifier if it stands directly under `parent`; nil for one that stands elsewhere.
    /// An identifier may occur once.
    private static func number(
        _ entry: inout DERReader, under parent: ObjectIdentifier, _ seen: inout SeenNumbers
    ) throws(DecodingFailure) -> UInt8? {
        let start = entry.offset
        let identifier = try entry.objectIdentifier("SGX extension")
        guard let number = identifier.lastArc(under: parent) else { return nil }
        guard seen.insert(number) else {
            throw DecodingFailure(.malformed, "SGX extension", at: start, "\(identifier) appears more than once")
        }
        return number
    }

    /// Numbers under 128 that have been met.
    private struct SeenNumbers {
        private var bits = (low: UInt64(0), high: UInt64(0))

        /// False if it is there already.
        mutating func insert(_ number: UInt8) -> Bool {
            let bit = UInt64(1) << UInt64(number & 63)
            let isNew = (number < 64 ? bits.low : bits.high) & bit == 0
            if number < 64 { bits.low |= bit } else { bits.high |= bit }
            return isNew
        }
    }

    private static func fixed<let count: Int>(
        _ entry: inout DERReader, _ subject: StaticString
    ) throws(DecodingFailure) -> FixedBytes<count> {
        let content = try entry.content(.octetString, subject)
        guard let value = FixedBytes<count>(copying: content.span) else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: content.offset, "\(count) bytes expected, found \(content.span.byteCount)"
            )
        }
        return value
    }

    private struct TCB {
        let cpuSvn: FixedBytes<16>
        let pceSvn: UInt16

        private static let identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1, 2)

        init(_ entry: inout DERReader) throws(DecodingFailure) {
            var list = try entry.constructed(.sequence, "TCB")
            var cpuSvn: FixedBytes<16>?
            var pceSvn: UInt16?
            var seen = SeenNumbers()
            while !list.isAtEnd {
                var item = try list.constructed(.sequence, "TCB entry")
                switch try PCKExtension.number(&item, under: Self.identifier, &seen) {
                // The components one by one repeat CPUSVN in Intel's decomposition; CPUSVN is what levels are compared with.
                case .some(1...16): _ = try item.unsigned(UInt8.self, "SGX TCB component SVN")
                // An unsigned number of up to 16 bits in a proper INTEGER: three octets from 0x8000, and FF alone is −1.
                case 17: pceSvn = try item.unsigned(UInt16.self, "PCESVN")
                case 18: cpuSvn = try PCKExtension.fixed(&item, "CPUSVN")
                default: _ = try item.any("TCB entry")
                }
                try item.expectEnd(of: "TCB entry")
            }
            guard let cpuSvn, let pceSvn else {
                throw DecodingFailure(.malformed, "TCB", "CPUSVN and PCESVN must be present")
            }
            self.cpuSvn = cpuSvn
            self.pceSvn = pceSvn
        }
    }

    private struct Configuration {
        var dynamicPlatform: Bool?
        var cachedKeys: Bool?
        var smtEnabled: Bool?

        private static let identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1, 7)

        init(_ entry: inout DERReader) throws(DecodingFailure) {
            var list = try entry.constructed(.sequence, "platform configuration")
            var seen = SeenNumbers()
            while !list.isAtEnd {
                var item = try list.constructed(.sequence, "platform configuration entry")
                switch try PCKExtension.number(&item, under: Self.identifier, &seen) {
                case 1: dynamicPlatform = try item.boolean("dynamic platform")
                case 2: cachedKeys = try item.boolean("cached keys")
                case 3: smtEnabled = try item.boolean("SMT enabled")
                default: _ = try item.any("platform configuration entry")
                }
                try item.expectEnd(of: "platform configuration entry")
            }
        }
    }
}
