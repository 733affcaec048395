internal import COpenSSL
package import DstackEncoding

/// SHA-3 (FIPS 202, padding 0x06). Not ``Keccak``, which Ethereum uses.
package enum SHA3 {
    package static func hash256(_ data: [UInt8]) -> FixedBytes<32> { hash(data, EVP_sha3_256()) }
    package static func hash384(_ data: [UInt8]) -> FixedBytes<48> { hash(data, EVP_sha3_384()) }
    package static func hash512(_ data: [UInt8]) -> FixedBytes<64> { hash(data, EVP_sha3_512()) }

    private static func hash<let count: Int>(_ data: [UInt8], _ algorithm: OpaquePointer?) -> FixedBytes<count> {
        var status: CInt = 0
        let digest = FixedBytes<count> { output in
            status = data.withUnsafeBytes { EVP_Digest($0.baseAddress, $0.count, output, nil, algorithm, nil) }
        }
        // Only a failed allocation gets here, and a digest that was not computed must not be used.
        precondition(status == 1, "SHA-3 failed")
        return digest
    }
}
