import Foundation
package import Testing

/// The `openssl` program, which shares none of our code.
package enum OpenSSLProgram {
    package static let isPresent = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    /// - Returns: its exit status, and what it wrote on both of its outputs.
    package static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
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
    /// Runs only where the `openssl` program is installed.
    package static var needsOpenSSLProgram: Self {
        .enabled(if: OpenSSLProgram.isPresent, "the openssl program is not installed (/usr/bin/openssl)")
    }
}
