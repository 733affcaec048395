internal import DstackCrypto
package import DstackEncoding

/// A measurement document together with the checksum file that ties it to an image's identity, as a VMM attaches both
/// to a VM's configuration.
///
/// The pair proves that it is consistent, not where it comes from: anyone can make one. The identity that it leads to
/// has to be one that the verifier's owner trusts.
package struct MeasurementDocument: Sendable, Equatable {
    /// The image's `sha256sum.txt`.
    package let checksumFile: [UInt8]
    /// The document, CBOR.
    package let measurement: [UInt8]

    package init(checksumFile: [UInt8], measurement: [UInt8]) {
        self.checksumFile = checksumFile
        self.measurement = measurement
    }

    /// Reads `{"checksum_file": base64, "measurement": base64}`.
    init(_ node: JSONNode) throws(DecodingFailure) {
        func bytes(_ name: StaticString) throws(DecodingFailure) -> [UInt8] {
            let member = try node.member(name)
            return try Base64.decode(try member.string(), subject: member.subject)
        }
        self.init(checksumFile: try bytes("checksum_file"), measurement: try bytes("measurement"))
    }

    /// SHA-256 of the document.
    package var measurementHash: FixedBytes<32> { SHA256.hash(measurement) }

    /// SHA-256 of the checksum file: the image identity that the pair leads to.
    package var imageHash: FixedBytes<32> { SHA256.hash(checksumFile) }
}
