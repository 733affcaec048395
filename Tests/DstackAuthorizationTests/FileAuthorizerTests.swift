import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Rules in auth-simple's file")
struct FileAuthorizerTests {
    private let directory: ScratchDirectory
    private let log = TestLog()

    init() throws { directory = try ScratchDirectory() }

    private func authorizer() -> FileAuthorizer { FileAuthorizer(directory.path("auth-config.json"), log: log.log) }

    private func write(_ object: [String: Any]) throws {
        try directory.write(String(decoding: object.json(), as: UTF8.self), "auth-config.json")
    }

    private static let app = "0x" + digits(0xA1, 20)

    /// Rules under which the sample boots as either.
    private func rules(_ change: (inout [String: Any]) -> Void = { _ in }) -> [String: Any] {
        var object: [String: Any] = [
            "gatewayAppId": "0xc44e", "osImages": ["0x" + digits(0x05, 32)],
            "kms": ["mrAggregated": [digits(0x3A, 32)], "devices": [digits(0xD1, 32)]],
            "apps": [Self.app: ["composeHashes": [digits(0xC0, 32)], "devices": [digits(0xD1, 32)]]],
        ]
        change(&object)
        return object
    }

    @Test("every vector gets upstream's answer, but for an empty device list", .needs("auth-simple.json"))
    func vectors() async throws {
        for row in try AuthorizationVectors.rows("auth-simple.json", "cases") {
            try? FileManager.default.removeItem(atPath: directory.path("auth-config.json"))
            if let config = row["config"] as? [String: Any] { try write(config) }
            let info = try BootInfo(parsingJSON: row.row("body").json())
            let subject = try #require(BootSubject.allCases.first { $0.path == row["path"] as? String })
            let decision = try await authorizer().decide(info, as: subject)
            var expected = try row.row("response")
            if let stricter = row["stricter_answer_is_acceptable"] as? [String: Any] {
                expected.merge(stricter) { $1 }
                // With our key the lax answer is to be had.
                var config = try row.row("config")
                config["emptyDevicesMeanAny"] = true
                try write(config)
                #expect(try await authorizer().decide(info, as: subject).isAllowed)
            }
            let why = Comment(rawValue: "\(row["why"] ?? "")")
            #expect(decision.isAllowed == expected["isAllowed"] as? Bool, why)
            #expect(decision.reason == expected["reason"] as? String, why)
            #expect(decision.gatewayAppID == expected["gatewayAppId"] as? String, why)
        }
        let info = try AuthorizationVectors.load("auth-simple.json").row("info")
        try write(info.row("config"))
        let answer = try JSONSerialization.jsonObject(with: Data(await authorizer().info().json)) as? NSDictionary
        #expect(answer == (try info.row("response") as NSDictionary))
    }

    @Test("an empty device list does not become any device", arguments: BootSubject.allCases)
    func emptyDevices(_ subject: BootSubject) async throws {
        for devices in [[:], ["devices": [String]()], ["allowAnyDevice": false]] as [[String: Any]] {
            try write(
                rules {
                    $0["kms"] = ["mrAggregated": [digits(0x3A, 32)]].merging(devices) { $1 }
                    $0["apps"] = [Self.app: ["composeHashes": [digits(0xC0, 32)]].merging(devices) { $1 }]
                })
            let decision = try await authorizer().decide(.sample(), as: subject)
            #expect(!decision.isAllowed && decision.reason.hasSuffix("not allowed to boot on this device"))
        }
        #expect(log.lines.contains { $0.contains("devices is empty, which allows no device") })
        try write(
            rules {
                $0["kms"] = ["mrAggregated": [digits(0x3A, 32)]]
                $0["apps"] = [Self.app: ["composeHashes": [digits(0xC0, 32)]]]
                $0["emptyDevicesMeanAny"] = true
            })
        #expect(try await authorizer().decide(.sample(), as: subject).isAllowed)
        #expect(log.lines.contains { $0.contains("an empty device list allows any device") })
    }

    @Test("an edit is in force at once, also one of the same length within the same moment")
    func edits() async throws {
        try write(rules())
        let authorizer = authorizer()
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
        for round in 0..<20 {
            let digit: UInt8 = round.isMultiple(of: 2) ? 0xC1 : 0xC0
            try write(
                rules { $0["apps"] = [Self.app: ["composeHashes": [digits(digit, 32)], "allowAnyDevice": true]] })
            #expect(try await authorizer.decide(.sample(), as: .app).isAllowed == (digit == 0xC0))
        }
        try FileManager.default.removeItem(atPath: directory.path("auth-config.json"))
        #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed)
        try write(rules())
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
    }

    /// When anything about a file changed, in nanoseconds.
    private func changed(_ path: String) throws -> Int {
        var status = stat()
        try #require(stat(path, &status) == 0)
        return status.st_ctim.tv_sec * 1_000_000_000 + status.st_ctim.tv_nsec
    }

    @Test("a file that has stood still is known without being read, and noticed when it is replaced")
    func settled() async throws {
        try write(rules())
        let path = directory.path("auth-config.json")
        let clock = FixedWallClock(unixSeconds: SystemWallClock().unixSeconds + 4)
        let authorizer = FileAuthorizer(path, log: log.log, clock: clock)
        for _ in 0..<3 { #expect(try await authorizer.decide(.sample(), as: .app).isAllowed) }
        // A file that has stood still is not changed within one tick of the file system's clock.
        let written = try changed(path)
        #expect(try await eventually { try changed(directory.write("", "probe")) != written })
        // Of the same size, with the old one's time of modification.
        let date = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacingOccurrences(of: digits(0xC0, 32), with: digits(0xC1, 32)).write(
            toFile: path, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.modificationDate: try #require(date)], ofItemAtPath: path)
        #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed)
    }

    @Test(
        "a damaged file does not keep an old permission in force, and says once why",
        arguments: [
            "", "{", "[]", "null", #"{"osImages": "x"}"#, #"{"osImages": [1]}"#, #"{"apps": []}"#,
            #"{"kms": {"allowAnyDevice": "yes"}}"#, #"{"chainId": -1}"#, #"{"chainId": null}"#,
            #"{"emptyDevicesMeanAny": 1}"#, #"{"kms": null}"#, "{} {}", #"{"osImages": [], "osImages": []}"#,
            "\u{FEFF}{}",
        ])
    func damaged(_ text: String) async throws {
        try write(rules())
        let authorizer = authorizer()
        #expect(try await authorizer.decide(.sample(), as: .kms).isAllowed)
        try directory.write(text, "auth-config.json")
        for _ in 0..<3 {
            for subject in BootSubject.allCases {
                #expect(
                    try await authorizer.decide(.sample(), as: subject) == .denied("OS image is not allowed"))
            }
        }
        #expect(try await authorizer.info().status == "error")
        #expect(log.lines.filter { $0.contains("everything is denied") }.count == 1, "\(log.lines)")
    }

    @Test("what is no regular file denies, and holds nobody up")
    func noFile() async throws {
        let path = directory.path("auth-config.json")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(try await !authorizer().decide(.sample(), as: .app).isAllowed)
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
        #expect(try await !authorizer().decide(.sample(), as: .app).isAllowed)
    }

    @Test("a short entry does not meet a padded value, and is remarked upon")
    func shortEntries() async throws {
        let zeros = digits(0, 31)
        let info = BootInfo.sample().with { $0.osImageHash = FixedBytes(hex: zeros + "05") }
        for entry in ["5", "05", "0x5", "0x05", "", "0x"] {
            try write(rules { $0["osImages"] = [entry] })
            #expect(try await authorizer().decide(info, as: .app).reason == "OS image is not allowed")
        }
        #expect(log.lines.contains { $0.contains("osImages[0] matches nothing") })
        try write(rules { $0["osImages"] = [zeros + "05"] })
        #expect(try await authorizer().decide(info, as: .app).isAllowed)
    }

    @Test("a machine without an image is not allowed by an empty entry")
    func noImage() async throws {
        try write(rules { $0["osImages"] = ["", "0x", digits(0, 32)] })
        let info = BootInfo.sample().with { $0.osImageHash = nil }
        #expect(try await !authorizer().decide(info, as: .kms).isAllowed)
    }

    @Test("an SNP chip may be listed as it is, and what all Nitro enclaves share lists none of them")
    func devices() async throws {
        let chip = [UInt8](100..<164)
        let info = BootInfo.sample().with { $0.deviceID = SHA256.hash(chip) }
        try write(
            rules { $0["kms"] = ["mrAggregated": [digits(0x3A, 32)], "devices": [Hex.encode(chip)]] })
        #expect(try await authorizer().decide(info, as: .kms).isAllowed)
        let enclave = BootInfo.sample().with { $0.deviceID = DeviceIdentifier.ofAllEnclaves }
        for key in ["emptyDevicesMeanAny", "other"] {
            try write(
                rules {
                    $0["kms"] = ["mrAggregated": [digits(0x3A, 32)], "devices": [enclave.deviceID.hex]]
                    $0[key] = true
                })
            #expect(try await !authorizer().decide(enclave, as: .kms).isAllowed)
        }
    }

    @Test("of two entries for one application the first counts, and mistyped keys are told")
    func remarks() async throws {
        try directory.write(
            """
            {"osImages": ["\(digits(0x05, 32))"], "osImage": [],
             "apps": {"\(Self.app)": {"composeHashs": [], "composeHashes": [], "allowAnyDevice": true},
                      "\(Self.app.uppercased())": {"composeHashes": ["\(digits(0xC0, 32))"], "allowAnyDevice": true}}}
            """, "auth-config.json")
        #expect(try await authorizer().decide(.sample(), as: .app).reason == "compose hash not allowed")
        #expect(log.lines.contains { $0.contains("osImage is not known and ignored: did you mean osImages?") })
        #expect(log.lines.contains { $0.contains("composeHashs is not known") })
        #expect(log.lines.contains { $0.contains("there is the same id before it") })
    }
}
