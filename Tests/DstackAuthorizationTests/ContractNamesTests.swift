import DstackCrypto
import DstackEncoding
import TestKit
import Testing

/// What contracts call their functions, events and slots of storage. Of these our code uses a few; all are here, for whoever
/// reads a chain beside it.
@Suite("Names of the contracts", .needs("contracts.json"))
struct ContractNamesTests {
    private let file: [String: Any]

    init() throws { file = try AuthorizationVectors.load("contracts.json") }

    private static let bootInfo = "(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])"

    private func hash(_ signature: String) -> [UInt8] {
        Keccak.hash256(Array(signature.replacing("AppBootInfo", with: Self.bootInfo).utf8)).bytes
    }

    private func selector(_ signature: String) -> String { Hex.encode(hash(signature).prefix(4)) }

    private func texts(_ row: [String: Any]) throws -> [String: String] { try #require(row as? [String: String]) }

    @Test("functions and errors are called by the beginning of their signature's hash")
    func selectors() throws {
        let contracts = try file.row("selectors")
        for contract in ["DstackKms", "DstackApp", "both"] {
            let selectors = try texts(contracts.row(contract))
            #expect(!selectors.isEmpty)
            for (signature, expected) in selectors { #expect(selector(signature) == expected, "\(signature)") }
        }
        let errors = try texts(file.row("error_selectors"))
        #expect(!errors.isEmpty)
        for (signature, expected) in errors { #expect(selector(signature) == expected, "\(signature)") }
    }

    @Test("events and policies are named by the whole hash")
    func topics() throws {
        for member in ["event_topics", "policy_names"] {
            let names = try texts(file.row(member))
            #expect(!names.isEmpty)
            for (name, expected) in names { #expect(Hex.encode(hash(name)) == expected, "\(name)") }
        }
    }

    @Test("an interface is what its functions are, all in one")
    func interfaces() throws {
        let interfaces = [
            "IERC165": ["supportsInterface(bytes4)"], "IAppAuth": ["isAppAllowed(AppBootInfo)"],
            "IAppAuthBasicManagement": [
                "addComposeHash(bytes32)", "removeComposeHash(bytes32)", "addDevice(bytes32)", "removeDevice(bytes32)",
            ],
        ]
        let expected = try texts(file.row("interface_ids"))
        #expect(Set(expected.keys) == Set(interfaces.keys))
        for (name, functions) in interfaces {
            var identifier = [UInt8](repeating: 0, count: 4)
            for function in functions { identifier = zip(identifier, hash(function)).map { $0 ^ $1 } }
            #expect(Hex.encode(identifier) == expected[name], "\(name)")
        }
    }

    private func minusOne(_ word: [UInt8]) -> [UInt8] {
        var word = word
        for index in word.indices.reversed() {
            word[index] &-= 1
            if word[index] != 0xFF { break }
        }
        return word
    }

    @Test("storage lies where ERC-7201, ERC-1967 and mappings put it")
    func storage() throws {
        let storage = try file.row("storage")
        let names = try texts(storage.row("erc7201"))
        #expect(!names.isEmpty)
        for (name, expected) in names {
            var slot = Keccak.hash256(minusOne(hash(name))).bytes
            slot[31] = 0
            #expect(Hex.encode(slot) == expected, "\(name)")
        }
        let implementation = minusOne(hash("eip1967.proxy.implementation"))
        #expect(try Hex.encode(implementation) == storage.text("eip1967_implementation"))
        let mappings = try AuthorizationVectors.rows("contracts.json", "mapping_slots")
        // The places of the mappings in the contracts' own storage.
        let slots = [
            "DstackKms.registeredApps": 5, "DstackKms.kmsAllowedAggregatedMrs": 6, "DstackApp.allowedComposeHashes": 0,
        ]
        #expect(try Set(mappings.map { try $0.text("mapping") }) == Set(slots.keys))
        for row in mappings {
            let slot = try #require(row["slot"] as? Int)
            #expect(try slots[row.text("mapping")] == slot)
            let key = hex(try row.text("key"))
            let word = [UInt8](repeating: 0, count: 32 - key.count) + key
            let place = [UInt8](repeating: 0, count: 31) + [UInt8(slot)]
            #expect(try Keccak.hash256(word + place).hex == row.text("storage_slot"))
        }
    }

    @Test("what others pad is padded on the left")
    func padding() throws {
        for row in try AuthorizationVectors.rows("contracts.json", "left_padding") {
            let input = try row.text("input")
            let digits = (input.hasPrefix("0x") ? String(input.dropFirst(2)) : input).lowercased()
            let count = 2 * (try #require(row["bytes"] as? Int))
            let padded = String(repeating: "0", count: count - digits.count) + digits
            #expect(try padded == row.text("padded"))
        }
    }
}
