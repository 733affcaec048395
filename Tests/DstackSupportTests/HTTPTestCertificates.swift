import Foundation
import TestKit

/// Certificates made for a run of the tests, by the `openssl` program.
struct HTTPTestCertificates: Sendable {
    let authority: [UInt8]
    /// For 127.0.0.1 and localhost.
    let server: [UInt8]
    let serverKey: [UInt8]
    let client: [UInt8]
    let clientKey: [UInt8]
    /// Signed by itself, for localhost.
    let stranger: [UInt8]
    let strangerKey: [UInt8]
    private let directory: ScratchDirectory

    var authorityFile: String { directory.path("ca.pem") }
    var clientFile: String { directory.path("client.pem") }
    var clientKeyFile: String { directory.path("client.key") }

    /// Nil where the program is missing.
    static let shared: HTTPTestCertificates? = try? HTTPTestCertificates()

    private init() throws {
        let directory = try ScratchDirectory()
        func run(_ arguments: [String]) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
            process.arguments = arguments
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { throw POSIXError(.EINVAL) }
        }
        func make(_ name: String, _ subject: String, _ extensions: [String], signedBy authority: String?) throws {
            var arguments = [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=\(subject)", "-keyout", directory.path("\(name).key"), "-out",
                directory.path("\(name).pem"),
            ]
            for text in extensions { arguments += ["-addext", text] }
            if let authority {
                arguments += ["-CA", directory.path("\(authority).pem"), "-CAkey", directory.path("\(authority).key")]
            }
            try run(arguments)
        }
        let leaf = "basicConstraints=critical,CA:FALSE"
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        try make("ca", "test authority", [], signedBy: nil)
        try make("server", "server", [leaf, names], signedBy: "ca")
        try make("client", "client", [leaf], signedBy: "ca")
        try make("stranger", "stranger", [leaf, names], signedBy: nil)
        func read(_ name: String) throws -> [UInt8] {
            [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path(name))))
        }
        authority = try read("ca.pem")
        server = try read("server.pem")
        serverKey = try read("server.key")
        client = try read("client.pem")
        clientKey = try read("client.key")
        stranger = try read("stranger.pem")
        strangerKey = try read("stranger.key")
        self.directory = directory
    }

    /// The DER inside a PEM certificate.
    static func der(_ pem: [UInt8]) -> [UInt8] {
        let text = String(decoding: pem, as: UTF8.self)
        let body = text.split(separator: "\n").drop { !$0.hasPrefix("-----BEGIN CERT") }.dropFirst()
            .prefix { !$0.hasPrefix("-----END") }.joined()
        return [UInt8](Data(base64Encoded: body) ?? Data())
    }
}
