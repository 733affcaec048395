package import DstackAttestation
import DstackCrypto
import DstackEncoding
package import DstackMockTEE

/// A simulated platform with all its authorities, whose certificates, revocation lists, documents and quotes are the same
/// in every run.
package struct Mint: Sendable {
    /// Issued by the keys below.
    package let platform: MockPlatform
    package let root: FuzzKey
    package let platformCA: FuzzKey
    package let processorCA: FuzzKey
    package let tcbSigner: FuzzKey
    /// The machine's own.
    package let pck: FuzzKey
    package let attestation: FuzzKey

    /// - Parameters:
    ///   - authorities: names the keys that certify; mints with the same authorities have the same root.
    ///   - machine: names the keys of the machine.
    package init(
        authorities: String, machine: String, _ configuration: MockPlatform.Configuration
    ) throws(FuzzFailure) {
        let seed = SHA256.hash(Array("dstack fuzz \(authorities)".utf8))
        let own = SHA256.hash(Array("dstack fuzz machine \(machine)".utf8))
        root = try FuzzKey(of: seed, label: "root CA")
        platformCA = try FuzzKey(of: seed, label: "platform CA")
        processorCA = try FuzzKey(of: seed, label: "processor CA")
        tcbSigner = try FuzzKey(of: seed, label: "TCB signing")
        let (pck, attestation) = (
            try FuzzKey(of: own, label: "PCK"), try FuzzKey(of: own, label: "attestation")
        )
        self.pck = pck
        self.attestation = attestation
        var serial = Array(MockKey.derive("serial", "PCK", seed: own).bytes.prefix(20))
        serial[0] = serial[0] & 0x3F | 0x40
        var configuration = configuration
        configuration.ppid = FixedBytes(MockKey.derive("PPID", "", seed: own).bytes.prefix(16))
        do {
            let draft = try MockPlatform(seed: seed, configuration)
            platform = try draft.reissued { [root, platformCA, processorCA] certificates in
                certificates.pck.builder.publicKey = pck.spki
                certificates.pck.builder.serialNumber = DER.integer(magnitude: serial)
                certificates.root.signature = { root.derSignature($0) }
                certificates.platformCA.signature = { root.derSignature($0) }
                certificates.processorCA.signature = { root.derSignature($0) }
                certificates.tcbSigner.signature = { root.derSignature($0) }
                let isPlatform = configuration.authority == .platform
                certificates.pck.signature = { (isPlatform ? platformCA : processorCA).derSignature($0) }
            }
        } catch {
            throw FuzzFailure("simulated platform: \(error)")
        }
    }

    private init(_ other: Mint, platform: MockPlatform) {
        self.platform = platform
        root = other.root
        platformCA = other.platformCA
        processorCA = other.processorCA
        tcbSigner = other.tcbSigner
        pck = other.pck
        attestation = other.attestation
    }

    /// The key of the authority that issued the PCK certificate.
    package var pckAuthority: FuzzKey {
        platform.configuration.authority == .platform ? platformCA : processorCA
    }

    /// The same machine with other certificates.
    package func reissued(_ edit: (inout MockCertificates) -> Void) throws(FuzzFailure) -> Mint {
        do {
            return Mint(self, platform: try platform.reissued(edit))
        } catch {
            throw FuzzFailure("certificates: \(error)")
        }
    }

    /// A quote over a body, signed as the quoting enclave does after `edit` changed what is to be signed.
    package func quote(
        _ body: QuoteBody, version: UInt16? = nil, certification: MockCertification = .chain,
        edit: (inout MockQuote) -> Void = { _ in }
    ) throws(FuzzFailure) -> [UInt8] {
        do {
            return try platform.quote(body, version: version, certification: certification) { draft in
                draft.attestationPoint = attestation.point
                edit(&draft)
                let tampering = draft.tampering
                draft.tampering = { quote in
                    sign(&quote)
                    tampering?(&quote)
                }
            }
        } catch {
            throw FuzzFailure("quote: \(error)")
        }
    }

    /// Signs the quoting enclave's report and the body anew.
    package func sign(_ quote: inout Quote) {
        quote.signature.qeReportSignature = pck.sign(quote.signature.qeReport.encoded)
        quote.signature.isvSignature = attestation.sign(quote.signedBytes)
    }

    /// Collateral, signed after `edit` changed what is to be signed.
    package func collateral(
        for tee: TEEType, at now: Int64, edit: (inout MockCollateral) -> Void = { _ in }
    ) throws(FuzzFailure) -> QuoteCollateral {
        do {
            var collateral = try platform.collateral(for: tee, at: now) { draft in
                let (root, authority) = (root, pckAuthority)
                draft.rootCRL.signature = { (message: [UInt8]) throws(CryptoFailure) in root.derSignature(message) }
                draft.pckCRL.signature = { (message: [UInt8]) throws(CryptoFailure) in
                    authority.derSignature(message)
                }
                edit(&draft)
            }
            collateral.tcbInfoSignature = tcbSigner.sign(Array(collateral.tcbInfo.utf8)).bytes
            collateral.qeIdentitySignature = tcbSigner.sign(Array(collateral.qeIdentity.utf8)).bytes
            return collateral
        } catch {
            throw FuzzFailure("collateral: \(error)")
        }
    }
}
