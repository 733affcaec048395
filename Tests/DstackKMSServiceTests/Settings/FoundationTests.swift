import DstackKMSService
import DstackSystem
import Foundation
import TestKit
import Testing

/// What a service looks at when it starts, before it has or makes any keys.
@Suite("KMS: what has to be there before there are keys")
struct FoundationTests {
    private let scratch: ScratchDirectory
    private var settings: KMSSettings

    init() throws {
        scratch = try ScratchDirectory()
        settings = KMSSettings()
        settings.files.certificateDirectory = scratch.path("kms/certs")
        settings.authorization = .development(gatewayAppID: "any")
        try scratch.write("shop:{SHA}notbcrypt", "passwords")
    }

    private func open(_ edit: (inout KMSSettings) throws -> Void = { _ in }) throws {
        var settings = settings
        try edit(&settings)
        _ = try KMSNode.Foundation(settings, agent: nil, version: KMSVersion("1.0", commit: nil))
    }

    @Test("a service that was never started makes its directories, for itself alone")
    func directories() throws {
        try open()
        for path in ["kms", "kms/certs", "kms/certs/state", "kms/certs/state/collateral"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: scratch.path(path))
            #expect(attributes[.posixPermissions] as? Int == 0o700, "\(path)")
        }
        try open()
    }

    @Test(
        "credentials that cannot be used are found before keys are made",
        arguments: [
            ("no credentials", "core.admin"), ("a missing password file", "core.admin.htpasswd_file"),
            ("a password file without bcrypt", "passwords:1"),
        ])
    func mistakes(name: String, place: String) throws {
        let error = #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) {
            try open { settings in
                switch name {
                case "no credentials": settings.admin.isEnabled = true
                case "a missing password file":
                    (settings.admin.isEnabled, settings.admin.passwordFile) = (true, scratch.path("nothing"))
                default: (settings.admin.isEnabled, settings.admin.passwordFile) = (true, scratch.path("passwords"))
                }
            }
        }
        #expect(error?.description.contains(place) == true, "\(name): \(error?.description ?? "")")
    }
}
