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
