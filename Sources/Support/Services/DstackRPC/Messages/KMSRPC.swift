/// The key management service and its messages (upstream's package `kms`).
package enum KMSRPC {
    package enum KMS {
        package static let name = "KMS"
        package static let getAppKey = RPCMethod<GetAppKeyRequest, AppKeyResponse>(name, "GetAppKey", .repeatable)
        package static let getKMSKey = RPCMethod<GetKmsKeyRequest, KmsKeyResponse>(name, "GetKmsKey", .repeatable)
        package static let getAppEnvEncryptPubKey = RPCMethod<AppId, PublicKeyResponse>(
            name, "GetAppEnvEncryptPubKey", .repeatable)
        package static let getMeta = RPCMethod<RPCEmpty, GetMetaResponse>(name, "GetMeta", .repeatable)
        package static let getTempCACert = RPCMethod<RPCEmpty, GetTempCaCertResponse>(
            name, "GetTempCaCert", .repeatable)
        package static let signCert = RPCMethod<SignCertRequest, SignCertResponse>(name, "SignCert", .repeatable)
    }

    package struct GetAppKeyRequest: RPCMessage {
        /// 0 or 1.
        package var apiVersion: UInt32 = 0
        /// JSON, as the host gave it to the guest.
        package var vmConfig = ""
        /// Of the keys that are asked for; nil for the application's current one. Upstream's have none, which are epoch 0.
        package var epoch: UInt64?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "api_version", &apiVersion)
            fields.value(2, "vm_config", &vmConfig)
            fields.optional(1001, "epoch", &epoch)
        }
    }

    package struct AppKeyResponse: RPCMessage {
        /// The root, PEM.
        package var caCertificate = ""
        /// 32 bytes.
        package var diskCryptKey = RPCSecret()
        /// 32 bytes.
        package var envCryptKey = RPCSecret()
        /// The application's key, 32 bytes.
        package var k256Key = RPCSecret()
        /// 65 bytes.
        package var k256Signature: [UInt8] = []
        /// The old name of `gateway_app_id`, with the same value.
        package var tproxyAppID = ""
        package var gatewayAppID = ""
        package var osImageHash: [UInt8] = []
        /// Of the keys. Nil from upstream's services, whose keys are of epoch 0.
        package var epoch: UInt64?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "ca_cert", &caCertificate)
            fields.value(2, "disk_crypt_key", &diskCryptKey)
            fields.value(3, "env_crypt_key", &envCryptKey)
            fields.value(4, "k256_key", &k256Key)
            fields.value(5, "k256_signature", &k256Signature)
            fields.value(6, "tproxy_app_id", &tproxyAppID)
            fields.value(7, "gateway_app_id", &gatewayAppID)
            fields.value(8, "os_image_hash", &osImageHash)
            fields.optional(1001, "epoch", &epoch)
        }
    }

    package struct AppId: RPCMessage {
        /// 20 bytes.
        package var appID: [UInt8] = []
        /// Of the keys that are asked for; nil for the application's current one. Upstream's have none, which are epoch 0.
        package var epoch: UInt64?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "app_id", &appID)
            fields.optional(1001, "epoch", &epoch)
        }
    }

    package struct PublicKeyResponse: RPCMessage {
        /// X25519, 32 bytes.
        package var publicKey: [UInt8] = []
        /// Without the time, 65 bytes.
        package var signature: [UInt8] = []
        /// Seconds since 1970.
        package var timestamp: UInt64 = 0
        /// With the time, 65 bytes.
        package var signatureV1: [UInt8] = []
        /// Of the keys. Nil from upstream's services, whose keys are of epoch 0.
        package var epoch: UInt64?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "public_key", &publicKey)
            fields.value(2, "signature", &signature)
            fields.value(3, "timestamp", &timestamp)
            fields.value(4, "signature_v1", &signatureV1)
            fields.optional(1001, "epoch", &epoch)
        }
    }

    package struct GetMetaResponse: RPCMessage {
        /// The root, PEM.
        package var caCertificate = ""
        package var allowsAnyUpgrade = false
        /// Compressed, 33 bytes.
        package var k256PublicKey: [UInt8] = []
        package var bootstrapInfo: BootstrapResponse?
        package var isDevelopment = false
        package var gatewayAppID: String?
        package var kmsContractAddress: String?
        package var chainID: UInt64?
        package var appAuthImplementation: String?
        /// How far the service's audit log has come, signed; JSON. Nil from upstream's services.
        package var auditHead: String?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "ca_cert", &caCertificate)
            fields.value(2, "allow_any_upgrade", &allowsAnyUpgrade)
            fields.value(3, "k256_pubkey", &k256PublicKey)
            fields.message(4, "bootstrap_info", &bootstrapInfo)
            fields.value(5, "is_dev", &isDevelopment)
            fields.optional(6, "gateway_app_id", &gatewayAppID)
            fields.optional(7, "kms_contract_address", &kmsContractAddress)
            fields.optional(8, "chain_id", &chainID)
            fields.optional(9, "app_auth_implementation", &appAuthImplementation)
            fields.optional(1001, "audit_head", &auditHead)
        }
    }

    package struct GetKmsKeyRequest: RPCMessage {
        package var vmConfig = ""
        /// X25519, 32 bytes: to which the answer is to be encrypted. Nil from clients of upstream.
        package var receiverKey: [UInt8]?
        /// Of the client certificate's key over it and the server's; DER. There with ``receiverKey`` and only then.
        package var receiverSignature: [UInt8]?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "vm_config", &vmConfig)
            fields.optional(1001, "receiver_key", &receiverKey)
            fields.optional(1002, "receiver_signature", &receiverSignature)
        }
    }

    package struct KmsKeys: RPCMessage {
        /// PKCS#8, PEM.
        package var caKey = RPCSecretText()
        /// 32 bytes.
        package var k256Key = RPCSecret()

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "ca_key", &caKey)
            fields.value(2, "k256_key", &k256Key)
        }
    }

    package struct KmsKeyResponse: RPCMessage {
        /// PKCS#8, PEM.
        package var temporaryCAKey = RPCSecretText()
        package var keys: [KmsKeys] = []
        /// In place of all else: a box (libsodium's `crypto_box_seal`) for the request's receiver key, with such a message in
        /// protobuf's form.
        package var sealed: [UInt8]?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "temp_ca_key", &temporaryCAKey)
            fields.messages(2, "keys", &keys)
            fields.optional(1001, "sealed", &sealed)
        }
    }

    package struct GetTempCaCertResponse: RPCMessage {
        /// PEM.
        package var temporaryCACertificate = ""
        /// PKCS#8, PEM.
        package var temporaryCAKey = RPCSecretText()
        /// The root, PEM.
        package var caCertificate = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "temp_ca_cert", &temporaryCACertificate)
            fields.value(2, "temp_ca_key", &temporaryCAKey)
            fields.value(3, "ca_cert", &caCertificate)
        }
    }

    package struct SignCertRequest: RPCMessage {
        /// 1 or 2.
        package var apiVersion: UInt32 = 0
        package var csr: [UInt8] = []
        /// DER.
        package var signature: [UInt8] = []
        /// JSON.
        package var vmConfig = ""
        /// Of the keys that are asked for; nil for the application's current one. Upstream's have none, which are epoch 0.
        package var epoch: UInt64?

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "api_version", &apiVersion)
            fields.value(2, "csr", &csr)
            fields.value(3, "signature", &signature)
            fields.value(4, "vm_config", &vmConfig)
            fields.optional(1001, "epoch", &epoch)
        }
    }

    package struct SignCertResponse: RPCMessage {
        /// PEM: leaf, application's authority, root.
        package var certificateChain: [String] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.repeated(1, "certificate_chain", &certificateChain)
        }
    }
}
