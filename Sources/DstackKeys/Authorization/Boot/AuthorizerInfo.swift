package import DstackEncoding

/// What whoever decides says about itself: where its rules stand.
package struct AuthorizerInfo: Sendable, Hashable {
    /// `0x` and forty zeros, which stand for no contract.
    package static let noContract = "0x" + String(repeating: "0", count: 40)

    /// `ok`, or what is wrong.
    package var status: String
    /// Of the contract with the rules of the key management service.
    package var kmsContractAddress: String
    /// Of the node that is asked, without what may be a secret in it; nil where none is.
    package var ethereumURL: String?
    package var gatewayAppID: String
    /// Zero where there is no chain.
    package var chainID: UInt64
    /// The contract that new applications get.
    package var appImplementation: String

    package init(
        status: String = "ok", kmsContractAddress: String = noContract, ethereumURL: String? = nil,
        gatewayAppID: String, chainID: UInt64 = 0, appImplementation: String = noContract
    ) {
        self.status = status
        self.kmsContractAddress = kmsContractAddress
        self.ethereumURL = ethereumURL
        self.gatewayAppID = gatewayAppID
        self.chainID = chainID
        self.appImplementation = appImplementation
    }

    /// Reads a service's answer; members that are not known are ignored.
    package init(parsingJSON bytes: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: bytes, subject: "answer", maximumDepth: 16).root
        status = try root.member("status").string()
        kmsContractAddress = try root.member("kmsContractAddr").string()
        ethereumURL = try root.optionalMember("ethRpcUrl")?.string()
        gatewayAppID = try root.member("gatewayAppId").string()
        chainID = try root.member("chainId").integer()
        appImplementation = try root.member("appImplementation").string()
    }

    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            object.member("status", status)
            object.member("kmsContractAddr", kmsContractAddress)
            if let ethereumURL { object.member("ethRpcUrl", ethereumURL) }
            object.member("gatewayAppId", gatewayAppID)
            object.member("chainId", chainID)
            // The same under the name that old clients know.
            object.member("appAuthImplementation", appImplementation)
            object.member("appImplementation", appImplementation)
        }
        return writer.bytes
    }
}
