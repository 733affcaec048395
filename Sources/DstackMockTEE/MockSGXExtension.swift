package import DstackCrypto
package import DstackEncoding

/// The extension of a PCK certificate that says which platform it is (Intel SGX PCK Certificate and CRL Specification,
/// section 1.3.5), entry by entry, so that a test can leave out, repeat or mistype any of them.
package struct MockSGXExtension: Sendable {
    /// `1.2.840.113741.1.13.1`.
    package static let identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1)

    /// One SEQUENCE { identifier, value }.
    package struct Entry: Sendable {
        package var identifier: ObjectIdentifier
        /// A whole element.
        package var value: [UInt8]

        package init(_ identifier: ObjectIdentifier, _ value: [UInt8]) {
            self.identifier = identifier
            self.value = value
        }

        package var der: [UInt8] { DER.sequence(DER.objectIdentifier(identifier), value) }
    }

    package var identifier = Self.identifier
    package var isCritical = false
    /// Entries before and behind the list of ``tcb`` (2) and the configuration (7).
    package var ppid: Entry
    package var tcb: [Entry]
    package var others: [Entry]
    package var configuration: [Entry]
    /// Elements to write at the end of the list.
    package var additional: [[UInt8]] = []

    package init(_ platform: MockPlatform.Configuration, ppid: FixedBytes<16>) {
        self.ppid = Entry(Self.arc(1), DER.octetString(ppid.bytes))
        tcb = (0..<16).map { Entry(Self.arc(2, UInt64($0 + 1)), DER.integer(UInt16(platform.cpuSvn[$0]))) }
        tcb.append(Entry(Self.arc(2, 17), DER.integer(platform.pceSvn)))
        tcb.append(Entry(Self.arc(2, 18), DER.octetString(platform.cpuSvn.bytes)))
        others = [
            Entry(Self.arc(3), DER.octetString(platform.pceId.bytes)),
            Entry(Self.arc(4), DER.octetString(platform.fmspc.bytes)),
            Entry(Self.arc(5), DER.enumerated(platform.sgxType)),
        ]
        configuration = []
        if platform.authority == .platform {
            if let instance = platform.platformInstanceId {
                others.append(Entry(Self.arc(6), DER.octetString(instance.bytes)))
            }
            let flags = [platform.dynamicPlatform, platform.cachedKeys, platform.smtEnabled]
            for (index, flag) in flags.enumerated() {
                if let flag { configuration.append(Entry(Self.arc(7, UInt64(index + 1)), DER.boolean(flag))) }
            }
        }
    }

    /// Identifier of an entry.
    package static func arc(_ number: UInt64) -> ObjectIdentifier {
        ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1, number)
    }

    /// Identifier of an entry of an entry.
    package static func arc(_ number: UInt64, _ inner: UInt64) -> ObjectIdentifier {
        ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1, number, inner)
    }

    package var x509: X509.Extension {
        var entries = [ppid.der]
        if !tcb.isEmpty { entries.append(Entry(Self.arc(2), DER.sequence(of: tcb.map(\.der))).der) }
        entries += others.map(\.der)
        if !configuration.isEmpty { entries.append(Entry(Self.arc(7), DER.sequence(of: configuration.map(\.der))).der) }
        return X509.Extension(identifier, critical: isCritical, value: DER.sequence(of: entries + additional))
    }
}
