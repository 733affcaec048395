/// Keys, certificates and signatures.
extension AgentRPC {
    /// A certificate for a fresh key.
    package struct GetTlsKeyArgs: RPCMessage {
        /// Common name of the certificate.
        package var subject = ""
        /// IP addresses and DNS names.
        package var altNames: [String] = []
        /// Whether the certificate carries evidence.
        package var usageRATLS = false
        package var usageServerAuth = false
        package var usageClientAuth = false
        /// Seconds since 1970.
        package var notBefore: UInt64?
        /// Seconds since 1970.
        package var notAfter: UInt64?
        /// Whether the certificate carries the application's identity.
        package var withAppInfo = false
        /// A PKCS#10 request, PEM or DER, whose key the certificate is to be for; its other content is not looked at.
        /// This and the next are not upstream's.
        package var csr: [UInt8] = []
        /// A key that the certificate is to be for: SubjectPublicKeyInfo, DER.
        package var publicKey: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "subject", &subject)
            fields.repeated(2, "alt_names", &altNames)
            fields.value(3, "usage_ra_tls", &usageRATLS)
            fields.value(4, "usage_server_auth", &usageServerAuth)
            fields.value(5, "usage_client_auth", &usageClientAuth)
            fields.optional(6, "not_before", &notBefore)
            fields.optional(7, "not_after", &notAfter)
            fields.value(8, "with_app_info", &withAppInfo)
            fields.value(1001, "csr", &csr, omittedFromJSONIfDefault: true)
            fields.value(1002, "public_key", &publicKey, omittedFromJSONIfDefault: true)
        }
    }

    package struct GetTlsKeyResponse: RPCMessage {
        /// PKCS#8, PEM; empty for a key of the caller's own.
        package var key = RPCSecretText()
        /// PEM, leaf first, root last.
        package var certificateChain: [String] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "key", &key)
            fields.repeated(2, "certificate_chain", &certificateChain)
        }
    }

    package struct GetKeyArgs: RPCMessage {
        package var path = ""
        package var purpose = ""
        /// `secp256k1` (or empty, or `k256`), `ed25519`.
        package var algorithm = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "path", &path)
            fields.value(2, "purpose", &purpose)
            fields.value(3, "algorithm", &algorithm)
        }
    }

    package struct GetKeyResponse: RPCMessage {
        /// 32 bytes.
        package var key = RPCSecret()
        /// The key's claim signed by the application's key, then that key's signed by the KMS.
        package var signatureChain: [[UInt8]] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "key", &key)
            fields.repeated(2, "signature_chain", &signatureChain)
        }
    }

    package struct SignRequest: RPCMessage {
        /// As of ``GetKeyArgs``, and `secp256k1_prehashed`; never empty.
        package var algorithm = ""
        package var data: [UInt8] = []
        /// What the data is signed as; empty for the data alone. Not upstream's.
        package var context = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "algorithm", &algorithm)
            fields.value(2, "data", &data)
            fields.value(1001, "context", &context, omittedFromJSONIfDefault: true)
        }
    }

    package struct SignResponse: RPCMessage {
        package var signature: [UInt8] = []
        /// The signature, then the chain as of ``GetKeyResponse``.
        package var signatureChain: [[UInt8]] = []
        package var publicKey: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "signature", &signature)
            fields.repeated(2, "signature_chain", &signatureChain)
            fields.value(3, "public_key", &publicKey)
        }
    }

    package struct VerifyRequest: RPCMessage {
        package var algorithm = ""
        package var data: [UInt8] = []
        package var signature: [UInt8] = []
        package var publicKey: [UInt8] = []
        /// As of ``SignRequest``.
        package var context = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "algorithm", &algorithm)
            fields.value(2, "data", &data)
            fields.value(3, "signature", &signature)
            fields.value(4, "public_key", &publicKey)
            fields.value(1001, "context", &context, omittedFromJSONIfDefault: true)
        }
    }

    package struct VerifyResponse: RPCMessage {
        package var isValid = false

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "valid", &isValid)
        }
    }
}
