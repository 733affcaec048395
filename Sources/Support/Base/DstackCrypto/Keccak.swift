internal import CCryptoPP
package import DstackEncoding

/// The original Keccak with padding 0x01, as Ethereum uses it; not SHA-3 (FIPS 202 pads with 0x06).
package enum Keccak {
    package static func hash256(_ data: [UInt8]) -> FixedBytes<32> { hash(data) }
    package static func hash384(_ data: [UInt8]) -> FixedBytes<48> { hash(data) }
    package static func hash512(_ data: [UInt8]) -> FixedBytes<64> { hash(data) }

    private static func hash<let count: Int>(_ data: [UInt8]) -> FixedBytes<count> {
        var status: CInt = -1
        let digest = FixedBytes<count> { output in
            status = data.withUnsafeBufferPointer { dstack_keccak(CInt(count * 8), $0.baseAddress, $0.count, output) }
        }
        // Only a failed allocation gets here, and a digest that was not computed must not be used.
        precondition(status == 0, "Keccak failed")
        return digest
    }
}
