import Foundation
import TestKit
import Testing

/// The verifier service's vocabulary, held against what the programs declare.
@Suite(
    "Options as members of requests",
    .enabled(if: Program.path("dstack-verifier") != nil, "dstack-verifier is not built"))
struct OptionNamesInRequestsTests {
    /// What a request has by the same name, and what agents and gateways answer beside evidence.
    private static let known: Set = [
        "quote", "attestation", "event-log", "vm-config", "app-compose", "report-data", "policy", "version", "url",
    ]

    @Test(
        "a request that has the name of an option is refused: its author would believe that it did something",
        arguments: [("dstack-verifier", "verify"), ("dstack", "verify")])
    func refused(program: String, command: String) async throws {
        let help = try await Program.run(program, ["help", command])
        let options = Set(help.output.matches(of: /--([a-z][a-z-]+)/).map { String($0.output.1) })
        #expect(options.isSuperset(of: ["trust-root", "at", "compose-hash", "timeout"]), "\(help)")
        for option in options.subtracting(Self.known).sorted() {
            let name = option.replacing("-", with: "_")
            let result = try await Program.run(
                "/bin/sh", ["-c", #"echo '{"\#(name)":"00"}' | dstack-verifier --verify -"#],
                environment: ["PATH": try #require(Program.directory?.path) + ":/usr/bin:/bin"])
            #expect(result.status == 1 && result.output.contains("\(name) at byte"), "\(option): \(result)")
            #expect(result.output.contains("is not known here"), "\(option): \(result)")
        }
    }
}
