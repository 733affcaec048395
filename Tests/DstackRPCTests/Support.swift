import DstackEncoding
import DstackRPC
import Foundation
import TestKit
import Testing

/// All messages that are declared, by package.
enum AllMessages {
    static let agent: [any RPCMessage.Type] = [
        AgentRPC.GetTlsKeyArgs.self, AgentRPC.GetTlsKeyResponse.self, AgentRPC.GetKeyArgs.self,
        AgentRPC.GetKeyResponse.self, AgentRPC.SignRequest.self, AgentRPC.SignResponse.self,
        AgentRPC.VerifyRequest.self, AgentRPC.VerifyResponse.self, AgentRPC.RawQuoteArgs.self,
        AgentRPC.GetQuoteResponse.self, AgentRPC.AttestResponse.self, AgentRPC.EmitEventArgs.self,
        AgentRPC.GpuInfoResponse.self, AgentRPC.GetAttestationForAppKeyRequest.self, AgentRPC.AppInfo.self,
        AgentRPC.WorkerVersion.self, AgentRPC.DeriveKeyArgs.self, AgentRPC.DeriveK256KeyResponse.self,
        AgentRPC.TdxQuoteArgs.self, AgentRPC.TdxQuoteResponse.self,
    ]
    static let guestAPI: [any RPCMessage.Type] = [
        GuestAPIRPC.Id.self, GuestAPIRPC.GuestInfo.self, GuestAPIRPC.IpAddress.self, GuestAPIRPC.Interface.self,
        GuestAPIRPC.Gateway.self, GuestAPIRPC.NetworkInformation.self, GuestAPIRPC.Container.self,
        GuestAPIRPC.ListContainersResponse.self, GuestAPIRPC.DiskInfo.self, GuestAPIRPC.SystemInfo.self,
    ]
    static let hostAPI: [any RPCMessage.Type] = [
        HostAPIRPC.HostInfo.self, HostAPIRPC.Notification.self, HostAPIRPC.GetSealingKeyRequest.self,
        HostAPIRPC.GetSealingKeyResponse.self,
    ]
    static let kms: [any RPCMessage.Type] = [
        KMSRPC.GetAppKeyRequest.self, KMSRPC.AppKeyResponse.self, KMSRPC.AppId.self, KMSRPC.PublicKeyResponse.self,
        KMSRPC.GetMetaResponse.self, KMSRPC.GetKmsKeyRequest.self, KMSRPC.KmsKeys.self, KMSRPC.KmsKeyResponse.self,
        KMSRPC.GetTempCaCertResponse.self, KMSRPC.SignCertRequest.self, KMSRPC.SignCertResponse.self,
        KMSRPC.ClearImageCacheRequest.self, KMSRPC.BootstrapRequest.self, KMSRPC.BootstrapResponse.self,
        KMSRPC.OnboardRequest.self, KMSRPC.OnboardResponse.self, KMSRPC.AttestationInfoResponse.self,
    ]
    static let agentV1: [any RPCMessage.Type] = [
        AgentRPCv1.IssueCertArgs.self, AgentRPCv1.GetKeyArgs.self, AgentRPCv1.GetKeyResponse.self,
        AgentRPCv1.AttestArgs.self, AgentRPCv1.GpuEvidence.self, AgentRPCv1.AttestResponse.self,
        AgentRPCv1.AttestGpuArgs.self, AgentRPCv1.AttestGpuResponse.self, AgentRPCv1.AppInfo.self,
        AgentRPCv1.UnhealthyContainer.self, AgentRPCv1.HealthResponse.self,
    ]
    /// Those of the tests, which have every kind of field, and those that upstream does not have.
    static let own: [any RPCMessage.Type] = [
        Everything.self, Tree.self, RPCErrorMessage.self, AgentRPC.AttestSessionArgs.self,
        KMSRPC.ReplicaMessage.self,
    ]

    static let all = agent + guestAPI + hostAPI + kms + agentV1 + own
}

/// A message with every kind of field there is.
struct Everything: RPCMessage {
    var text = ""
    var bytes: [UInt8] = []
    var flag = false
    var u32: UInt32 = 0
    var u64: UInt64 = 0
    var i32: Int32 = 0
    var i64: Int64 = 0
    var maybeText: String?
    var maybeBytes: [UInt8]?
    var maybeFlag: Bool?
    var maybeU64: UInt64?
    var texts: [String] = []
    var blobs: [[UInt8]] = []
    var flags: [Bool] = []
    var numbers: [UInt64] = []
    var signed: [Int32] = []
    var part: Tree?
    var parts: [Tree] = []
    var counters: [UInt32: UInt64] = [:]
    var labels: [String: String] = [:]
    var quiet: [UInt8] = []

    mutating func visit(_ fields: inout some RPCFieldVisitor) {
        fields.value(1, "text", &text)
        fields.value(2, "bytes", &bytes)
        fields.value(3, "flag", &flag)
        fields.value(4, "u32", &u32)
        fields.value(5, "u64", &u64)
        fields.value(6, "i32", &i32)
        fields.value(7, "i64", &i64)
        fields.optional(8, "maybe_text", &maybeText)
        fields.optional(9, "maybe_bytes", &maybeBytes)
        fields.optional(10, "maybe_flag", &maybeFlag)
        fields.optional(11, "maybe_u64", &maybeU64)
        fields.repeated(12, "texts", &texts)
        fields.repeated(13, "blobs", &blobs)
        fields.repeated(14, "flags", &flags)
        fields.repeated(15, "numbers", &numbers)
        fields.repeated(16, "signed", &signed)
        fields.message(17, "part", &part)
        fields.messages(18, "parts", &parts)
        fields.map(2000, "counters", &counters)
        fields.map(536_870_911, "labels", &labels)
        fields.value(21, "quiet", &quiet, omittedFromJSONIfDefault: true)
    }
}

/// A message that nests as deep as one likes.
struct Tree: RPCMessage {
    var name = ""
    var weight: UInt32 = 0
    var children: [Tree] = []

    mutating func visit(_ fields: inout some RPCFieldVisitor) {
        fields.value(1, "name", &name)
        fields.value(2, "weight", &weight)
        fields.messages(3, "children", &children)
    }
}

/// Fills a message with random values of all sizes.
struct RandomFill: RPCFieldVisitor {
    var random: SeededGenerator
    var depth = 0

    static func message<Message: RPCMessage>(_ type: Message.Type, seed: UInt64) -> Message {
        var message = Message()
        var fill = RandomFill(random: SeededGenerator(seed: seed))
        message.visit(&fill)
        return message
    }

    private mutating func scalar<Scalar: RPCScalar>() -> Scalar? {
        let length = Bool.random(using: &random) ? Int.random(in: 0...3, using: &random) : 130
        switch Scalar.self {
        case is String.Type:
            let alphabet: [Character] = ["a", "\"", "\\", "\n", "\u{1}", "é", "水", "🔐", "\u{7F}", "\u{2028}", " "]
            return String((0..<length).map { _ in alphabet.randomElement(using: &random) ?? "a" }) as? Scalar
        case is [UInt8].Type:
            return (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) } as? Scalar
        case is Bool.Type: return Bool.random(using: &random) as? Scalar
        case is UInt32.Type: return number(UInt32.self) as? Scalar
        case is UInt64.Type: return number(UInt64.self) as? Scalar
        case is Int32.Type: return number(Int32.self) as? Scalar
        case is Int64.Type: return number(Int64.self) as? Scalar
        default: return nil
        }
    }

    private mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number {
        let edges: [Number] = [0, 1, 127, .max, .min, .max / 2]
        return Bool.random(using: &random)
            ? Number.random(in: .min ... .max, using: &random) : edges.randomElement(using: &random) ?? 0
    }

    private mutating func list<Scalar: RPCScalar>() -> [Scalar] {
        let count = Int.random(in: 0...4, using: &random)
        return (0..<count).compactMap { _ in scalar() }
    }

    private mutating func nested<Message: RPCMessage>() -> Message {
        var message = Message()
        guard depth < 3 else { return message }
        depth += 1
        message.visit(&self)
        depth -= 1
        return message
    }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        value = scalar() ?? value
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        value = Bool.random(using: &random) ? scalar() : nil
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        values = list()
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        message = Bool.random(using: &random) ? nested() : nil
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        messages = (0..<Int.random(in: 0...2, using: &random)).map { _ in nested() }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        let keys: [Key] = list()
        for key in keys { values[key] = scalar() }
    }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The failure that a body throws.
func failure(_ body: () throws(DecodingFailure) -> Void) -> DecodingFailure? {
    do throws(DecodingFailure) {
        try body()
        return nil
    } catch { return error }
}
