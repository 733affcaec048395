/// What somebody presents to be believed: a quote, and what explains it.
///
/// Everything here is untrusted bytes. The event log says how the quoted registers came about, the compose file what the
/// application is, the VM configuration what the machine is; each counts only as far as it is found in the quote.
public struct Evidence: Sendable {
    enum Form: Sendable {
        case quote([UInt8], eventLog: [UInt8]?, configuration: String)
        case envelope([UInt8])
    }

    let form: Form
    /// The operator's own copy of app-compose.json, to be compared with the measured one.
    public var appCompose: [UInt8]?

    /// A quote with what may come beside it.
    ///
    /// - Parameters:
    ///   - quote: the quote, binary.
    ///   - eventLog: dstack's JSON event log, or a TCG log in binary (CCEL).
    ///   - configuration: `vm_config` as JSON, or a system configuration that contains it.
    ///   - appCompose: the compose file that the application is expected to have been measured from.
    public init(
        quote: [UInt8], eventLog: [UInt8]? = nil, configuration: String = "", appCompose: [UInt8]? = nil
    ) {
        form = .quote(quote, eventLog: eventLog, configuration: configuration)
        self.appCompose = appCompose
    }

    /// An attestation envelope of version 0 or 1.
    public init(attestation: [UInt8], appCompose: [UInt8]? = nil) {
        form = .envelope(attestation)
        self.appCompose = appCompose
    }

    /// A file's content that is either binary or its hexadecimal text, with white space around and between the lines.
    ///
    /// Binary quotes and envelopes never consist of hexadecimal digits alone, since both begin with a byte below 0x20 or
    /// above 0x7F.
    public static func binary(from content: [UInt8]) -> [UInt8] {
        var digits = content[...]
        if digits.starts(with: Array("0x".utf8)) { digits = digits.dropFirst(2) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        var high: UInt8?
        for byte in digits {
            let value: UInt8
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): continue
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = byte - UInt8(ascii: "A") + 10
            default: return content
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil && !bytes.isEmpty ? bytes : content
    }
}
