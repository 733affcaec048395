import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

func secret(_ text: String) -> SecretBytes { SecretBytes(copying: hex(text)) }

/// Whether no error is thrown.
func succeeds(_ body: () throws -> Void) -> Bool {
    do {
        try body()
        return true
    } catch { return false }
}

extension SecretBytes {
    borrowing func hexForTest() -> String { Hex.encode(copiedToUnprotectedMemory()) }
}

/// The `openssl` program, an implementation of everything here that shares none of our code.
enum OpenSSLProgram {
    static let isPresent = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    struct Answer {
        let status: Int32
        let output: String
    }

    static func run(_ arguments: String...) throws -> Answer {
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
        return Answer(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
    }
}

extension Trait where Self == ConditionTrait {
    static var needsOpenSSLProgram: Self {
        .enabled(if: OpenSSLProgram.isPresent, "the openssl program is not installed (/usr/bin/openssl)")
    }
}
