import DstackEncoding

/// What a local key provider is asked: a quote, in whose report data the public key is to which the answer is sealed.
package struct SealingKeyRequest: Sendable, Hashable {
    package var quote: [UInt8]

    /// The largest quote that providers read, 1 MiB.
    package static let maximumQuoteBytes = 1 << 20

    package init(quote: [UInt8]) { self.quote = quote }
}

/// What it answers.
package struct SealingKeyResponse: Sendable, Hashable {
    /// A sealed box with 32 bytes.
    package var encryptedKey: [UInt8]
    /// The provider's own quote, about the box.
    package var providerQuote: [UInt8]

    /// Quotes of enclaves have a tenth of it.
    package static let maximumQuoteBytes = 64 << 10

    package init(encryptedKey: [UInt8], providerQuote: [UInt8]) {
        self.encryptedKey = encryptedKey
        self.providerQuote = providerQuote
    }
}

extension SealingKeyRequest {
    package var json: [UInt8] { ByteArrays.write([("quote", quote)]) }

    package init(json: [UInt8]) throws(KeyProviderError) {
        let read = try ByteArrays.read(
            json, "request for a sealing key", [("quote", 1...Self.maximumQuoteBytes)])
        self.init(quote: read[0])
    }
}

extension SealingKeyResponse {
    package var json: [UInt8] {
        ByteArrays.write([("encrypted_key", encryptedKey), ("provider_quote", providerQuote)])
    }

    package init(json: [UInt8]) throws(KeyProviderError) {
        let read = try ByteArrays.read(
            json, "answer of the key provider",
            [("encrypted_key", 1...1024), ("provider_quote", 1...Self.maximumQuoteBytes)])
        self.init(encryptedKey: read[0], providerQuote: read[1])
    }
}
