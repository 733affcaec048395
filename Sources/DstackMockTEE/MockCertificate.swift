package import DstackCrypto
package import DstackEncoding

/// A certificate before it is issued: every field can be changed, and anyone can sign it.
package struct MockCertificate: Sendable {
    package var builder: CertificateBuilder
    /// Whose key signs.
    package var signer: MockKey
    /// Another way to sign: what it returns is the content of the signature's BIT STRING.
    package var signature: (@Sendable (_ message: [UInt8]) throws(CryptoFailure) -> [UInt8])?
    /// Changes to the bytes that are signed.
    package var editMessage: (@Sendable (inout [UInt8]) -> Void)?
    /// Changes to the finished certificate, which break its signature.
    package var tampering: (@Sendable (inout [UInt8]) -> Void)?

    package init(_ builder: CertificateBuilder, signer: MockKey) {
        self.builder = builder
        self.signer = signer
    }

    /// DER.
    package func issued() throws(MockTEEError) -> [UInt8] {
        do throws(CryptoFailure) {
            let algorithm = X509.Algorithm.ecdsaWithSHA256
            var message = try builder.tbs(algorithm: algorithm)
            editMessage?(&message)
            let signature =
                if let signature { try signature(message) } else {
                    try signer.privateKey.certificateSignature(over: message)
                }
            var der = DER.sequence(message, (builder.outerAlgorithm ?? algorithm).der, DER.bitString(signature))
            tampering?(&der)
            return der
        } catch {
            throw MockTEEError(error)
        }
    }

    /// Changes the extension with an identifier; adds it if it is not there, removes it if it becomes nil.
    package mutating func edit(_ identifier: ObjectIdentifier, _ change: (inout X509.Extension?) -> Void) {
        let element = DER.objectIdentifier(identifier)
        let index = builder.extensions.firstIndex { $0.identifier == element }
        var value = index.map { builder.extensions[$0] }
        change(&value)
        switch (index, value) {
        case (let index?, let value?): builder.extensions[index] = value
        case (let index?, nil): builder.extensions.remove(at: index)
        case (nil, let value?): builder.extensions.append(value)
        case (nil, nil): break
        }
    }

    /// Puts an extension in place of the one with the same identifier, or at the end.
    package mutating func set(_ new: X509.Extension) {
        let index = builder.extensions.firstIndex { $0.identifier == new.identifier }
        if let index { builder.extensions[index] = new } else { builder.extensions.append(new) }
    }
}

/// The keys of a simulated platform, each of its own label.
package struct MockKeys: Sendable {
    package let root: MockKey
    package let platformCA: MockKey
    package let processorCA: MockKey
    package let pck: MockKey
    package let tcbSigner: MockKey
    package let attestation: MockKey

    init(seed: FixedBytes<32>) {
        root = MockKey(seed: seed, label: "root CA")
        platformCA = MockKey(seed: seed, label: "platform CA")
        processorCA = MockKey(seed: seed, label: "processor CA")
        pck = MockKey(seed: seed, label: "PCK")
        tcbSigner = MockKey(seed: seed, label: "TCB signing")
        attestation = MockKey(seed: seed, label: "attestation")
    }
}

/// The certificates of a simulated platform before they are issued.
package struct MockCertificates: Sendable {
    package var root: MockCertificate
    package var platformCA: MockCertificate
    package var processorCA: MockCertificate
    package var pck: MockCertificate
    package var tcbSigner: MockCertificate
    /// What the PCK certificate says about the platform; becomes its last extension. Nil leaves it out.
    package var sgx: MockSGXExtension?

    /// The PCK certificate with what it says about the platform, DER.
    func issuedPCK() throws(MockTEEError) -> [UInt8] {
        var certified = pck
        if let sgx { certified.builder.extensions.append(sgx.x509) }
        return try certified.issued()
    }

    /// A name in the form of Intel's, but nobody's who sells anything.
    package static func name(_ commonName: String) -> X509.Name {
        X509.Name(.commonName(commonName), .organization("Simulated TEE"), .country("XX"))
    }

    init(_ configuration: MockPlatform.Configuration, seed: FixedBytes<32>, keys: MockKeys, ppid: FixedBytes<16>) {
        let rootName = Self.name(MockPlatform.rootCommonName)
        let platformName = Self.name("Simulated SGX PCK Platform CA")
        let processorName = Self.name("Simulated SGX PCK Processor CA")

        func certificate(
            _ name: X509.Name, _ key: MockKey, by issuer: X509.Name, _ issuerKey: MockKey, label: String,
            pathLength: UInt?, isAuthority: Bool = true
        ) -> MockCertificate {
            var serial = Array(MockKey.derive("serial", label, seed: seed).bytes.prefix(20))
            // Positive and always 20 bytes long.
            serial[0] = serial[0] & 0x3F | 0x40
            let usage: Set<X509.KeyUsage> = isAuthority ? [.keyCertSign, .cRLSign] : [.digitalSignature]
            return MockCertificate(
                CertificateBuilder(
                    subject: name, issuer: issuer, publicKey: key.spki,
                    notBefore: .seconds(configuration.notBefore), notAfter: .seconds(configuration.notAfter),
                    serialNumber: serial,
                    extensions: [
                        .authorityKeyIdentifier(Self.keyIdentifier(issuerKey)),
                        .crlDistributionPoints([MockPlatform.rootCRLAddress]),
                        .subjectKeyIdentifier(Self.keyIdentifier(key)),
                        .keyUsage(usage),
                        .basicConstraints(isAuthority: isAuthority, pathLength: pathLength),
                    ]),
                signer: issuerKey)
        }

        root = certificate(rootName, keys.root, by: rootName, keys.root, label: "root CA", pathLength: 1)
        platformCA = certificate(
            platformName, keys.platformCA, by: rootName, keys.root, label: "platform CA", pathLength: 0)
        processorCA = certificate(
            processorName, keys.processorCA, by: rootName, keys.root, label: "processor CA", pathLength: 0)
        let isPlatform = configuration.authority == .platform
        pck = certificate(
            Self.name("Simulated SGX PCK Certificate"), keys.pck, by: isPlatform ? platformName : processorName,
            isPlatform ? keys.platformCA : keys.processorCA, label: "PCK", pathLength: nil, isAuthority: false)
        tcbSigner = certificate(
            Self.name("Simulated SGX TCB Signing"), keys.tcbSigner, by: rootName, keys.root, label: "TCB signing",
            pathLength: nil, isAuthority: false)
        sgx = MockSGXExtension(configuration, ppid: ppid)
    }

    /// SHA-1 would be usual (RFC 5280 section 4.2.1.2); any identifier will do.
    private static func keyIdentifier(_ key: MockKey) -> [UInt8] { Array(SHA256.hash(key.spki).bytes.prefix(20)) }
}
