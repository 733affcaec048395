package import DstackEncoding

/// What is asked of the contract with the rules of a key management service, as bytes, and what its answers mean.
package enum KMSContract {
    private static let bootInfo =
        "(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])"
    /// No contract of this kind has reasons or identifiers as long.
    private static let maximumTextBytes = 4 << 10

    /// The call that decides.
    ///
    /// Nothing is padded on the way here: identifiers have their lengths, and what a machine has not cannot be asked about.
    /// But for the instance, whose type in the contract is an address: none is the zero address.
    ///
    /// - Throws: ``Missing`` for what the contract compares and the machine has not.
    package static func call(_ subject: BootSubject, _ info: BootInfo) throws(Missing) -> [UInt8] {
        guard let osImageHash = info.osImageHash else { throw Missing(name: "osImageHash") }
        guard let mrSystem = info.mrSystem else { throw Missing(name: "mrSystem") }
        guard info.deviceID != DeviceIdentifier.ofAllEnclaves else { throw Missing(name: "a deviceId of its own") }
        let status = ABI.string(info.tcbStatus)
        let head = 9 * ABI.wordSize
        return selector(subject) + ABI.word(ABI.wordSize) + ABI.word(info.appID) + info.composeHash.bytes
            + ABI.word(info.instanceID ?? FixedBytes()) + info.deviceID.bytes + info.mrAggregated.bytes
            + mrSystem.bytes + osImageHash.bytes + ABI.word(head) + ABI.word(head + status.count) + status
            + ABI.strings(info.advisoryIDs)
    }

    /// Something of a machine that there must be.
    package struct Missing: Error, Sendable, Equatable {
        package let name: String
    }

    static func selector(_ subject: BootSubject) -> [UInt8] {
        switch subject {
        case .app: isAppAllowed
        case .kms: isKMSAllowed
        }
    }

    private static let isAppAllowed = ABI.selector("isAppAllowed(\(bootInfo))")
    private static let isKMSAllowed = ABI.selector("isKmsAllowed(\(bootInfo))")
    /// Calls without arguments.
    static let gatewayAppIDCall = ABI.selector("gatewayAppId()")
    static let appImplementationCall = ABI.selector("appImplementation()")

    /// What the call that decides returns.
    package static func decision(_ returned: [UInt8]) throws(DecodingFailure) -> (isAllowed: Bool, reason: String) {
        let reader = try ABIReader(returned, head: 2, subject: "decision of the contract")
        return (try reader.bool(0), try reader.string(1, atMost: maximumTextBytes))
    }

    package static func gatewayAppID(_ returned: [UInt8]) throws(DecodingFailure) -> String {
        try ABIReader(returned, head: 1, subject: "gatewayAppId of the contract").string(0, atMost: maximumTextBytes)
    }

    package static func appImplementation(_ returned: [UInt8]) throws(DecodingFailure) -> FixedBytes<20> {
        try ABIReader(returned, head: 1, subject: "appImplementation of the contract").address(0)
    }

    /// Why a contract refused to answer, as far as that can be read.
    package static func revertReason(_ data: [UInt8]) -> String? {
        let argument = Array(data.dropFirst(4))
        switch Array(data.prefix(4)) {
        case [0x08, 0xC3, 0x79, 0xA0]:
            return try? ABIReader(argument, head: 1, subject: "reason").string(0, atMost: maximumTextBytes)
        case [0x4E, 0x48, 0x7B, 0x71] where argument.count == ABI.wordSize: return "panic \(argument.last ?? 0)"
        case let selector where selector.count == 4: return "error \(Hex.encode(selector))"
        default: return nil
        }
    }
}
