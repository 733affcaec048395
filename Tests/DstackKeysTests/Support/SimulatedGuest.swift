import DstackAttestation
import DstackCrypto
import DstackKeys
import DstackMockTEE
import Foundation
import Testing

/// A guest in a simulated trust domain that gives attestations.
struct SimulatedGuest {
    /// When everything in these tests happens, Unix seconds.
    static let now: Int64 = 1_790_000_000

    let platform: MockPlatform
    let boot: MockBoot

    init(eventVersion: RuntimeEvent.Version = .v1) throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x11))
        boot = try MockBoot(
            platform, appCompose: Array("{\"name\":\"test\"}".utf8), eventVersion: eventVersion)
    }

    func attestation(_ reportData: ReportData) throws -> Attestation {
        try Attestation(quote: boot.quote(reportData: reportData.bytes.bytes), eventLog: boot.eventLog)
    }
}

/// The `openssl` program, which shares none of our code.
enum OpenSSLProgram {
    static let isPresent = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}

extension Trait where Self == ConditionTrait {
    static var needsOpenSSLProgram: Self {
        .enabled(if: OpenSSLProgram.isPresent, "the openssl program is not installed (/usr/bin/openssl)")
    }
}
