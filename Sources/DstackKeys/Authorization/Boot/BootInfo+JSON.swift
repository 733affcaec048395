import DstackCrypto
package import DstackEncoding

extension BootInfo {
    /// No sender writes as many, and a list without end would be paid for by whoever decides.
    private static let maximumAdvisories = 128
    private static let maximumAdvisoryLength = 256
    private static let maximumWordLength = 128

    /// Reads the JSON that services are sent (camelCase names, bytes in hexadecimal of either case, with `0x` or without).
    ///
    /// Members that are not known are ignored: senders of all versions have some. Lengths are exact: a short value that is
    /// padded somewhere would meet an entry that was meant for something else.
    ///
    /// - Throws: ``DecodingFailure`` that names the member.
    package init(parsingJSON bytes: [UInt8]) throws(DecodingFailure) {
        let root = try JSONDocument(parsing: bytes, subject: "boot info", maximumDepth: 16).root
        mrAggregated = try root.member("mrAggregated").fixedHex()
        osImageHash = try root.member("osImageHash").fixedHexOrEmpty()
        mrSystem = try root["mrSystem"]?.fixedHexOrEmpty()
        appID = try root.member("appId").fixedHex()
        composeHash = try root.member("composeHash").fixedHex()
        instanceID = try root.member("instanceId").fixedHexOrEmpty()
        deviceID = try Self.device(root.member("deviceId"))
        keyProviderInfo = try root["keyProviderInfo"]?.hexBytes() ?? []
        tcbStatus = try root["tcbStatus"]?.word(atMost: Self.maximumWordLength) ?? ""
        advisoryIDs = try Self.advisories(root["advisoryIds"])
        teeVariant = try Self.variant(root)
    }

    /// The hash of a platform's identifier. SNP's chip identifier comes as it is, 64 bytes, from old senders: it is hashed, so
    /// that one device has one name on all ways.
    private static func device(_ node: JSONNode) throws(DecodingFailure) -> FixedBytes<32> {
        let bytes = try node.hexBytes()
        if let id = FixedBytes<32>(bytes) { return id }
        guard bytes.count == 64 else {
            throw node.failure("32 bytes expected, or the 64 of a chip's identifier, found \(bytes.count)")
        }
        return SHA256.hash(bytes)
    }

    private static func advisories(_ node: JSONNode?) throws(DecodingFailure) -> [String] {
        guard let node else { return [] }
        var ids: [String] = []
        for element in try node.array() {
            guard ids.count < maximumAdvisories else {
                throw node.failure("at most \(maximumAdvisories) advisories expected", .tooLarge)
            }
            ids.append(try element.word(atMost: maximumAdvisoryLength))
        }
        return ids
    }

    /// Senders of before 0.6 call it `attestationMode`. Two that differ leave it to the reader what is meant.
    private static func variant(_ root: JSONNode) throws(DecodingFailure) -> String? {
        let variant = try root["teeVariant"]?.word(atMost: maximumWordLength)
        let old = try root["attestationMode"]?.word(atMost: maximumWordLength)
        if let variant, let old, variant != old {
            throw root.failure("teeVariant and attestationMode differ")
        }
        return variant ?? old
    }

    /// The JSON that services are sent: every member, bytes in lower-case hexadecimal without prefix.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            if let teeVariant { object.member("teeVariant", teeVariant) }
            object.member("mrAggregated", mrAggregated.hex)
            object.member("osImageHash", osImageHash?.hex ?? "")
            object.member("mrSystem", mrSystem?.hex ?? "")
            object.member("appId", appID.hex)
            object.member("composeHash", composeHash.hex)
            object.member("instanceId", instanceID?.hex ?? "")
            object.member("deviceId", deviceID.hex)
            object.member("keyProviderInfo", Hex.encode(keyProviderInfo))
            object.member("tcbStatus", tcbStatus)
            object.member("advisoryIds", advisoryIDs)
        }
        return writer.bytes
    }
}

extension JSONNode {
    /// As ``fixedHex(_:prefix:)``; nil where there is nothing at all, with a prefix or without.
    fileprivate func fixedHexOrEmpty<let count: Int>() throws(DecodingFailure) -> FixedBytes<count>? {
        try hexBytes().isEmpty ? nil : fixedHex()
    }

    fileprivate func word(atMost limit: Int) throws(DecodingFailure) -> String {
        let text = try string()
        guard text.unicodeScalars.count <= limit else {
            throw failure("at most \(limit) characters expected, found \(text.unicodeScalars.count)", .tooLarge)
        }
        return text
    }
}
