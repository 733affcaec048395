import DstackAttestation
import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackKMSService
import DstackMockTEE
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite struct ImageCacheTests {
    private let directory: ScratchDirectory
    private let images: ImageVerifier
    private let digits = Hex.encode([UInt8](repeating: 0xAB, count: 32))
    private let others = Hex.encode([UInt8](repeating: 0xCD, count: 32))

    init() throws {
        directory = try ScratchDirectory()
        var rules = ImageRules()
        rules.cacheDirectory = directory.path("cache")
        images = ImageVerifier(rules)
        for hash in [digits, others] {
            try make("cache/images/\(hash)/deep/er")
            try directory.write("kernel", "cache/images/\(hash)/deep/er/bzImage")
            try make("cache/measurements")
            try directory.write("{}", "cache/measurements/\(hash).json")
        }
        try directory.write("precious", "outside")
    }

    private func make(_ name: String) throws {
        try FileManager.default.createDirectory(at: directory.file(name), withIntermediateDirectories: true)
    }

    private func exists(_ name: String) -> Bool {
        (try? FileManager.default.attributesOfItem(atPath: directory.path(name))) != nil
    }

    private var isWhole: Bool {
        [digits, others].allSatisfy { hash in
            exists("cache/images/\(hash)/deep/er/bzImage") && exists("cache/measurements/\(hash).json")
        }
    }

    @Test func anEntryIsClearedByItsHash() throws {
        try images.clear(image: digits.uppercased(), config: "")
        #expect(!exists("cache/images/\(digits)") && exists("cache/images/\(others)/deep/er/bzImage"))
        #expect(exists("cache/measurements/\(digits).json"))
        try images.clear(image: "", config: digits)
        #expect(!exists("cache/measurements/\(digits).json") && exists("cache/measurements/\(others).json"))
        // What is not there is cleared.
        try images.clear(image: digits, config: digits)
    }

    @Test func allIsAll() throws {
        try images.clear(image: "all", config: "")
        #expect(!exists("cache/images") && exists("cache/measurements/\(digits).json"))
        try images.clear(image: "all", config: "all")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("cache")).isEmpty)
    }

    @Test func nothingIsNothing() throws {
        try images.clear(image: "", config: "")
        #expect(isWhole)
    }

    @Test func aDirectoryThatIsNotThereIsClear() throws {
        var rules = ImageRules()
        rules.cacheDirectory = directory.path("nowhere")
        try ImageVerifier(rules).clear(image: "all", config: digits)
    }

    @Test(arguments: [
        "..", ".", "/", "../outside", "ab/cd", "ab/../..", "ALL", "all ", " ", "0xab", "ab\0", "ab\n", "-1", "ａｂ", "١٢",
        String(repeating: "a", count: 129), "*", "ab.json",
    ])
    func aKeyThatIsNotHexadecimalClearsNothing(key: String) {
        for (image, config) in [(key, ""), ("", key), (digits, key), (key, digits), ("all", key), (key, "all")] {
            #expect {
                try images.clear(image: image, config: config)
            } throws: { error in
                guard let error = error as? KMSServiceError else { return false }
                return error.code == .invalidRequest && error.reason == "invalid cache key"
                    && !error.explanation.contains("outside")
            }
        }
        #expect(isWhole && exists("outside"))
    }

    @Test func linksAreRemovedAndNotFollowed() throws {
        try make("elsewhere/\(digits)")
        try directory.write("precious", "elsewhere/\(digits)/file")
        let manager = FileManager.default
        // Inside of an entry, as an entry, and in the place of the whole directory.
        try manager.createSymbolicLink(
            atPath: directory.path("cache/images/\(digits)/link"), withDestinationPath: directory.path("elsewhere"))
        try manager.removeItem(at: directory.file("cache/images/\(others)"))
        try manager.createSymbolicLink(
            atPath: directory.path("cache/images/\(others)"), withDestinationPath: directory.path("elsewhere"))
        try images.clear(image: digits, config: "")
        try images.clear(image: others, config: "")
        #expect(try manager.contentsOfDirectory(atPath: directory.path("cache/images")).isEmpty)

        try manager.removeItem(at: directory.file("cache/images"))
        try manager.createSymbolicLink(
            atPath: directory.path("cache/images"), withDestinationPath: directory.path("elsewhere"))
        #expect(throws: KMSServiceError(.internalFault, "", "")) { try images.clear(image: digits, config: "") }
        #expect(exists("elsewhere/\(digits)/file"))
        try images.clear(image: "all", config: "")
        #expect(!exists("cache/images") && exists("elsewhere/\(digits)/file"))
    }

    @Test func whatIsNestedWithoutEndIsLeft() throws {
        try make("cache/images/" + ([digits] + [String](repeating: "d", count: 100)).joined(separator: "/"))
        #expect(throws: KMSServiceError(.internalFault, "", "")) { try images.clear(image: digits, config: "") }
    }

    // MARK: What is remembered

    @Test func clearingForgetsWhatWasVerified() async throws {
        let kit = try CallerKit.shared()
        let judge = BootJudge(TestAuthorizer(), images: images)
        let report = try kit.report()
        let config = SHA256.hash(Array(kit.image.vmConfig.utf8)).hex
        func remember() async throws {
            _ = try await judge.admit(report, as: .app, at: .runtime, vmConfiguration: kit.image.vmConfig)
            #expect(images.count == 1)
        }
        for (image, config, left) in [
            (kit.image.osImageHash.hex, "", 0), ("", config, 0), ("all", "", 0), ("", "all", 0), (digits, digits, 1),
            ("", "", 1),
        ] {
            try await remember()
            try images.clear(image: image, config: config)
            #expect(images.count == left, "\(image) \(config)")
        }
    }

    /// A yes in a file is a yes by whoever can write there.
    @Test func aPlantedFileIsNotBelieved() async throws {
        let kit = try CallerKit.shared()
        var configuration = try StatedConfiguration(kit.image.vmConfig)
        configuration["memory_size"] = 0x1_0000_0000
        let text = try configuration.text
        let planted = "cache/measurements/\(SHA256.hash(Array(text.utf8)).hex).json"
        try directory.write(#"{"version":3,"measurements":{"mrtd":"00","verified":true}}"#, planted)
        let judge = BootJudge(TestAuthorizer(), images: images)
        let report = try kit.report()
        let error = await refusal { () async throws(KMSServiceError) in
            try await judge.admit(report, as: .app, at: .runtime, vmConfiguration: text)
        }
        #expect(error?.code == .imageNotVerified)
    }
}
