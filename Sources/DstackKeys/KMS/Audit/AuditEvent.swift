package import DstackAttestation
package import DstackEncoding
package import DstackKeys

/// What an audit log keeps: who asked for what, what came of it, and who decided. Nothing here is a secret: keys stand here
/// by their public half or its hash, and free text comes from policies and operators.
package enum AuditEvent: Sendable, Hashable {
    /// The first entry of every log.
    ///
    /// - Parameter node: what the operator calls this service; may be empty.
    case logBegun(node: String)
    case started(version: String)
    case stopped(reason: String)
    /// Whether somebody may boot, and why.
    ///
    /// - Parameter leftOut: how many refusals of the same machine are no entries, since its last one: there were too many.
    case bootDecided(AuditSubject, isAllowed: Bool, reason: String, leftOut: UInt64 = 0)
    /// Keys left for somebody.
    ///
    /// - Parameters:
    ///   - epoch: of an application's keys; nil for root keys.
    ///   - receiver: SubjectPublicKeyInfo of the key of the connection over which they went.
    ///   - sealedTo: the X25519 key that they were encrypted to, which the receiver's signed; nil where TLS alone hid them.
    case keysReleased(
        AuditRelease, epoch: KeyEpoch?, AuditSubject, receiver: [UInt8], sealedTo: FixedBytes<32>? = nil)
    case certificateIssued(AuditCertificate)
    /// New root keys, by their public halves: SubjectPublicKeyInfo of the CA, and the secp256k1 key.
    case bootstrapped(caPublicKey: [UInt8], publicKey: FixedBytes<33>, domain: String)
    /// Root keys came from another service.
    case onboarded(from: AuditSubject, url: String, publicKey: FixedBytes<33>)
    /// The log began with root keys that were there, by the public half of the secp256k1 key: they came before it, in a way that
    /// it does not know.
    case keysFound(publicKey: FixedBytes<33>)
    case epochChanged(AuditEpochChange, number: UInt64, app: AppID?)
    /// How far another service's log has come, as it signed it.
    case headSeen(log: FixedBytes<16>, count: UInt64, hash: FixedBytes<32>)
    /// Another service's log shows less than it did, or something else.
    case headContradicted(log: FixedBytes<16>, count: UInt64, hash: FixedBytes<32>, known: UInt64)
    /// What an administrator did.
    case administered(by: String, action: String, detail: String)

    /// As entries have it.
    package var name: String {
        switch self {
        case .logBegun: "log_begun"
        case .started: "started"
        case .stopped: "stopped"
        case .bootDecided: "boot_decided"
        case .keysReleased: "keys_released"
        case .certificateIssued: "certificate_issued"
        case .bootstrapped: "bootstrapped"
        case .onboarded: "onboarded"
        case .keysFound: "keys_found"
        case .epochChanged: "epoch_changed"
        case .headSeen: "head_seen"
        case .headContradicted: "head_contradicted"
        case .administered: "administered"
        }
    }

    func write(to facts: inout JSONWriter.Object) {
        switch self {
        case .logBegun(let node): facts.member("node", cut(node))
        case .started(let version): facts.member("version", cut(version))
        case .stopped(let reason): facts.member("reason", cut(reason))
        case .bootDecided(let subject, let isAllowed, let reason, let leftOut):
            subject.write(to: &facts)
            facts.member("allowed", isAllowed)
            facts.member("reason", cut(reason))
            if leftOut > 0 { facts.member("left_out", leftOut) }
        case .keysReleased(let what, let epoch, let subject, let receiver, let sealedTo):
            subject.write(to: &facts)
            facts.member("keys", what.rawValue)
            if let epoch { facts.member("epoch", epoch.number) }
            facts.member("receiver_key", Hex.encode(receiver))
            if let sealedTo { facts.member("sealed_to", sealedTo.hex) }
        case .certificateIssued(let certificate): certificate.write(to: &facts)
        case .bootstrapped(let caPublicKey, let publicKey, let domain):
            facts.member("ca_public_key", Hex.encode(caPublicKey))
            facts.member("k256_public_key", publicKey.hex)
            facts.member("domain", cut(domain))
        case .onboarded(let source, let url, let publicKey):
            source.write(to: &facts)
            facts.member("url", cut(url))
            facts.member("k256_public_key", publicKey.hex)
        case .keysFound(let publicKey): facts.member("k256_public_key", publicKey.hex)
        case .epochChanged(let change, let number, let app):
            facts.member("change", change.rawValue)
            facts.member("epoch", number)
            facts.member("app_id", app?.bytes.hex ?? "all")
        case .headSeen(let log, let count, let hash):
            facts.member("other_log", log.hex)
            facts.member("count", count)
            facts.member("hash", hash.hex)
        case .headContradicted(let log, let count, let hash, let known):
            facts.member("other_log", log.hex)
            facts.member("count", count)
            facts.member("hash", hash.hex)
            facts.member("known_count", known)
        case .administered(let who, let action, let detail):
            facts.member("by", cut(who))
            facts.member("action", cut(action))
            facts.member("detail", cut(detail))
        }
    }
}

package enum AuditRelease: String, Sendable, Hashable {
    /// What an application's instance gets when it boots.
    case app
    /// The roots of everything, for another service.
    case root
}

package enum AuditEpochChange: String, Sendable, Hashable {
    case proposed
    case inForce = "in_force"
    case retired
}

/// Who asked, as the verified evidence says.
package struct AuditSubject: Sendable, Hashable {
    package enum Kind: String, Sendable {
        case app
        case kms
    }

    package var kind: Kind
    package var appID: [UInt8]
    package var instanceID: [UInt8]
    package var deviceID: [UInt8]
    package var composeHash: [UInt8]
    package var mrAggregated: [UInt8]
    package var osImageHash: [UInt8]
    /// As verification calls it.
    package var tcbStatus: String

    package init(
        _ kind: Kind, appID: [UInt8] = [], instanceID: [UInt8] = [], deviceID: [UInt8] = [], composeHash: [UInt8] = [],
        mrAggregated: [UInt8] = [], osImageHash: [UInt8] = [], tcbStatus: String = ""
    ) {
        self.kind = kind
        self.appID = appID
        self.instanceID = instanceID
        self.deviceID = deviceID
        self.composeHash = composeHash
        self.mrAggregated = mrAggregated
        self.osImageHash = osImageHash
        self.tcbStatus = tcbStatus
    }

    fileprivate func write(to facts: inout JSONWriter.Object) {
        facts.member("kind", kind.rawValue)
        facts.member("app_id", Hex.encode(appID))
        facts.member("instance_id", Hex.encode(instanceID))
        facts.member("device_id", Hex.encode(deviceID))
        facts.member("compose_hash", Hex.encode(composeHash))
        facts.member("mr_aggregated", Hex.encode(mrAggregated))
        facts.member("os_image_hash", Hex.encode(osImageHash))
        facts.member("tcb_status", cut(tcbStatus))
    }
}

/// A certificate as the log keeps it.
package struct AuditCertificate: Sendable, Hashable {
    /// Nil for one of the service's own.
    package var app: AppID?
    package var serial: [UInt8]
    package var commonName: String
    package var alternativeNames: [String]
    /// SHA-256 of the certificate, DER.
    package var fingerprint: FixedBytes<32>
    /// Unix seconds.
    package var notAfter: Int64

    package init(
        app: AppID?, serial: [UInt8], commonName: String, alternativeNames: [String], fingerprint: FixedBytes<32>,
        notAfter: Int64
    ) {
        self.app = app
        self.serial = serial
        self.commonName = commonName
        self.alternativeNames = alternativeNames
        self.fingerprint = fingerprint
        self.notAfter = notAfter
    }

    fileprivate func write(to facts: inout JSONWriter.Object) {
        facts.member("app_id", app?.bytes.hex ?? "")
        facts.member("serial", Hex.encode(serial))
        facts.member("common_name", cut(commonName))
        // As many as fit into a line however they are escaped; all are in the certificate, which the fingerprint names.
        facts.member("names", alternativeNames.prefix(64).map(cut))
        facts.member("names_count", alternativeNames.count)
        facts.member("fingerprint", fingerprint.hex)
        facts.member("not_after", RFC3339.format(notAfter))
    }
}

/// At most 512 bytes of a text, whole characters: others chose it.
private func cut(_ text: String) -> String {
    guard text.utf8.count > 512 else { return text }
    var short = ""
    for character in text.unicodeScalars {
        guard short.utf8.count + UTF8.width(character) <= 509 else { break }
        short.unicodeScalars.append(character)
    }
    return short + "…"
}
