import DstackAttestation
import DstackEncoding
import DstackRPC
import DstackRPCServer
import Synchronization

/// The answers of Info, encoded once for each state of the instance.
struct InfoReplies: Sendable {
    let full: RPCReply<AgentRPC.AppInfo>
    /// What the public may see.
    let visible: RPCReply<AgentRPC.AppInfo>
    let fullV1: RPCReply<AgentRPCv1.AppInfo>
    let visibleV1: RPCReply<AgentRPCv1.AppInfo>
    /// For the host, which sees what the public sees.
    let guest: RPCReply<GuestAPIRPC.GuestInfo>

    init(_ snapshot: GuestSnapshot, certificate: String, version: String) {
        let info = AgentRPC.AppInfo.with {
            $0.appID = snapshot.identity.appID.bytes.bytes
            $0.instanceID = snapshot.identity.instanceID?.bytes.bytes ?? []
            $0.appCertificate = certificate
            $0.tcbInfo = snapshot.tcbInfo
            $0.appName = snapshot.appName
            $0.deviceID = snapshot.deviceID.bytes.bytes
            $0.mrAggregated = snapshot.mrAggregated
            $0.osImageHash = snapshot.osImageHash
            $0.keyProviderInfo = snapshot.keyProviderInfo
            $0.composeHash = snapshot.identity.composeHash.bytes.bytes
            $0.vmConfig = snapshot.vmConfig
            $0.cloudVendor = snapshot.cloudVendor
            $0.cloudProduct = snapshot.cloudProduct
        }
        let infoV1 = AgentRPCv1.AppInfo.with {
            $0.appID = info.appID
            $0.appName = info.appName
            $0.composeHash = info.composeHash
            $0.appCompose = snapshot.appCompose
            $0.instanceID = info.instanceID
            $0.deviceID = info.deviceID
            $0.osImageHash = info.osImageHash
            $0.mrAggregated = info.mrAggregated
            $0.vmConfig = info.vmConfig
            $0.keyProviderInfo = info.keyProviderInfo
            $0.cloudVendor = info.cloudVendor
            $0.cloudProduct = info.cloudProduct
        }
        full = .prepared(info)
        fullV1 = .prepared(infoV1)
        var (shown, shownV1) = (info, infoV1)
        if !snapshot.visibility.showsTCBInfo {
            (shown.tcbInfo, shown.vmConfig) = ("", "")
            (shownV1.appCompose, shownV1.vmConfig, shownV1.keyProviderInfo) = ("", "", "")
        }
        visible = .prepared(shown)
        visibleV1 = .prepared(shownV1)
        guest = .prepared(
            .with {
                $0.version = version
                $0.appID = info.appID
                $0.instanceID = info.instanceID
                $0.appCertificate = certificate
                $0.tcbInfo = shown.tcbInfo
                $0.deviceID = info.deviceID
            })
    }
}

/// The answers for the state that was asked about last.
final class InfoReplyCache: Sendable {
    private struct State {
        var madeAt: ContinuousClock.Instant?
        var edition = 0
        var replies: InfoReplies?
    }

    private let state = Mutex(State())
    private let version: String

    init(version: String) { self.version = version }

    func replies(for evidence: GuestEvidence, certificate: DemoCertificate.Edition) -> InfoReplies {
        state.withLock { state in
            if let replies = state.replies, state.madeAt == evidence.madeAt, state.edition == certificate.number {
                return replies
            }
            let replies = InfoReplies(evidence.snapshot, certificate: certificate.pem, version: version)
            state = State(madeAt: evidence.madeAt, edition: certificate.number, replies: replies)
            return replies
        }
    }
}
