package import DstackCrypto
import DstackEncoding

/// A revocation list before it is signed.
package struct MockRevocationList {
    package var builder: RevocationListBuilder
    /// Whose key signs.
    package var signer: MockKey
    /// Another way to sign: what it returns is the content of the signature's BIT STRING.
    package var signature: (([UInt8]) throws(CryptoFailure) -> [UInt8])?
    /// Changes to the bytes that are signed.
    package var editMessage: ((inout [UInt8]) -> Void)?
    /// Changes to the finished list, which break its signature unless they are outside of it.
    package var tampering: ((inout [UInt8]) -> Void)?

    package init(issuer: X509.Name, signer: MockKey, thisUpdate: Int64, nextUpdate: Int64) {
        builder = RevocationListBuilder(
            issuer: issuer, thisUpdate: .seconds(thisUpdate), nextUpdate: .seconds(nextUpdate))
        self.signer = signer
    }

    /// Adds the serial number of a certificate.
    package mutating func revoke(_ certificate: MockCertificate) {
        var entry = RevocationListBuilder.Entry(serialNumber: [], date: builder.thisUpdate)
        entry.serialNumber = certificate.builder.serialNumber
        builder.revoked.append(entry)
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
}
