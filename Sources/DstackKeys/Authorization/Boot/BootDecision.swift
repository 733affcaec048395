package import DstackEncoding

/// The answer to whether a machine may boot.
package struct BootDecision: Sendable, Hashable {
    package let isAllowed: Bool
    /// The application that gateways run, which applications are told to trust; empty where there is none.
    package let gatewayAppID: String
    /// Why not; empty where it is allowed.
    package let reason: String

    package init(isAllowed: Bool, gatewayAppID: String, reason: String) {
        self.isAllowed = isAllowed
        self.gatewayAppID = gatewayAppID
        self.reason = reason
    }

    package static func allowed(gatewayAppID: String) -> BootDecision {
        BootDecision(isAllowed: true, gatewayAppID: gatewayAppID, reason: "")
    }

    package static func denied(_ reason: String, gatewayAppID: String = "") -> BootDecision {
        BootDecision(isAllowed: false, gatewayAppID: gatewayAppID, reason: reason)
    }

    /// Reads a service's answer. All three members must be there; others are ignored.
    package init(parsingJSON bytes: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: bytes, subject: "answer", maximumDepth: 16).root
        isAllowed = try root.member("isAllowed").bool()
        gatewayAppID = try root.member("gatewayAppId").string()
        reason = try root.member("reason").string()
    }

    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            object.member("isAllowed", isAllowed)
            object.member("reason", reason)
            object.member("gatewayAppId", gatewayAppID)
        }
        return writer.bytes
    }
}
