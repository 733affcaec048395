import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("App info")
struct AppInfoTests {
    static let info = AppInfo(
        appID: AppID(FixedBytes(repeating: 1)), composeHash: ComposeHash(FixedBytes(repeating: 2)),
        instanceID: nil, deviceID: DeviceID(FixedBytes(repeating: 3)), mrSystem: FixedBytes(repeating: 4),
        mrAggregated: FixedBytes(repeating: 5), osImageHash: nil, keyProviderInfo: Array("{}".utf8))

    @Test(
        "the certificate extension equals the vectors; older ones lack the last member",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func vectors() throws {
        let rows = try Vectors.json("keys/csr.json").member("app_info")
        #expect(rows.count >= 4)
        for row in rows.elements {
            let bytes = try row.member("msgpack").hexBytes()
            let fields = try row.member("fields")
            let info = try AppInfo(messagePack: bytes)
            #expect(info.appID.description == (try fields.member("app_id").string()))
            #expect(info.composeHash.description == (try fields.member("compose_hash").string()))
            #expect(info.instanceID?.description == (try fields.member("instance_id").string()))
            #expect(info.deviceID.description == (try fields.member("device_id").string()))
            #expect(info.mrSystem.hex == (try fields.member("mr_system").string()))
            #expect(info.mrAggregated.hex == (try fields.member("mr_aggregated").string()))
            #expect(info.osImageHash?.hex == (try fields.member("os_image_hash").string()))
            #expect(Hex.encode(info.keyProviderInfo) == (try fields.member("key_provider_info").string()))
            var scripts: [String]?
            if let node = try row.optionalMember("init_script_hashes") {
                scripts = []
                for element in node.elements { scripts?.append(try element.string()) }
            }
            #expect(info.initScriptHashes?.map { $0.hex } == scripts)
            // The first byte is that of an array of so many members.
            #expect(bytes.first == 0x90 + (try row.member("elements").integer(UInt8.self)))
            if try row.member("elements").integer(Int.self) == 9 { #expect(info.messagePack == bytes) }
            #expect(try AppInfo(messagePack: info.messagePack) == info)
        }
    }

    @Test("the JSON form has all members in order, empty where there is no value")
    func json() {
        func hex(_ byte: String, _ count: Int) -> String { String(repeating: byte, count: count) }
        #expect(
            Self.info.json
                == #"{"app_id":"\#(hex("01", 20))","compose_hash":"\#(hex("02", 32))","instance_id":"","#
                + #""device_id":"\#(hex("03", 32))","mr_system":"\#(hex("04", 32))","mr_aggregated":"\#(hex("05", 32))","#
                + #""os_image_hash":"","key_provider_info":"7b7d","init_script_hashes":null}"#)
        var info = Self.info
        info.initScriptHashes = [FixedBytes(repeating: 6)]
        #expect(info.json.hasSuffix(#""init_script_hashes":["\#(hex("06", 32))"]}"#))
    }

    @Test("values of other lengths, other counts and left-over bytes are refused")
    func refused() throws {
        let good = Self.info.messagePack
        #expect(try AppInfo(messagePack: good) == Self.info)
        for count in 0..<good.count {
            #expect(throws: AttestationError.self) { try AppInfo(messagePack: Array(good[..<count])) }
        }
        #expect(throws: AttestationError.self) { try AppInfo(messagePack: good + [0]) }
        for length in [0, 19, 21] {
            var writer = MessagePackWriter()
            writer.array(9)
            writer.binary([UInt8](repeating: 1, count: length))
            #expect(throws: AttestationError.self) { try AppInfo(messagePack: writer.bytes + good[23...]) }
        }
        for count in [7, 10] as [UInt8] {
            #expect(throws: AttestationError.self) { try AppInfo(messagePack: [0x90 | count] + good[1...] + [0xC0]) }
        }
        var random = SeededGenerator(seed: 0x9)
        for _ in SeededGenerator.rounds(3000) {
            guard let info = try? AppInfo(messagePack: random.mutated(good)) else { continue }
            #expect(try AppInfo(messagePack: info.messagePack) == info)
        }
    }
}
