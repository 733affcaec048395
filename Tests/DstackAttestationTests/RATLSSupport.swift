import DstackAttestation
import DstackCrypto
import DstackEncoding

/// Makes certificates as dstack's guests and key management services do, and as nobody should.
struct RATLSFixture: ~Copyable {
    let key = P256.PrivateKey()
    var extensions: [X509.Extension] = RATLSFixture.profile
    var notBefore: Int64 = 157_766_400
    var notAfter: Int64 = 2_000_000_000

    static let profile: [X509.Extension] = [
        .subjectAltName([.dns("app.example")]), .keyUsage(bits: [0x80], unusedBits: 7),
        .extendedKeyUsage([.serverAuth, .clientAuth]),
    ]

    var reportData: ReportData { ReportData(raTLSKey: key.publicKey.spki) }

    static func item(_ kind: RATLSExtension, _ content: [UInt8]) -> X509.Extension {
        X509.Extension(kind.identifier, value: RATLSExtension.value(for: content))
    }

    mutating func add(_ kind: RATLSExtension, _ content: [UInt8]) { extensions.append(Self.item(kind, content)) }

    var der: [UInt8] {
        get throws {
            try CertificateBuilder(
                subject: X509.Name(.commonName("app.example")), publicKey: key.publicKey.spki,
                notBefore: .seconds(notBefore), notAfter: .seconds(notAfter), extensions: extensions
            ).signed(by: key)
        }
    }
}
