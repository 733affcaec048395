/// What a host offers its guests (upstream's package `host_api`).
package enum HostAPIRPC {
    package enum HostApi {
        package static let name = "HostApi"
        package static let info = RPCMethod<RPCEmpty, HostInfo>(name, "Info", .repeatable)
        package static let notify = RPCMethod<Notification, RPCEmpty>(name, "Notify", .once)
        package static let getSealingKey = RPCMethod<GetSealingKeyRequest, GetSealingKeyResponse>(
            name, "GetSealingKey", .repeatable)
    }

    package struct HostInfo: RPCMessage {
        package var name = ""
        package var version = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "name", &name)
            fields.value(2, "version", &version)
        }
    }

    package struct Notification: RPCMessage {
        package var event = ""
        package var payload = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "event", &event)
            fields.value(2, "payload", &payload)
        }
    }

    package struct GetSealingKeyRequest: RPCMessage {
        package var quote: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "quote", &quote)
        }
    }

    package struct GetSealingKeyResponse: RPCMessage {
        package var encryptedKey: [UInt8] = []
        package var providerQuote: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "encrypted_key", &encryptedKey)
            fields.value(2, "provider_quote", &providerQuote)
        }
    }
}
