import DstackAttestation
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Upstream's recorded fixture with its expected values, where it is at hand.
enum GuestFixture {
    static let directory = Vectors.directory.appendingPathComponent("guest-agent")
    static let isAvailable = Vectors.contain("guest-agent/attestation.decoded.json")
    static let absence = Vectors.absence
    static let inputs = ["appkeys.json", "app-compose.json", "sys-config.json", "attestation.bin"]

    static func read(_ name: String) throws -> [UInt8] {
        try Vectors.read("guest-agent/\(name)")
    }

    static func copy(to folder: ScratchDirectory) throws {
        for name in inputs { try folder.write(try read(name), name) }
    }

    /// What the fixture is known to say.
    struct Decoded: Decodable {
        struct Event: Decodable {
            let event: String
            let payload: String
        }
        struct Info: Decodable {
            let app_id: String
            let instance_id: String
            let compose_hash: String
            let key_provider_info: String
            let device_id: String
            let mr_aggregated: String
            let mr_system: String
            let os_image_hash_from_embedded_config: String
        }
        let quote: String
        let runtime_events: [Event]
        let config: String
        let measurements: [String: String]
        let expected_info: Info
        let get_quote_event_log_simulator: String
        let get_quote_event_log_hardware_style: String
    }

    static func decoded() throws -> Decoded {
        try JSONDecoder().decode(Decoded.self, from: Data(try read("attestation.decoded.json")))
    }
}

/// Verifies as a relying party would that was given the simulated root, and nothing else of the simulation.
func verify(
    _ attestation: Attestation, root: [UInt8], collateral: [UInt8], appCompose: [UInt8]?,
    policy: VerificationPolicy = .standard, at now: Int64
) throws -> VerificationReport {
    QuoteVerifier(trustAnchor: try TrustAnchor(certificate: root)).verify(
        Evidence(attestation: attestation.encoded.bytes, appCompose: appCompose),
        collateral: try QuoteCollateral(parsingJSON: collateral), policy: policy, at: now)
}
