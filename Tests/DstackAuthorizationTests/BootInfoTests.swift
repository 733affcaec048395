import DstackAuthorization
import DstackCrypto
import DstackEncoding
import Testing

@Suite("What is known of a machine")
struct BootInfoTests {
    private func read(_ change: (inout [String: Any]) -> Void) throws -> BootInfo {
        var object: [String: Any] = [
            "mrAggregated": digits(1, 32), "osImageHash": digits(2, 32), "appId": digits(3, 20),
            "composeHash": digits(4, 32), "instanceId": digits(5, 20), "deviceId": digits(6, 32),
        ]
        change(&object)
        return try BootInfo(parsingJSON: object.json())
    }

    @Test("what is written is read as it was, with every member, in lower-case hexadecimal without prefix")
    func roundTrip() throws {
        for info in [
            BootInfo.sample(),
            .sample().with {
                $0.teeVariant = nil
                $0.osImageHash = nil
                $0.mrSystem = nil
                $0.instanceID = nil
                $0.keyProviderInfo = []
                $0.tcbStatus = ""
                $0.advisoryIDs = ["INTEL-SA-00615", "ü"]
            },
        ] {
            #expect(try BootInfo(parsingJSON: info.json) == info)
        }
        let names = try JSONDocument(parsing: BootInfo.sample().json, subject: "test").root.members.map(\.name)
        #expect(
            names == [
                "teeVariant", "mrAggregated", "osImageHash", "mrSystem", "appId", "composeHash", "instanceId",
                "deviceId", "keyProviderInfo", "tcbStatus", "advisoryIds",
            ])
    }

    @Test("prefixes, capitals, old names and members of other versions are understood")
    func tolerant() throws {
        let info = try read {
            $0["appId"] = "0X" + digits(0xAB, 20).uppercased()
            $0["attestationMode"] = "dstack-tdx"
            $0["rtmr0"] = "anything"
            $0["eventLog"] = ["x": 1]
        }
        #expect(info.appID == FixedBytes(repeating: 0xAB))
        #expect(info.teeVariant == "dstack-tdx")
        #expect(info.tcbStatus == "" && info.advisoryIDs.isEmpty && info.mrSystem == nil)
        #expect(throws: DecodingFailure.self) {
            try read {
                $0["attestationMode"] = "dstack-tdx"
                $0["teeVariant"] = "dstack-amd-sev-snp"
            }
        }
    }

    @Test(
        "a short value is not taken for a padded one, and a long one not cut",
        arguments: ["mrAggregated", "osImageHash", "mrSystem", "appId", "composeHash", "instanceId", "deviceId"])
    func lengths(_ name: String) throws {
        let right = name == "appId" || name == "instanceId" ? 20 : 32
        _ = try read { $0[name] = digits(9, right) }
        for count in [1, right - 1, right + 1, 52 - right, 65] {
            #expect(throws: DecodingFailure.self, "\(count)") { try read { $0[name] = digits(9, count) } }
        }
        for text in ["0x1", digits(9, right).dropLast() + "g", "0x0x" + digits(9, right), " " + digits(9, right)] {
            #expect(throws: DecodingFailure.self, "\(text)") { try read { $0[name] = String(text) } }
        }
        let mayBeEmpty = ["osImageHash", "mrSystem", "instanceId"].contains(name)
        for empty in ["", "0x"] {
            let isRead = (try? read { $0[name] = empty }) != nil
            #expect(isRead == mayBeEmpty)
        }
    }

    @Test("lists and words have a limit")
    func limits() throws {
        #expect(try read { $0["advisoryIds"] = [String](repeating: "A", count: 128) }.advisoryIDs.count == 128)
        #expect(throws: DecodingFailure.self) {
            try read { $0["advisoryIds"] = [String](repeating: "A", count: 129) }
        }
        #expect(throws: DecodingFailure.self) {
            try read { $0["advisoryIds"] = [String(repeating: "A", count: 257)] }
        }
        #expect(throws: DecodingFailure.self) {
            try read { $0["tcbStatus"] = String(repeating: "A", count: 129) }
        }
        #expect(throws: DecodingFailure.self) { try BootInfo(parsingJSON: Array(#"{"appId":"","appId":""}"#.utf8)) }
    }

    @Test("an SNP chip's raw identifier is no other device than its hash")
    func chip() throws {
        let chip = [UInt8](0..<64)
        let info = try read { $0["deviceId"] = Hex.encode(chip) }
        #expect(info.deviceID == SHA256.hash(chip))
        guard let fixed = FixedBytes<64>(chip) else { return }
        #expect(info.deviceID == DeviceIdentifier.snpChip(fixed).deviceID)
    }

    @Test("Nitro enclaves of different machines do not share one device")
    func enclaves() throws {
        let (first, second) = ("i-0123456789abcdef0", "i-0123456789abcdef1")
        let devices = [first, second].map { DeviceIdentifier(nitroModule: $0 + "-enc0123456789abcdef")?.deviceID }
        #expect(devices[0] == SHA256.hash(Array(first.utf8)))
        #expect(devices[1] != nil && devices[0] != devices[1])
        #expect(!devices.contains(DeviceIdentifier.ofAllEnclaves))
        for text in [
            "", "i", "i-", "i-enc0123", "-enc0123", "i-0123456789abcdeg-enc01", "x-0123456789abcdef0-enc01", first,
        ] {
            #expect(DeviceIdentifier(nitroModule: text) == nil, "\(text)")
        }
    }
}
