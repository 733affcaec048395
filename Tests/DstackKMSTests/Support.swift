import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import DstackStore
import DstackSystem
import TestKit

func roots(_ label: String = "roots") -> KMSRootKeys { KMSRootKeys(random: PredictableBytesForTests(label)) }

func app(_ byte: UInt8) -> AppID { AppID(FixedBytes(repeating: byte)) }
func replica(_ byte: UInt8) -> ReplicaID { ReplicaID(FixedBytes(repeating: byte)) }

/// Numbers that are the same every time.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
