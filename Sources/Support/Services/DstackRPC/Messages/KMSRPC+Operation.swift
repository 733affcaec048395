/// Setting a key management service up and looking after it.
extension KMSRPC {
    package enum Admin {
        package static let name = "Admin"
        package static let clearImageCache = RPCMethod<ClearImageCacheRequest, RPCEmpty>(
            name, "ClearImageCache", .repeatable)
    }

    package enum Onboard {
        package static let name = "Onboard"
        package static let bootstrap = RPCMethod<BootstrapRequest, BootstrapResponse>(name, "Bootstrap", .once)
        package static let onboard = RPCMethod<OnboardRequest, OnboardResponse>(name, "Onboard", .once)
        package static let getAttestationInfo = RPCMethod<RPCEmpty, AttestationInfoResponse>(
            name, "GetAttestationInfo", .repeatable)
        package static let finish = RPCMethod<RPCEmpty, RPCEmpty>(name, "Finish", .once)
    }

    package struct ClearImageCacheRequest: RPCMessage {
        /// Hexadecimal, `all` or empty.
        package var imageHash = ""
        /// Hexadecimal, `all` or empty.
        package var configHash = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "image_hash", &imageHash)
            fields.value(2, "config_hash", &configHash)
        }
    }

    package struct BootstrapRequest: RPCMessage {
        package var domain = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "domain", &domain)
        }
    }

    package struct BootstrapResponse: RPCMessage {
        /// SubjectPublicKeyInfo, DER.
        package var caPublicKey: [UInt8] = []
        /// Compressed, 33 bytes.
        package var k256PublicKey: [UInt8] = []
        package var attestation: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "ca_pubkey", &caPublicKey)
            fields.value(2, "k256_pubkey", &k256PublicKey)
            fields.value(3, "attestation", &attestation)
        }
    }

    package struct OnboardRequest: RPCMessage {
        package var sourceURL = ""
        package var domain = ""
        /// SubjectPublicKeyInfo of the root that the source must have, DER; empty for whichever it has. Upstream's have none.
        package var caPublicKey: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "source_url", &sourceURL)
            fields.value(2, "domain", &domain)
            fields.value(100, "ca_pubkey", &caPublicKey, omittedFromJSONIfDefault: true)
        }
    }

    package struct OnboardResponse: RPCMessage {
        /// Compressed, 33 bytes.
        package var k256PublicKey: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "k256_pubkey", &k256PublicKey)
        }
    }

    package struct AttestationInfoResponse: RPCMessage {
        package var deviceID: [UInt8] = []
        package var mrAggregated: [UInt8] = []
        package var osImageHash: [UInt8] = []
        package var teeVariant = ""
        package var siteName = ""
        package var ethereumRPCURL = ""
        package var kmsContractAddress = ""
        /// The platform's own identifier: PPID, chip id or module id.
        package var ppid: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "device_id", &deviceID)
            fields.value(2, "mr_aggregated", &mrAggregated)
            fields.value(3, "os_image_hash", &osImageHash)
            fields.value(4, "tee_variant", &teeVariant)
            fields.value(5, "site_name", &siteName)
            fields.value(6, "eth_rpc_url", &ethereumRPCURL)
            fields.value(7, "kms_contract_address", &kmsContractAddress)
            fields.value(8, "ppid", &ppid)
        }
    }
}
