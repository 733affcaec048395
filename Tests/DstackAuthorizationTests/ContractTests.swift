import DstackAuthorization
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("The contract's bytes")
struct ContractTests {
    @Test("every sample call is written byte for byte", .needs("contracts.json"))
    func calls() throws {
        let rows = try AuthorizationVectors.rows("contracts.json", "calls")
        #expect(rows.count >= 4)
        for row in rows {
            let info = try BootInfo(parsingJSON: row.row("boot_info").json())
            #expect(try Hex.encode(KMSContract.call(.app, info)) == row.text("isAppAllowed_calldata"))
            #expect(try Hex.encode(KMSContract.call(.kms, info)) == row.text("isKmsAllowed_calldata"))
            // No instance is the zero address.
            let without = info.with { $0.instanceID = nil }
            let zero = info.with { $0.instanceID = FixedBytes() }
            #expect(try KMSContract.call(.app, without) == KMSContract.call(.app, zero))
        }
    }

    @Test("every sample result is read", .needs("contracts.json"))
    func results() throws {
        for row in try AuthorizationVectors.rows("contracts.json", "results") {
            let (isAllowed, reason) = try KMSContract.decision(Hex.decode(row.text("returndata"), subject: "test"))
            #expect(isAllowed == row["is_allowed"] as? Bool)
            #expect(try reason == row.text("reason"))
        }
        let file = try AuthorizationVectors.load("contracts.json")
        let gateway = try file.row("gatewayAppId_returndata")
        #expect(
            try KMSContract.gatewayAppID(Hex.decode(gateway.text("returndata"), subject: "test"))
                == gateway.text("value"))
        let revert = try file.row("revert_error_string")
        #expect(
            try KMSContract.revertReason(Hex.decode(revert.text("data"), subject: "test")) == revert.text("reason"))
    }

    @Test("what upstream pads to zeros is not asked about", .needs("contracts.json"))
    func padding() throws {
        for row in try AuthorizationVectors.rows("contracts.json", "left_padding") {
            let input = try row.text("input")
            let isWhole = input.count == 2 * (row["bytes"] as? Int ?? 0)
            for name in ["appId", "deviceId"] where (name == "appId") == (row["bytes"] as? Int == 20) {
                var object = try #require(
                    try JSONSerialization.jsonObject(with: Data(BootInfo.sample().json)) as? [String: Any])
                object[name] = input
                let isRead = (try? BootInfo(parsingJSON: object.json())) != nil
                #expect(isRead == isWhole, "\(input)")
            }
        }
    }

    @Test("what a machine has not is not asked about as zeros")
    func missing() {
        #expect(throws: KMSContract.Missing.self) {
            try KMSContract.call(.app, .sample().with { $0.osImageHash = nil })
        }
        #expect(throws: KMSContract.Missing.self) {
            try KMSContract.call(.kms, .sample().with { $0.mrSystem = nil })
        }
        #expect(throws: KMSContract.Missing.self) {
            try KMSContract.call(.kms, .sample().with { $0.deviceID = DeviceIdentifier.ofAllEnclaves })
        }
    }

    private static func word(_ number: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: 24) + withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
    }

    private static let yes = word(1) + word(64) + word(0)
    private static let no = word(0) + word(64) + word(3) + Array("why".utf8) + [UInt8](repeating: 0, count: 29)

    @Test("a result that is cut, lengthened or points elsewhere is no answer")
    func malformed() throws {
        #expect(try KMSContract.decision(Self.yes).isAllowed)
        #expect(try KMSContract.decision(Self.no).reason == "why")
        for bytes in [Self.yes, Self.no] {
            for count in 0..<bytes.count {
                #expect(throws: DecodingFailure.self) { try KMSContract.decision(Array(bytes[..<count])) }
            }
        }
        let text = Array("why".utf8) + [UInt8](repeating: 0, count: 29)
        let high = [UInt8](repeating: 0xFF, count: 32)
        for bytes in [
            Self.word(2) + Self.word(64) + Self.word(0), high + Self.word(64) + Self.word(0),
            Self.word(256) + Self.word(64) + Self.word(0), Self.word(1) + Self.word(0) + Self.word(0),
            Self.word(1) + Self.word(32) + Self.word(0), Self.word(1) + Self.word(65) + Self.word(0),
            Self.word(1) + Self.word(96) + Self.word(0), Self.word(1) + high + Self.word(0),
            Self.word(1) + Self.word(Int(Int32.max)) + Self.word(0), Self.word(1) + Self.word(64) + Self.word(1),
            Self.word(1) + Self.word(64) + high, Self.word(0) + Self.word(64) + Self.word(33) + text,
            // Something behind the text, and a text that is none.
            Self.word(0) + Self.word(64) + Self.word(2) + text,
            Self.word(0) + Self.word(64) + Self.word(2) + [0xFF, 0xFF] + [UInt8](repeating: 0, count: 30),
            Self.word(0) + Self.word(64) + Self.word(5000) + [UInt8](repeating: 0x61, count: 5024),
        ] {
            #expect(throws: DecodingFailure.self, "\(Hex.encode(bytes.prefix(160)))") {
                try KMSContract.decision(bytes)
            }
        }
    }

    @Test("no change of one bit, and no bytes at random, make a yes of a no or end the program")
    func mutations() throws {
        for position in Self.no.indices {
            for bit in 0..<8 {
                var bytes = Self.no
                bytes[position] ^= 1 << UInt8(bit)
                // The one bit that says yes is the last of the first word.
                let isTheBit = position == 31 && bit == 0
                #expect(((try? KMSContract.decision(bytes))?.isAllowed ?? false) == isTheBit)
            }
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0...6, using: &random)).flatMap { _ in
                Self.word(Int.random(in: 0...260, using: &random))
            }
            for _ in 0..<3 where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            _ = try? KMSContract.decision(bytes)
            _ = try? KMSContract.gatewayAppID(bytes)
            _ = try? KMSContract.appImplementation(bytes)
            _ = KMSContract.revertReason(bytes)
        }
    }
}
