import DstackCrypto
import DstackKeys

/// Keys for tests.
enum P256Key {
    /// The public half of a new key, DER.
    static func spki() throws -> [UInt8] { TLSKey().publicKey }
}
