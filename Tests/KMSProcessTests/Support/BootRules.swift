import DstackAttestation
import DstackCrypto
import DstackMockTEE
import Foundation
import TestKit

/// Who may boot, as a file with auth-simple's rules.
struct BootRules {
    var gateway = "any"
    var statuses = ["UpToDate"]
    var images: [String]
    var kms: [String]
    var apps: [String: [String]]

    /// The service's own code, and one application.
    init(_ host: SimulatedHost) throws {
        images = [try MockImage().osImageHash.hex]
        kms = [try SimulatedHost.mrAggregated(host.kms)]
        apps = [host.app.appID.bytes.hex: [ComposeHash(ofFile: SimulatedHost.appCompose).bytes.hex]]
    }

    var text: String {
        get throws {
            let object: [String: Any] = [
                "gatewayAppId": gateway, "allowedTcbStatuses": statuses, "osImages": images,
                "kms": ["mrAggregated": kms, "allowAnyDevice": true] as [String: Any],
                "apps": apps.mapValues { ["composeHashes": $0, "allowAnyDevice": true] as [String: Any] },
            ]
            return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        }
    }
}
