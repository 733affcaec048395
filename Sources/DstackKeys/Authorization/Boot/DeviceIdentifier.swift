import DstackCrypto
package import DstackEncoding

/// What a platform calls one of its machines, from which its ``BootInfo/deviceID`` follows: always the hash of the whole.
package enum DeviceIdentifier: Sendable, Hashable {
    /// A TDX platform's provisioning identifier.
    case ppid([UInt8])
    /// An SNP chip's identifier, 64 bytes.
    case snpChip(FixedBytes<64>)
    /// An EC2 instance: `i-` and hexadecimal digits.
    case instance(String)

    /// The instance in a Nitro enclave's module identifier (`i-0123456789abcdef0-enc…`): all that is before `-enc`. Cut at its
    /// first hyphen it would be `i` for every enclave there is.
    ///
    /// - Returns: nil for a text of another form.
    package init?(nitroModule text: String) {
        guard let end = text.index(ofFirst: "-enc") else { return nil }
        self.init(instance: String(text[..<end]))
    }

    /// - Returns: nil for what is no instance's identifier.
    package init?(instance text: String) {
        let digits = text.utf8.dropFirst(2)
        guard text.hasPrefix("i-"), 8...32 ~= digits.count, digits.allSatisfy({ Hex.value(of: $0) != nil }) else {
            return nil
        }
        self = .instance(text)
    }

    package var deviceID: FixedBytes<32> {
        switch self {
        case .ppid(let bytes): SHA256.hash(bytes)
        case .snpChip(let chip): SHA256.hash(chip.bytes)
        case .instance(let text): SHA256.hash(Array(text.utf8))
        }
    }

    /// What old key management services take all Nitro enclaves for: it names no device, and to list it would be to list all.
    package static let ofAllEnclaves = SHA256.hash([UInt8(ascii: "i")])
}

extension String {
    fileprivate func index(ofFirst text: String) -> Index? { utf8.firstRange(of: text.utf8)?.lowerBound }
}
