import DstackEncoding
import Foundation
import TestKit

func register(_ text: String) throws -> FixedBytes<48> {
    guard let value = FixedBytes<48>(hex: text) else {
        throw DecodingFailure(.malformed, "test", "96 hexadecimal digits expected")
    }
    return value
}
