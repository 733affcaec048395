package import DstackAttestation
import DstackEncoding

/// Which gateway an application trusts, as its KMS told it (`gateway_app_id`).
///
/// Upstream's guests look for the gateway's id somewhere in this text, so that an empty id, or a part of one, fits every gateway. Here
/// 20 bytes are compared.
package enum GatewayPin: Sendable, Hashable {
    /// Any gateway (`any`): nothing is compared, which whoever decides about boots has asked for.
    case any
    /// The one that runs this application.
    case application(AppID)
    /// None: there is no text, or one that names no application.
    case none

    /// - Parameter text: `any`, or an application's id in hexadecimal of either case, with `0x` or without.
    package init(_ text: String) {
        if text == "any" {
            self = .any
        } else if let bytes = try? Hex.decode(text, prefix: .optional, subject: "gateway_app_id"),
            let id = FixedBytes<20>(bytes)
        {
            self = .application(AppID(id))
        } else {
            self = .none
        }
    }

    /// Whether it is the gateway.
    ///
    /// - Parameter gateway: as the certificate of the other side has it, or its evidence; nil for one without.
    package func accepts(_ gateway: AppID?) -> Bool {
        switch self {
        case .any: true
        case .application(let app): app == gateway
        case .none: false
        }
    }
}

extension AppKeys {
    /// Which gateway the application trusts.
    package var gateway: GatewayPin { GatewayPin(gatewayAppID) }
}
