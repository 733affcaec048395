import DstackAttestation
package import DstackAuthorization
import DstackEncoding
package import DstackKMS

/// Who asks, as accepted evidence says, before anybody has decided about it.
///
/// A function of the evidence, the moment and the stated configuration alone: whoever keeps accepted evidence can keep it
/// beside that, as long as that holds.
package struct ExaminedCaller: Sendable {
    /// What is decided about. Its image is what the host states.
    package let boot: BootInfo
    /// What certificates may say, but for the image.
    let appInfo: AppInfo
    let image: ImageClaim
    /// The platform's own identifier, of which ``BootInfo/deviceID`` is the hash.
    package let platformID: [UInt8]

    /// As audit logs have it.
    package func auditSubject(as subject: BootSubject) -> AuditSubject {
        AuditSubject(
            subject == .app ? .app : .kms, appID: boot.appID.bytes, instanceID: boot.instanceID?.bytes ?? [],
            deviceID: boot.deviceID.bytes, composeHash: boot.composeHash.bytes, mrAggregated: boot.mrAggregated.bytes,
            osImageHash: boot.osImageHash?.bytes ?? [], tcbStatus: boot.tcbStatus)
    }
}
