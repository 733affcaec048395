import Foundation
import TestKit
import Testing

/// Which test reproduces which part of the vectors: whoever adds a part to these adds a test, and a line here.
@Suite("Every vector of keys has its test", .needsVectors("keys/kdf.json"))
struct VectorListTests {
    /// By file and member, a file of tests that reads it.
    private static let readers: [String: [String: String]] = [
        "auth-simple": [
            "cases": "DstackAuthorizationTests/FileAuthorizerTests",
            "malformed": "DstackAuthorizationTests/AuthorizationServiceTests",
            "info": "DstackAuthorizationTests/FileAuthorizerTests",
        ],
        "certs": [
            "common": "DstackKeysTests/CertificateVectorTests",
            "pieces": "DstackAttestationTests/RATLSCertificateTests",
            "tbs": "DstackKeysTests/CertificateVectorTests",
            "upstream_known_answer": "DstackKeysTests/CertificateVectorTests",
        ],
        "compose-hash": [
            "languages_disagree": "DstackAttestationTests/AppComposeTests",
            "raw_file_hash": "DstackAttestationTests/AppComposeTests",
            "sdk_hash": "DstackAttestationTests/AppComposeTests",
        ],
        "contracts": [
            "calls": "DstackAuthorizationTests/ContractTests",
            "error_selectors": "DstackAuthorizationTests/ContractNamesTests",
            "event_topics": "DstackAuthorizationTests/ContractNamesTests",
            "gatewayAppId_returndata": "DstackAuthorizationTests/ContractTests",
            "interface_ids": "DstackAuthorizationTests/ContractNamesTests",
            "left_padding": "DstackAuthorizationTests/ContractNamesTests",
            "mapping_slots": "DstackAuthorizationTests/ContractNamesTests",
            "policy_names": "DstackAuthorizationTests/ContractNamesTests",
            "results": "DstackAuthorizationTests/ContractTests",
            "revert_error_string": "DstackAuthorizationTests/ContractTests",
            "selectors": "DstackAuthorizationTests/ContractNamesTests",
            "storage": "DstackAuthorizationTests/ContractNamesTests",
        ],
        "csr": [
            "app_info": "DstackAttestationTests/AppInfoTests", "cases": "DstackKeysTests/SigningRequestTests",
            "must_fail": "DstackKeysTests/SigningRequestTests",
            "upstream_known_answers": "DstackKeysTests/SigningRequestTests",
        ],
        "env-encryption": [
            "cases": "DstackKeysTests/EnvironmentTests", "filter": "DstackKeysTests/EnvironmentTests",
            "must_fail": "DstackKeysTests/EnvironmentTests", "to_sdk_test_key": "DstackKeysTests/EnvironmentTests",
            "upstream_known_answer": "DstackKeysTests/EnvironmentTests",
        ],
        "kdf": [
            "device_id": "DstackAttestationTests/ApplicationIdentityTests",
            "guest": "DstackKeysTests/GuestKeyVectorTests", "hkdf": "DstackKeysTests/DerivationVectorTests",
            "hkdf_unframed": "DstackKeysTests/DerivationVectorTests",
            "identifiers": "DstackAttestationTests/ApplicationIdentityTests",
            "key_provider_info": "DstackAttestationTests/ApplicationIdentityTests",
            "kms": "DstackKeysTests/DerivationVectorTests",
            "launch_token": "DstackAttestationTests/ApplicationIdentityTests",
            "p256_derivation": "DstackKeysTests/DerivationVectorTests",
            "report_data": "DstackKeysTests/DerivationVectorTests", "scalar_range": "DstackCryptoTests/KeyVectorTests",
            "seeded_without_kms": "DstackKeysTests/DerivationVectorTests",
            "tdx_measurement_digests": "DstackAttestationTests/ApplicationIdentityTests",
            "upstream_known_answers": "DstackKeysTests/DerivationVectorTests",
        ],
        "prpc": [
            "accepted_json": "DstackRPCTests/RPCVectorTests", "messages": "DstackRPCTests/RPCVectorTests",
            "rejected_json": "DstackRPCTests/RPCVectorTests",
        ],
        "sealed-box": [
            "cases": "DstackCryptoTests/SealedBoxTests", "frames": "DstackKeyProviderTests/LocalKeyProviderTests",
            "local_key_provider_key": "DstackKeyProviderTests/LocalKeyProviderTests",
            "must_fail": "DstackCryptoTests/SealedBoxTests",
            "upstream_known_answers": "DstackCryptoTests/SealedBoxTests",
        ],
    ]

    @Test("no file and no part of one is without")
    func complete() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Vectors.path("keys"))
        let files = names.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
        #expect(Set(files) == Set(Self.readers.keys))
        for file in files {
            let members = Set(try Vectors.object("keys/\(file).json").keys).subtracting(["about", "set"])
            #expect(members == Set((Self.readers[file] ?? [:]).keys), "\(file)")
        }
    }

    @Test("the tests that are named read what is said of them")
    func readers() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        for (file, members) in Self.readers {
            for (member, reader) in members {
                let text = try String(contentsOf: tests.appendingPathComponent(reader + ".swift"), encoding: .utf8)
                #expect(text.contains("\(file).json") && text.contains("\"\(member)\""), "\(file) \(member): \(reader)")
            }
        }
    }
}
